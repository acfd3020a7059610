/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a section may have written to guest memory, for a dirty log: noted when an address is translated, used when the
 * section ends.
 */
#ifndef LIB_CORE_DIRTY_H
#define LIB_CORE_DIRTY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/util/range.h"

/* A burst of frames into buffers that are a page each, which is what a driver without mergeable buffers has. */
enum { DIRTY_RANGES = 4096 };

struct dirty {
	unsigned count;
	bool all; /* there were more than fit */
	struct range gpa[DIRTY_RANGES];
};

/* Bytes from gpa on. Bursts go through buffers one behind the other, and come back to their rings. */
static inline void dirty_note(struct dirty *dirty, uint64_t gpa, uint64_t len)
{
	struct range range = {gpa, gpa + (len - 1)}, *last = dirty->count ? &dirty->gpa[dirty->count - 1] : NULL;

	if (last && range.first >= last->first && (range.first <= last->last || range.first - 1 == last->last)) {
		if (range.last > last->last)
			last->last = range.last;
	} else if (dirty->count < DIRTY_RANGES) {
		dirty->gpa[dirty->count++] = range;
	} else {
		dirty->all = true;
	}
}

#endif
