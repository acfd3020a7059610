/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An address space that vCPUs reach by exits: MMIO or I/O ports. Ranges are closed, first..last, and do not overlap.
 * Any thread. A handler runs on the vCPU's thread with the bus locked for reading: it may not change this bus
 * itself (a PCI BAR that moves is changed by config space, which is another range of the MMIO bus: see bus_move()).
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct bus;

struct bus_ops {
	/* offset from the range's first address; size 1, 2, 4 or 8; the access lies inside the range */
	uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
	void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
};

/* A range. The owner keeps the memory and fills all but `index`. */
struct bus_range {
	uint64_t first, last;
	const struct bus_ops *ops;
	void *opaque;
};

int bus_create(struct bus **out);
void bus_destroy(struct bus *bus);

/* -EEXIST: overlaps a range; -ENOMEM. From a handler of this bus they take effect when the handler has returned. */
int bus_add(struct bus *bus, struct bus_range *range);
void bus_remove(struct bus *bus, struct bus_range *range);

/* What no range covers reads as all ones and swallows writes. size 1, 2, 4 or 8. */
uint64_t bus_read(struct bus *bus, uint64_t address, unsigned size);
void bus_write(struct bus *bus, uint64_t address, uint64_t value, unsigned size);

#endif
