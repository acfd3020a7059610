/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory regions: GPA -> host address. One sorted array, replaced as a whole and never changed once published;
 * the old one is freed when the invalidation that goes with the change has completed.
 */
#ifndef LIB_CORE_MEMORY_H
#define LIB_CORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/util/range.h"

struct memory_region {
	struct range gpa;
	uint8_t *host;
	int fd;
	uint64_t fd_offset;
};

struct memory {
	struct memory *next; /* in a list of old arrays */
	size_t count;
	struct memory_region regions[];
};

/* Free an array and the older ones behind it. */
static inline void memory_free(struct memory *memory)
{
	while (memory) {
		struct memory *next = memory->next;

		free(memory);
		memory = next;
	}
}

/* The region that holds this address, or NULL. */
static inline const struct memory_region *memory_find(const struct memory *memory, uint64_t gpa)
{
	size_t low = 0, high = memory->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memory->regions[middle].gpa.last < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low < memory->count && memory->regions[low].gpa.first <= gpa ? &memory->regions[low] : NULL;
}

#endif
