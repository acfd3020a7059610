/* SPDX-License-Identifier: BSD-2-Clause */
/* Closed ranges of 64-bit numbers, first..last: the whole space is 0..UINT64_MAX, an empty range cannot be written. */
#ifndef LIB_UTIL_RANGE_H
#define LIB_UTIL_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct range {
	uint64_t first, last;
};

/* The only way from (start, length) to a range: false where it is empty or wraps. */
static inline bool range_from_len(uint64_t start, uint64_t len, struct range *out)
{
	if (!len || start > UINT64_MAX - (len - 1))
		return false;
	*out = (struct range){start, start + (len - 1)};
	return true;
}

static inline bool range_overlaps(struct range a, struct range b)
{
	return a.first <= b.last && b.first <= a.last;
}

static inline bool range_contains(struct range outer, struct range inner)
{
	return outer.first <= inner.first && inner.last <= outer.last;
}

static inline bool range_has(struct range r, uint64_t value)
{
	return r.first <= value && value <= r.last;
}

/* True: both ends lie on multiples of `granule` (a power of two). */
static inline bool range_aligned(struct range r, uint64_t granule)
{
	return !((r.first | (r.last + 1)) & (granule - 1));
}

#endif
