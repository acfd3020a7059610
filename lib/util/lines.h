/* SPDX-License-Identifier: BSD-2-Clause */
/* Cache lines: what devices read at each access does not share one with what others write. */
#ifndef LIB_UTIL_LINES_H
#define LIB_UTIL_LINES_H

#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64
#define LINE_ALIGNED __attribute__((aligned(CACHE_LINE)))

/* Zeroed memory for a type that is LINE_ALIGNED: nothing else lies in its lines. NULL: no memory. For free(). */
static inline void *lines_alloc(size_t size)
{
	void *memory = aligned_alloc(CACHE_LINE, size);

	return memory ? memset(memory, 0, size) : NULL;
}

#endif
