/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/layout/layout.h"
#include "vmm/util/log.h"

enum { RAM_GRANULE = 4096 };

int ram_map(struct ram *ram, int fd, uint64_t size, int flags)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);

	ram->fd = fd;
	if (base == MAP_FAILED) {
		const int error = errno;

		ram_fini(ram);
		return -error;
	}
	/*
	 * Where the host has large pages for shared memory, one fault instead of 512. Nothing is lost where it has not.
	 */
	(void)madvise(base, size, MADV_HUGEPAGE);
	ram->base = base;
	ram->size = size;
	ram->low_size = size < LAYOUT_LOW_RAM_MAX ? size : LAYOUT_LOW_RAM_MAX;
	ram->high_size = size - ram->low_size;
	return 0;
}

int ram_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ? -errno : 0;
}

/* Pages appear as the guest touches them: no reservation, so that guests may be overcommitted. */
static int map_memfd(struct ram *ram, uint64_t size)
{
	const int fd = memfd_create("viommu-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	const int error = ftruncate(fd, (off_t)size) ? -errno : ram_seal(fd);

	if (error) {
		close(fd);
		return error;
	}
	return ram_map(ram, fd, size, MAP_NORESERVE);
}

int ram_init(struct ram *ram, uint64_t size)
{
	*ram = (struct ram){.fd = -1};

	const bool possible = size && size % RAM_GRANULE == 0 && size <= SIZE_MAX / 2;
	const int error = possible ? map_memfd(ram, size) : -EINVAL;

	if (error)
		vmm_log("cannot get %llu MiB of guest memory: %s", (unsigned long long)(size >> 20), strerror(-error));
	return error;
}

void ram_keep(struct ram *ram)
{
	free(ram->made);
	ram->made = NULL;
	ram->grown = false;
}

void ram_fini(struct ram *ram)
{
	if (ram->base)
		munmap(ram->base, ram->size);
	/* Before others can have its lock. */
	if (ram->grown && ftruncate(ram->fd, ram->old_size))
		vmm_log("--memory: the file cannot be cut back to %lld bytes: %s", (long long)ram->old_size,
			strerror(errno));
	if (ram->fd >= 0)
		close(ram->fd);
	if (ram->made)
		unlink(ram->made);
	free(ram->made);
	*ram = (struct ram){.fd = -1};
}

void *ram_at(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	if (gpa < ram->low_size)
		return len <= ram->low_size - gpa ? ram->base + gpa : NULL;
	if (gpa < LAYOUT_HIGH_RAM || gpa - LAYOUT_HIGH_RAM >= ram->high_size)
		return NULL;

	const uint64_t offset = gpa - LAYOUT_HIGH_RAM;

	return len <= ram->high_size - offset ? ram->base + ram->low_size + offset : NULL;
}
