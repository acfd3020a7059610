/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MEMORY_DEVICES = 1, DEVICE_NULL = 3, DEVICE_FULL = 7 };

/* Regular by their mode, but what is written there goes to the kernel, or into the memory of a process. */
static bool file_is_made_up(int fd)
{
	static const unsigned long made_up[] = {
		BINFMTFS_MAGIC, BPF_FS_MAGIC, CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC, DEBUGFS_MAGIC,
		EFIVARFS_MAGIC, NSFS_MAGIC,   PROC_SUPER_MAGIC,    PSTOREFS_MAGIC,     SECURITYFS_MAGIC,
		SELINUX_MAGIC,  SMACK_MAGIC,  SYSFS_MAGIC,         TRACEFS_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	for (unsigned i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++)
		if ((unsigned long)fs.f_type == made_up[i])
			return true;
	return false;
}

/* Of other devices some do things when they are opened. */
static bool file_may_be_opened(const struct stat *status, unsigned kinds)
{
	if (S_ISREG(status->st_mode))
		return kinds & FILE_REGULAR;
	if (S_ISBLK(status->st_mode))
		return kinds & FILE_BLOCK;
	if (S_ISCHR(status->st_mode) && major(status->st_rdev) == MEMORY_DEVICES)
		return kinds & FILE_STREAM &&
		       (minor(status->st_rdev) == DEVICE_NULL || minor(status->st_rdev) == DEVICE_FULL);
	return kinds & FILE_STREAM && (S_ISCHR(status->st_mode) || S_ISFIFO(status->st_mode));
}

static bool file_can_be_used(int fd, const struct stat *status)
{
	if (S_ISCHR(status->st_mode))
		return major(status->st_rdev) == MEMORY_DEVICES || isatty(fd);
	return !S_ISREG(status->st_mode) || !file_is_made_up(fd);
}

int file_open(const char *path, int flags, mode_t mode, unsigned kinds)
{
	struct stat status;

	if (!stat(path, &status) && !file_may_be_opened(&status, kinds))
		return -EMEDIUMTYPE;

	const int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode);

	if (fd < 0 && errno == ENXIO && !stat(path, &status) && S_ISCHR(status.st_mode))
		return -ENOTTY;
	if (fd < 0)
		return -errno;
	/* The name may be another file's by now. */
	if (!fstat(fd, &status) && file_may_be_opened(&status, kinds) && file_can_be_used(fd, &status))
		return fd;
	close(fd);
	return -EMEDIUMTYPE;
}

/* Whether it is new is known only where it is made exclusively, which the target of a link cannot be. */
int file_open_or_make(const char *path, int flags, mode_t mode, unsigned kinds, char **made)
{
	int fd = file_open(path, flags | O_CREAT | O_EXCL, mode, kinds);

	*made = fd >= 0 ? strdup(path) : NULL;
	if (fd == -EEXIST)
		fd = file_open(path, flags, mode, kinds);
	if (fd != -ENOENT)
		return fd;
	fd = file_open(path, flags | O_CREAT, mode, kinds);
	if (fd >= 0)
		*made = realpath(path, NULL);
	return fd;
}

const char *file_error(int error)
{
	if (error == -EMEDIUMTYPE)
		return "a file of this kind cannot be used";
	if (error == -ENOTTY)
		return "there is no terminal behind it";
	return error == -ENXIO ? "nobody reads from it" : strerror(-error);
}
