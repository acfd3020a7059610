/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An address space that vCPUs reach by exits: MMIO or I/O ports. Ranges are closed, first..last, and do not overlap.
 *
 * Thread rules: any thread, and any handler, may call everything here but bus_destroy(). Handlers run without a lock
 * of the bus, so they may take their device's locks, and those locks may be held around bus_add() and bus_remove().
 * What bus_remove() promises depends on where it is called:
 *   - always: an access that starts after it returned does not find the range;
 *   - outside of handlers: the range's handlers have returned too, and its memory may be freed. So the caller holds no
 *     lock that these handlers take;
 *   - inside a handler (of any bus): handlers of the range that run already, on this or on other threads, may still
 *     be at work. The memory must stay, and what they touch must be guarded by the owner's own lock. The same range
 *     may be added again at once, elsewhere too: `first` is read under the bus's lock.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct bus;

struct bus_ops {
	/*
	 * offset from the range's first address; size 1, 2, 4 or 8; the access lies inside the range. Without a
	 * function reads are 0, and writes do nothing.
	 */
	uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
	void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
};

/* A range. The owner keeps the memory, fills it in, and changes nothing of it while it is on the bus. */
struct bus_range {
	uint64_t first, last;
	const struct bus_ops *ops;
	void *opaque;
	unsigned users; /* the bus's own: handlers that run; zero at first */
};

int bus_create(struct bus **out);
void bus_destroy(struct bus *bus);

/* -EINVAL: last lies before first; -EEXIST: overlaps a range; -ENOMEM. In effect when it returns. */
int bus_add(struct bus *bus, struct bus_range *range);

/* Take a range away; one that is not on the bus is ignored. See above for what it waits for. */
void bus_remove(struct bus *bus, struct bus_range *range);

/* What no range covers (or one only in part) reads as all ones and swallows writes. size 1, 2, 4 or 8. */
uint64_t bus_read(struct bus *bus, uint64_t address, unsigned size);
void bus_write(struct bus *bus, uint64_t address, uint64_t value, unsigned size);

#endif
