/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A radix table in its simplest form, as the measure of what a look-up costs at least: 512 slots a node, one word a
 * slot, three levels (39 bits of IOVA), pages of 4 KiB, one region of guest memory. It checks what the library checks,
 * the right and the region, and the look-up is compiled into its user. One thread: there is no lock, no reader is
 * waited for, and nodes stay until the end.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/bench.h"

enum { BARE_BITS = 9, BARE_SLOTS = 1 << BARE_BITS, BARE_TOP = 27, BARE_PAGE_SHIFT = 12, BARE_ALIGN = 64 };

struct bare_node {
	uint64_t slot[BARE_SLOTS]; /* a node, or of the last level guest address and rights; 0: nothing */
};

struct bare {
	struct bare_node *root;
	uint8_t *host;
	uint64_t first, size; /* guest addresses of the region */
	uint64_t pages;       /* mapped, a power of two */
};

/* What the look-up finds: in this process, and how much of what was asked for lies on this page. */
struct bare_span {
	uint8_t *host;
	uint64_t len;
};

static inline const struct bare_node *bare_child(const struct bare_node *node, uint64_t index)
{
	return (const struct bare_node *)(uintptr_t)node->slot[index % BARE_SLOTS];
}

/* An empty slot allows nothing. */
static inline bool bare_find(const struct bare *bare, uint64_t iova, uint64_t len, unsigned access,
			     struct bare_span *out)
{
	const uint64_t page = iova >> BARE_PAGE_SHIFT, offset = iova % BENCH_PAGE;
	const struct bare_node *node = bare->root;

	if (page >> BARE_TOP)
		return false;
	node = bare_child(node, page >> (2 * BARE_BITS));
	if (!node)
		return false;
	node = bare_child(node, page >> BARE_BITS);
	if (!node)
		return false;
	const uint64_t word = node->slot[page % BARE_SLOTS], ahead = (word & -(uint64_t)BENCH_PAGE) - bare->first;

	if (access & ~(unsigned)word || ahead >= bare->size)
		return false;
	out->host = bare->host + ahead + offset;
	out->len = len < BENCH_PAGE - offset ? len : BENCH_PAGE - offset;
	return true;
}

/* With `pages` mappings from IOVA 0 on, to the same guest addresses as those of bench_setup(). */
struct bare *bare_setup(uint64_t pages);
void bare_teardown(struct bare *bare);

/* The rounds of the cases, for bench_in_turn(); of a struct bare. */
double bare_hit_round(void *opaque);
double bare_sequential_round(void *opaque);
double bare_random_round(void *opaque);
double bare_chain_round(void *opaque);
double bare_map_unmap_round(void *opaque);

#endif
