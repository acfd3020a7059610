/* SPDX-License-Identifier: BSD-2-Clause */
/* One PCI function in a VFIO type 1 container, as a user-space driver opens it. */
#ifndef GUEST_VFIO_H
#define GUEST_VFIO_H

#include <stdint.h>

struct vfio {
	int container;
	int group;
	int device;
	/* Where BAR 0 is in the file `device`, and how long. */
	uint64_t bar0_offset;
	uint64_t bar0_size;
};

/*
 * Opens the function with that name ("0000:00:04.0"), which is bound to vfio-pci and alone in its group, lets it master
 * the bus and finds BAR 0. That is not mapped: since Linux 6.10 the page appears at the first access only, and an
 * access to a device right after a page fault is what KVM of Linux 7.3 cannot emulate in the lab (docs/HACKING.md).
 * Returns 0 or -errno after a line on stderr. What it opened is closed by the end of the program.
 */
int vfio_open(struct vfio *vfio, const char *name);

/* prot: VFIO_DMA_MAP_FLAG_READ and _WRITE, as the device sees it. */
int vfio_map(const struct vfio *vfio, void *memory, uint64_t size, uint64_t iova, uint32_t prot);
int vfio_unmap(const struct vfio *vfio, uint64_t size, uint64_t iova);

#endif
