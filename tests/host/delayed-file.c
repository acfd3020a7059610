/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file system with one file, "disk", which is another file, but that reads of it can be made to wait: as long as a
 * third file, the gate, begins with the letter h. So whoever may write to the gate says how long a read takes, for ever
 * included.
 *
 *	delayed-file BACKING GATE MOUNTPOINT direct|cached
 *
 * In the foreground, as root. direct: the reader's memory is in the kernel's hands until the read ends, which nothing
 * can interrupt, not even the reader's death. cached: it waits for the page cache, and only a signal that kills it ends
 * that.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_NS = 2000000 };

static int backing, gate;
static bool direct;

static bool is_disk(const char *path)
{
	return !strcmp(path, "/disk");
}

static int get_attributes(const char *path, struct stat *stat, struct fuse_file_info *info)
{
	(void)info;
	if (!is_disk(path)) {
		*stat = (struct stat){.st_mode = S_IFDIR | 0700, .st_nlink = 2};
		return strcmp(path, "/") ? -ENOENT : 0;
	}
	return fstat(backing, stat) ? -errno : 0;
}

static int open_disk(const char *path, struct fuse_file_info *info)
{
	if (!is_disk(path))
		return -ENOENT;
	info->direct_io = direct;
	return 0;
}

static bool held(void)
{
	char first;

	return pread(gate, &first, 1, 0) == 1 && first == 'h';
}

static int read_disk(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};

	(void)path;
	(void)info;
	while (held())
		nanosleep(&pause, NULL);
	ssize_t len = pread(backing, buffer, size, offset);

	return len < 0 ? -errno : (int)len;
}

static int write_disk(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
	(void)path;
	(void)info;
	ssize_t len = pwrite(backing, buffer, size, offset);

	return len < 0 ? -errno : (int)len;
}

static const struct fuse_operations operations = {
	.getattr = get_attributes,
	.open = open_disk,
	.read = read_disk,
	.write = write_disk,
};

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: delayed-file BACKING GATE MOUNTPOINT direct|cached\n");
		return 2;
	}
	direct = !strcmp(argv[4], "direct");
	backing = open(argv[1], O_RDWR | O_CLOEXEC);
	gate = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (backing < 0 || gate < 0) {
		perror("delayed-file");
		return 2;
	}
	return fuse_main(3, ((char *[]){argv[0], "-f", argv[3], NULL}), &operations, NULL);
}
