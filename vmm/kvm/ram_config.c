/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory as --memory describes it: a memfd, huge pages, or a file that others can map too. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/kvm/hugepages.h"
#include "vmm/kvm/ram.h"
#include "vmm/util/file.h"
#include "vmm/util/log.h"

struct ram_file {
	const char *path;
	int fd;
	char *made;     /* by us, so it is removed on an error; or NULL */
	off_t old_size; /* to go back to on an error */
};

static int complain(const char *path, int error)
{
	vmm_log("--memory: %s: %s", path, strerror(error));
	return -error;
}

static unsigned long long mib(uint64_t size)
{
	return (unsigned long long)(size >> 20);
}

static int open_file(struct ram_file *file)
{
	file->fd = file_open_or_make(file->path, O_RDWR, 0600, FILE_REGULAR, &file->made);
	if (file->fd >= 0)
		return 0;
	if (file->fd != -EMEDIUMTYPE)
		return complain(file->path, -file->fd);
	vmm_log("--memory: %s is not a regular file, or one of the kernel's own", file->path);
	return -EINVAL;
}

/* A larger file holds something that we would cut off, so it is probably the wrong one. */
static int check_file(struct ram_file *file, uint64_t size)
{
	struct stat status;

	if (fstat(file->fd, &status))
		return complain(file->path, errno);
	if ((uint64_t)status.st_size > size) {
		vmm_log("--memory: %s has %llu MiB already, more than size=: remove it, or name another file",
			file->path, mib((uint64_t)status.st_size));
		return -EINVAL;
	}
	file->old_size = status.st_size;
	if (flock(file->fd, LOCK_EX | LOCK_NB)) {
		vmm_log("--memory: another program uses %s", file->path);
		return -EBUSY;
	}
	return 0;
}

/* The pages of the file's file system; 0 where it has none of its own size. */
static int check_pages(const struct ram_file *file, const struct ram_config *config, uint64_t *page)
{
	struct statfs fs;

	if (fstatfs(file->fd, &fs))
		return complain(file->path, errno);

	const bool huge = (unsigned long)fs.f_type == HUGETLBFS_MAGIC;

	*page = huge ? (uint64_t)fs.f_bsize : 0;
	if (huge && !config->hugepages) {
		vmm_log("--memory: %s lies on a hugetlbfs: add hugepages=on", file->path);
		return -EINVAL;
	}
	if (config->hugepages && !huge) {
		vmm_log("--memory: %s does not lie on a hugetlbfs, which hugepages=on needs (mount -t hugetlbfs)",
			file->path);
		return -EINVAL;
	}
	if (config->hugepage_size && config->hugepage_size != *page) {
		vmm_log("--memory: the hugetlbfs of %s has pages of %llu MiB", file->path, mib(*page));
		return -EINVAL;
	}
	if (huge && config->size % *page) {
		vmm_log("--memory: size must be a multiple of the huge pages (%llu MiB)", mib(*page));
		return -EINVAL;
	}
	return 0;
}

/* All of it now, so that no write can fail later. EINTR: somebody wants us to end. */
static int allocate(int fd, uint64_t size)
{
	return ftruncate(fd, (off_t)size) ? errno : posix_fallocate(fd, 0, (off_t)size);
}

static int fill_file(const struct ram_file *file, const struct ram_config *config)
{
	uint64_t page = 0;
	int error = check_pages(file, config, &page);

	if (error)
		return error;
	error = allocate(file->fd, config->size);
	if (!error)
		return 0;
	/* What was had of it goes back first, so that free pages are counted right. */
	if (ftruncate(file->fd, file->old_size))
		complain(file->path, errno);
	else if (page)
		hugepages_complain(config->size, page, error);
	else
		vmm_log("--memory: %s: cannot allocate %llu MiB: %s", file->path, mib(config->size), strerror(error));
	return -error;
}

static int prepare_file(struct ram_file *file, const struct ram_config *config)
{
	int error = open_file(file);

	if (error)
		return error;
	error = check_file(file, config->size);
	if (!error)
		error = fill_file(file, config);
	if (error) {
		close(file->fd);
		if (file->made)
			unlink(file->made);
		free(file->made);
	}
	return error;
}

static int init_file(struct ram *ram, const struct ram_config *config)
{
	struct ram_file file = {.path = config->file};
	int error = prepare_file(&file, config);

	if (error)
		return error;
	ram->made = file.made;
	ram->grown = !file.made;
	ram->old_size = file.old_size;
	error = ram_map(ram, file.fd, config->size, 0);
	return error ? complain(file.path, -error) : 0;
}

static int init_hugepages(struct ram *ram, const struct ram_config *config)
{
	const uint64_t page = config->hugepage_size ? config->hugepage_size : RAM_HUGE_2M;
	const int fd = hugepages_open(page);

	if (fd < 0)
		return fd;
	int error = allocate(fd, config->size);

	if (error) {
		close(fd); /* first, so that free pages are counted right */
		hugepages_complain(config->size, page, error);
		return -error;
	}
	error = ram_seal(fd);
	if (error)
		close(fd);
	else
		error = ram_map(ram, fd, config->size, 0);
	if (error)
		hugepages_complain(config->size, page, -error);
	return error;
}

int ram_init_config(struct ram *ram, const struct ram_config *config)
{
	*ram = (struct ram){.fd = -1};
	if (config->file)
		return init_file(ram, config);
	return config->hugepages ? init_hugepages(ram, config) : ram_init(ram, config->size);
}
