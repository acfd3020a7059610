/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks of VT-d tables in guest memory, which is what a miss costs before anything is kept: at random and in order over
 * 64 Ki pages, and always the same page. The tables map pages from IOVA 0 on.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "lib/fmt/vtd_fs.h"
#include "lib/fmt/vtd_ss.h"

enum { PAGES = 1 << 16, WALKS = 500000, ENTRIES = 512, TABLES_MAX = 256 };

struct tables {
	struct pt_space space;
	struct pt_memory memory;
	uint64_t *host;
	unsigned count; /* tables in use */
	unsigned leaf_level;
	bool first_stage;
};

static uint64_t sink; /* keeps the compiler from dropping what nobody reads */

static bool find(struct pt_memory *memory, uint64_t gpa)
{
	const struct tables *tables = memory->opaque;

	if (gpa >= TABLES_MAX * BENCH_PAGE)
		return false;
	memory->first = 0;
	memory->last = TABLES_MAX * BENCH_PAGE - 1;
	memory->host = (uint8_t *)tables->host;
	return true;
}

/* The entry of an address at the leaves' level; tables on the way are made. */
static uint64_t *entry_of(struct tables *tables, uint64_t iova, uint64_t flags)
{
	uint64_t *table = tables->host;

	for (unsigned level = tables->space.levels;; level--) {
		uint64_t *entry = &table[iova / vtd_pt_size(level) % ENTRIES];

		if (level == tables->leaf_level)
			return entry;
		if (!*entry)
			*entry = (uint64_t)tables->count++ * BENCH_PAGE | flags;
		table = tables->host + (*entry & VTD_PT_ADDRESS) / sizeof(*entry);
	}
}

static void fill(struct tables *tables, uint64_t flags)
{
	uint64_t size = vtd_pt_size(tables->leaf_level), large = tables->leaf_level > VTD_PT_LEVEL_4K ? VTD_PT_PS : 0;

	for (uint64_t page = 0; page < PAGES; page++)
		*entry_of(tables, page * size, flags) = page * 7 % PAGES * size | flags | large;
}

static void tables_setup(struct tables *tables, bool first_stage, unsigned levels, unsigned leaf_level)
{
	const struct vtd_ss_caps ss = {.host_width = 52, .guest_width = 57, .pages_2m = true, .pages_1g = true};
	const struct vtd_fs_caps fs = {.host_width = 52, .pages_1g = true};

	*tables = (struct tables){.leaf_level = leaf_level, .first_stage = first_stage, .count = 1};
	tables->host = aligned_alloc(BENCH_PAGE, TABLES_MAX * BENCH_PAGE);
	if (!tables->host) {
		fputs("viommu: bench: no memory for page tables\n", stderr);
		exit(4);
	}
	for (unsigned i = 0; i < TABLES_MAX * ENTRIES; i++)
		tables->host[i] = 0;
	pt_memory_init(&tables->memory, find, tables);
	if (first_stage) {
		vtd_fs_init(&tables->space, 0, levels, &fs);
		fill(tables, VTD_FS_P | VTD_FS_RW | VTD_FS_US | VTD_FS_A | VTD_FS_D);
	} else {
		vtd_ss_init(&tables->space, 0, levels, &ss);
		fill(tables, VTD_SS_R | VTD_SS_W);
	}
}

static void tables_teardown(struct tables *tables)
{
	free(tables->host);
}

enum order { ALWAYS_THE_SAME, IN_ORDER, AT_RANDOM };

static inline uint64_t next_page(enum order order, unsigned i, uint64_t *state)
{
	switch (order) {
	case ALWAYS_THE_SAME:
		return 5;
	case IN_ORDER:
		return i % PAGES;
	default:
		return bench_random(state) % PAGES;
	}
}

static inline uint64_t walk(struct tables *tables, uint64_t iova, struct pt_cursor *cursor)
{
	struct pt_leaf leaf = {0};
	enum pt_end end = (tables->first_stage ? vtd_fs_walk : vtd_ss_walk)(&tables->space, &tables->memory, iova,
									    VIOMMU_READ, cursor, &leaf);

	if (end != PT_OK) {
		fprintf(stderr, "viommu: bench: a walk ended with %d\n", (int)end);
		exit(4);
	}
	return leaf.gpa;
}

struct walk_case {
	const char *name;
	bool first_stage;
	unsigned levels, leaf_level;
	enum order order;
	bool cursor;
};

struct walking {
	const struct walk_case *what;
	struct tables tables;
};

static double walk_ns(void *opaque)
{
	struct walking *walking = opaque;
	struct tables *tables = &walking->tables;
	uint64_t state = BENCH_SEED, sum = 0, size = vtd_pt_size(tables->leaf_level);
	struct pt_cursor cursor = {0};
	uint64_t start = bench_ns();

	for (unsigned i = 0; i < WALKS; i++)
		sum += walk(tables, next_page(walking->what->order, i, &state) * size,
			    walking->what->cursor ? &cursor : NULL);
	sink = sum;
	return (double)(bench_ns() - start) / WALKS;
}

static const struct walk_case cases[] = {
	{"miss-3-levels", false, 3, VTD_PT_LEVEL_4K, AT_RANDOM, false},
	{"miss-4-levels", false, 4, VTD_PT_LEVEL_4K, AT_RANDOM, false},
	{"miss-5-levels", false, 5, VTD_PT_LEVEL_4K, AT_RANDOM, false},
	{"miss-4-levels-first-stage", true, 4, VTD_PT_LEVEL_4K, AT_RANDOM, false},
	{"miss-4-levels-2MiB", false, 4, VTD_PT_LEVEL_2M, AT_RANDOM, false},
	{"miss-4-levels-1GiB", false, 4, VTD_PT_LEVEL_1G, AT_RANDOM, false},
	{"miss-4-levels-cursor", false, 4, VTD_PT_LEVEL_4K, AT_RANDOM, true},
	{"hot-3-levels", false, 3, VTD_PT_LEVEL_4K, ALWAYS_THE_SAME, false},
	{"hot-4-levels", false, 4, VTD_PT_LEVEL_4K, ALWAYS_THE_SAME, false},
	{"hot-5-levels", false, 5, VTD_PT_LEVEL_4K, ALWAYS_THE_SAME, false},
	{"in-order-4-levels", false, 4, VTD_PT_LEVEL_4K, IN_ORDER, false},
	{"in-order-4-levels-cursor", false, 4, VTD_PT_LEVEL_4K, IN_ORDER, true},
};

void bench_walk(void)
{
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct walk_case *what = &cases[i];
		struct walking walking = {.what = what};

		tables_setup(&walking.tables, what->first_stage, what->levels, what->leaf_level);
		bench_report("walk", what->name, bench_median(walk_ns, &walking), "ns", BENCH_NO_GOAL);
		tables_teardown(&walking.tables);
	}
	bench_unit();
}
