/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a section may have written to guest memory, for who keeps a dirty log: taken note of when it is translated, used
 * when it ends.
 */
#ifndef LIB_CORE_WRITTEN_H
#define LIB_CORE_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/util/range.h"

/* A burst of frames into buffers that are a page each, which is what a driver without mergeable buffers has. */
enum { WRITTEN_RANGES = 4096 };

struct written {
	unsigned count;
	bool all; /* there were more than fit */
	struct range gpa[WRITTEN_RANGES];
};

/* Bytes from gpa on. Bursts go through buffers one behind the other, and come back to their rings. */
static inline void written_note(struct written *written, uint64_t gpa, uint64_t len)
{
	struct range range = {gpa, gpa + (len - 1)}, *last = written->count ? &written->gpa[written->count - 1] : NULL;

	if (last && range.first >= last->first && (range.first <= last->last || range.first - 1 == last->last)) {
		if (range.last > last->last)
			last->last = range.last;
	} else if (written->count < WRITTEN_RANGES) {
		written->gpa[written->count++] = range;
	} else {
		written->all = true;
	}
}

#endif
