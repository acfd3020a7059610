/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/ram.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/layout.h"
#include "vmm/util/log.h"

enum { RAM_GRANULE = 4096 };

int ram_init(struct ram *ram, uint64_t size)
{
	int error;

	memset(ram, 0, sizeof(*ram));
	ram->fd = -1;
	if (!size || size % RAM_GRANULE || size > SIZE_MAX / 2)
		return -EINVAL;
	ram->fd = memfd_create("viommu-ram", MFD_CLOEXEC);
	if (ram->fd < 0) {
		error = errno;
		goto err_none;
	}
	if (ftruncate(ram->fd, (off_t)size)) {
		error = errno;
		goto err_fd;
	}
	/* Pages appear as the guest touches them: no reservation, so that guests may be overcommitted. */
	ram->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, ram->fd, 0);
	if (ram->base == MAP_FAILED) {
		error = errno;
		goto err_fd;
	}
	ram->size = size;
	ram->low_size = size < LAYOUT_LOW_RAM_MAX ? size : LAYOUT_LOW_RAM_MAX;
	ram->high_size = size - ram->low_size;
	return 0;

err_fd:
	close(ram->fd);
	ram->fd = -1;
	ram->base = NULL;
err_none:
	vmm_log("cannot get %llu MiB of guest memory: %s", (unsigned long long)(size >> 20), strerror(error));
	return -error;
}

void ram_fini(struct ram *ram)
{
	if (ram->base)
		munmap(ram->base, ram->size);
	if (ram->fd >= 0)
		close(ram->fd);
	ram->base = NULL;
	ram->fd = -1;
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
