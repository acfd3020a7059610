/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random page tables of VT-d's formats against the brute-force reference: how each walk ends, what it finds, what it
 * marks. FMT_SEED gives the first seed; a failure names the one that fails.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support/fmt_world.h"
#include "tests/support/test.h"

enum { WORLDS = 100, WORLDS_FULL = 3000, WALKS = 1200, LOOK_AT_ALL_EVERY = 64, ENDS = PT_BUSY };

/* How often what was seen: a run that misses something shows nothing about it. */
struct seen {
	unsigned ends[ENDS], leaves[PT_LEVELS + 1];
};

/* The seed of the world that is being looked at. */
static uint64_t current_seed;

struct walker {
	struct world *world;
	struct pt_space space;
	struct pt_memory memory;
	struct pt_cursor cursor;
};

static void walker_init(struct walker *walker, struct world *world)
{
	const struct vtd_ss_caps ss = {world->host_width, world->guest_width,   world->pages_2m,
				       world->pages_1g,   world->snoop_control, world->device_tlb};
	const struct vtd_fs_caps fs = {world->host_width, world->pages_1g, world->no_execute};

	*walker = (struct walker){.world = world};
	if (world->first_stage)
		vtd_fs_init(&walker->space, world->top, world->levels, &fs);
	else
		vtd_ss_init(&walker->space, world->top, world->levels, &ss);
	pt_memory_init(&walker->memory, world_find_region, world);
}

static enum pt_end walk(struct walker *walker, uint64_t iova, unsigned access, bool cursor, struct pt_leaf *leaf)
{
	return (walker->world->first_stage ? vtd_fs_walk : vtd_ss_walk)(&walker->space, &walker->memory, iova, access,
									cursor ? &walker->cursor : NULL, leaf);
}

/* Half of them somewhere in a piece of the list, so mostly deep down; some beside the last one; some anywhere. */
static uint64_t random_iova(struct world *world, uint64_t last)
{
	const struct world_map *map = &world->maps[world_below(world, WORLD_ACCESSES)];
	const struct world_piece *piece = &map->pieces[world_below(world, map->count)];

	switch (world_below(world, 8)) {
	case 0:
		return piece->first;
	case 1:
		return piece->last;
	case 2:
		return world_random(world) >> world_below(world, 64);
	case 3:
	case 4:
		return last ^ world_below(world, 1 << 21);
	default:
		return piece->first + world_below(world, (piece->last - piece->first) | 1);
	}
}

/* The marks that the walk should have left, and whether it did. */
static void check_marks(struct world *world, const struct world_piece *piece, unsigned access)
{
	for (unsigned i = 0; world->first_stage && i < piece->depth; i++) {
		*world_entry(world, piece->path[i], false) |= 1 << 5;
		if (access & 2 && piece->end == PT_OK && i == piece->depth - 1)
			*world_entry(world, piece->path[i], false) |= 1 << 6;
	}
	for (unsigned i = 0; i < piece->depth; i++)
		assert_true(*world_entry(world, piece->path[i], true) == *world_entry(world, piece->path[i], false));
}

static void check_memory(const struct world *world)
{
	for (unsigned i = 0; i < WORLD_REGIONS; i++)
		assert_memory_equal(world->regions[i].host, world->regions[i].copy, world->regions[i].size);
}

static void check_walk(struct walker *walker, uint64_t iova, unsigned access, struct seen *seen)
{
	struct world *world = walker->world;
	const struct world_piece *piece = world_find(world, iova, access);
	struct pt_leaf leaf;
	enum pt_end end = walk(walker, iova, access, world_below(world, 2), &leaf);

	assert_int_equal(end, piece->end);
	assert_int_equal(leaf.level, piece->level);
	check_marks(world, piece, access);
	seen->ends[end]++;
	if (end != PT_OK)
		return;
	unsigned rights = piece->access;

	if (world->first_stage && !(*world_entry(world, piece->path[piece->depth - 1], false) & 1 << 6))
		rights &= ~2u;
	assert_int_equal(leaf.access, rights);
	assert_true(leaf.iova.first == piece->first && leaf.iova.last == piece->last);
	assert_true(leaf.gpa == piece->gpa);
	seen->leaves[leaf.level]++;
}

static void check_world(struct world *world, struct seen *seen)
{
	struct walker walker;
	uint64_t iova = 0;

	walker_init(&walker, world);
	for (unsigned i = 0; i < WALKS; i++) {
		iova = random_iova(world, iova);
		check_walk(&walker, iova, (unsigned)world_below(world, WORLD_ACCESSES), seen);
		if (i % LOOK_AT_ALL_EVERY == 0)
			check_memory(world);
	}
	check_memory(world);
}

static void check_worlds(bool first_stage, struct seen *seen)
{
	const char *given = getenv("FMT_SEED");
	uint64_t first = given ? strtoull(given, NULL, 0) : 1;

	for (uint64_t i = 0; i < (getenv("FULL") ? WORLDS_FULL : WORLDS); i++) {
		struct world world;

		current_seed = first + i;
		world_create(&world, first_stage, (first + i) * 0x9e3779b97f4a7c15ull);
		check_world(&world, seen);
		world_destroy(&world);
	}
	for (unsigned level = VTD_PT_LEVEL_4K; level <= VTD_PT_LEVEL_1G; level++)
		assert_true(seen->leaves[level] > 0);
}

static void test_second_stage_matches_the_reference(void **state)
{
	struct seen seen = {0};

	(void)state;
	check_worlds(false, &seen);
	for (unsigned end = 0; end < ENDS; end++)
		assert_int_equal(seen.ends[end] > 0, end != PT_NOT_CANONICAL && end != PT_NOT_USER);
}

static void test_first_stage_matches_the_reference(void **state)
{
	struct seen seen = {0};

	(void)state;
	check_worlds(true, &seen);
	for (unsigned end = 0; end < ENDS; end++)
		assert_int_equal(seen.ends[end] > 0, end != PT_BEYOND_WIDTH && end != PT_NO_READ);
}

/* Comes after a failure too. */
static int print_seed(void **state)
{
	(void)state;
	print_message("# last FMT_SEED: %llu\n", (unsigned long long)current_seed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_second_stage_matches_the_reference, print_seed),
		cmocka_unit_test_teardown(test_first_stage_matches_the_reference, print_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
