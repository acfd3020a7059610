/* SPDX-License-Identifier: BSD-2-Clause */
/* Hands out small numbers, 1..INDEX_MAX, each to one owner at a time. The caller locks. */
#ifndef LIB_UTIL_INDEX_H
#define LIB_UTIL_INDEX_H

#include <stdint.h>

enum { INDEX_MAX = 65535, INDEX_WORDS = (INDEX_MAX + 1) / 64 };

struct index_pool {
	uint64_t taken[INDEX_WORDS];
	unsigned first_word; /* no free number lies in a word before this one */
};

/* 0: all are taken. */
static inline uint16_t index_get(struct index_pool *pool)
{
	pool->taken[0] |= 1; /* 0 is nobody's number */
	for (unsigned word = pool->first_word; word < INDEX_WORDS; word++) {
		if (pool->taken[word] == UINT64_MAX)
			continue;
		unsigned bit = (unsigned)__builtin_ctzll(~pool->taken[word]);
		pool->taken[word] |= 1ull << bit;
		pool->first_word = word;
		return (uint16_t)(word * 64 + bit);
	}
	return 0;
}

static inline void index_put(struct index_pool *pool, uint16_t index)
{
	unsigned word = index / 64;

	pool->taken[word] &= ~(1ull << (index % 64));
	if (word < pool->first_word)
		pool->first_word = word;
}

#endif
