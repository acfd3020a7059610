/* SPDX-License-Identifier: BSD-2-Clause */
/* The bare table is filled, and the cases are run with it: the loops are those of translate.c and map.c. */
#include "bench/bare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static volatile uintptr_t sink; /* keeps the compiler from dropping what nobody reads */

static struct bare_node *node_new(void)
{
	struct bare_node *node = aligned_alloc(BARE_ALIGN, sizeof(*node));

	bench_must(node ? 0 : -ENOMEM);
	return memset(node, 0, sizeof(*node));
}

static struct bare_node *child_make(struct bare_node *node, uint64_t index)
{
	uint64_t *slot = &node->slot[index % BARE_SLOTS];

	if (!*slot)
		*slot = (uintptr_t)node_new();
	return (struct bare_node *)(uintptr_t)*slot;
}

static inline uint64_t *bare_slot(const struct bare *bare, uint64_t page)
{
	struct bare_node *node = child_make(bare->root, page >> (2 * BARE_BITS));

	return &child_make(node, page >> BARE_BITS)->slot[page % BARE_SLOTS];
}

static inline void bare_map(const struct bare *bare, uint64_t page)
{
	*bare_slot(bare, page) = bench_gpa(page) | VIOMMU_READ | VIOMMU_WRITE;
}

static inline void bare_unmap(const struct bare *bare, uint64_t page)
{
	*bare_slot(bare, page) = 0;
}

struct bare *bare_setup(uint64_t pages)
{
	struct bare *bare = calloc(1, sizeof(*bare));

	bench_must(bare ? 0 : -ENOMEM);
	*bare = (struct bare){.root = node_new(), .size = BENCH_MEMORY, .pages = pages};
	bare->host = aligned_alloc(BENCH_PAGE, BENCH_MEMORY);
	bench_must(bare->host ? 0 : -ENOMEM);
	for (uint64_t page = 0; page < pages; page++)
		bare_map(bare, page);
	return bare;
}

static void node_free(struct bare_node *node, unsigned level)
{
	for (unsigned i = 0; level && i < BARE_SLOTS; i++)
		if (node->slot[i])
			node_free((struct bare_node *)(uintptr_t)node->slot[i], level - 1);
	free(node);
}

void bare_teardown(struct bare *bare)
{
	node_free(bare->root, 2);
	free(bare->host);
	free(bare);
}

static inline __attribute__((always_inline)) uint64_t host_of(const struct bare *bare, uint64_t iova)
{
	struct bare_span span;

	return bare_find(bare, iova, BENCH_LEN, VIOMMU_READ, &span) ? (uintptr_t)span.host : 0;
}

double bare_hit_round(void *opaque)
{
	const struct bare *bare = opaque;
	uint64_t sum = 0, start = bench_ns();

	for (unsigned i = 0; i < BENCH_LOOKUPS; i++)
		sum += host_of(bare, bench_near(i));
	sink = sum;
	return bench_each(start, BENCH_LOOKUPS);
}

double bare_sequential_round(void *opaque)
{
	const struct bare *bare = opaque;
	uint64_t sum = 0, start = bench_ns();

	for (unsigned i = 0; i < BENCH_LOOKUPS; i++)
		sum += host_of(bare, (i & (bare->pages - 1)) * BENCH_PAGE);
	sink = sum;
	return bench_each(start, BENCH_LOOKUPS);
}

double bare_random_round(void *opaque)
{
	const struct bare *bare = opaque;
	uint64_t state = BENCH_SEED, sum = 0, start = bench_ns();

	for (unsigned i = 0; i < BENCH_LOOKUPS; i++)
		sum += host_of(bare, (bench_random(&state) & (bare->pages - 1)) * BENCH_PAGE);
	sink = sum;
	return bench_each(start, BENCH_LOOKUPS);
}

double bare_chain_round(void *opaque)
{
	const struct bare *bare = opaque;
	uint64_t state = BENCH_SEED, last = 0, start = bench_ns();

	for (unsigned i = 0; i < BENCH_LOOKUPS; i++)
		last = host_of(bare, ((bench_random(&state) + (last & 1)) & (bare->pages - 1)) * BENCH_PAGE);
	sink = last;
	return bench_each(start, BENCH_LOOKUPS);
}

double bare_map_unmap_round(void *opaque)
{
	const struct bare *bare = opaque;
	uint64_t state = BENCH_SEED, start = bench_ns();

	for (unsigned i = 0; i < BENCH_CHANGES; i++) {
		uint64_t page = bench_random(&state) & (bare->pages - 1);

		bare_unmap(bare, page);
		bare_map(bare, page);
	}
	return bench_each(start, BENCH_CHANGES);
}
