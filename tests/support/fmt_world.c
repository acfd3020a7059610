/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random tables: valid ones, holes, loops, reserved bits, pointers to where there is no memory and to the last page of
 * it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/fmt_world.h"
#include "tests/support/test.h"

enum { PAGE = 4096, ENTRIES = 512, ENTRIES_USED = 6 };

uint64_t world_random(struct world *world)
{
	world->seed ^= world->seed << 13;
	world->seed ^= world->seed >> 7;
	world->seed ^= world->seed << 17;
	return world->seed;
}

uint64_t world_below(struct world *world, uint64_t limit)
{
	return world_random(world) % limit;
}

static bool chance(struct world *world, unsigned per_cent)
{
	return world_below(world, 100) < per_cent;
}

uint64_t *world_entry(const struct world *world, uint64_t gpa, bool live)
{
	for (unsigned i = 0; i < WORLD_REGIONS; i++) {
		const struct world_region *region = &world->regions[i];

		if (gpa >= region->gpa && gpa - region->gpa < region->size)
			return (uint64_t *)((live ? region->host : region->copy) + (gpa - region->gpa));
	}
	return NULL;
}

bool world_find_region(struct pt_memory *memory, uint64_t gpa)
{
	const struct world *world = memory->opaque;

	for (unsigned i = 0; i < WORLD_REGIONS; i++) {
		const struct world_region *region = &world->regions[i];

		if (gpa < region->gpa || gpa - region->gpa >= region->size)
			continue;
		memory->first = region->gpa;
		memory->last = region->gpa + region->size - 1;
		memory->host = region->host;
		return true;
	}
	return false;
}

static uint64_t pages_of(const struct world_region *region)
{
	return (region->size + PAGE - 1) / PAGE;
}

/* Between pages that cannot be touched, and with its end at one of them: who reads on does not get far. */
static void region_create(struct world_region *region, uint64_t gpa, uint64_t size)
{
	*region = (struct world_region){.gpa = gpa, .size = size, .copy = malloc(size)};
	uint64_t pages = pages_of(region);
	uint8_t *space = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(space != MAP_FAILED && region->copy);
	assert_int_equal(mprotect(space + PAGE, pages * PAGE, PROT_READ | PROT_WRITE), 0);
	region->host = space + PAGE + (pages * PAGE - size);
}

static void region_destroy(struct world_region *region)
{
	uint8_t *page = (uint8_t *)((uintptr_t)region->host & ~(uintptr_t)(PAGE - 1));

	munmap(page - PAGE, (pages_of(region) + 2) * PAGE);
	free(region->copy);
}

static uint64_t random_page(struct world *world, unsigned regions)
{
	const struct world_region *region = &world->regions[world_below(world, regions)];

	return region->gpa + world_below(world, pages_of(region)) * PAGE;
}

static uint64_t random_address(struct world *world)
{
	if (!chance(world, world->defects))
		return random_page(world, WORLD_REGIONS - 1); /* the last one ends within a page */
	switch (world_below(world, 5)) {
	case 0:
		return random_page(world, WORLD_REGIONS);
	case 1:
		return 0xfee00000;
	case 2: /* the last page below the host address width, and the first one beyond */
		return (1ull << world->host_width) - PAGE;
	case 3:
		return (1ull << world->host_width) & VTD_PT_ADDRESS;
	default:
		return world_random(world) & VTD_PT_ADDRESS;
	}
}

static uint64_t flags_ss(struct world *world)
{
	static const uint8_t rights[] = {3, 3, 3, 3, 3, 3, 1, 2, 7, 0};
	uint64_t flags = rights[world_below(world, sizeof(rights))];

	flags |= world_random(world) & 0xbff0000000000778; /* ignored or available */
	if (chance(world, world->defects))
		flags |= 1ull << 11;
	if (chance(world, world->defects))
		flags |= 1ull << 62;
	return flags;
}

static uint64_t flags_fs(struct world *world)
{
	static const uint8_t rights[] = {7, 7, 7, 7, 7, 7, 5, 5, 7, 6};
	uint64_t flags = rights[world_below(world, sizeof(rights))];

	flags |= world_random(world) & 0x7ff0000000000f78; /* ignored, A and D among them */
	if (chance(world, world->defects))
		flags |= 1ull << 63;
	if (chance(world, world->defects))
		flags &= ~4ull;
	return flags;
}

static uint64_t random_entry(struct world *world)
{
	uint64_t address = random_address(world), flags = world->first_stage ? flags_fs(world) : flags_ss(world);

	if (chance(world, 25)) { /* a large page, if this level has some */
		flags |= 1 << 7;
		if (!chance(world, world->defects))
			address &= ~(chance(world, 50) ? 0x1fffffull : 0x3fffffffull);
		if (world->first_stage)
			address |= world_random(world) & 0x1000;
	}
	return address | flags;
}

static void fill_table(struct world *world, uint64_t gpa)
{
	static const uint16_t favourites[] = {0, 1, 255, 256, 510, 511};

	for (unsigned i = 0; i < ENTRIES_USED; i++) {
		uint64_t index = chance(world, 60) ? favourites[world_below(world, 6)] : world_below(world, ENTRIES);
		uint64_t *entry = world_entry(world, gpa + index * sizeof(uint64_t), true);

		if (entry)
			*entry = random_entry(world);
	}
}

static void choose_capabilities(struct world *world)
{
	static const uint8_t widths[] = {39, 40, 46, 48, 52};

	world->levels = world->first_stage ? 4 + (unsigned)world_below(world, 2) : 3 + (unsigned)world_below(world, 3);
	world->host_width = widths[world_below(world, 5)];
	world->guest_width = chance(world, 70) ? 57 : 36 + (unsigned)world_below(world, 22);
	world->pages_2m = chance(world, 70) || world->first_stage;
	world->pages_1g = chance(world, 60);
	world->snoop_control = chance(world, 50);
	world->device_tlb = chance(world, 50);
	world->no_execute = chance(world, 50);
	world->defects = chance(world, 50) ? 2 : 20;
}

void world_create(struct world *world, bool first_stage, uint64_t seed)
{
	*world = (struct world){.seed = seed, .first_stage = first_stage};
	for (unsigned i = 0; i < 20; i++) /* small seeds give small numbers at first */
		world_random(world);
	choose_capabilities(world);
	region_create(&world->regions[0], 0, 16 * PAGE);
	region_create(&world->regions[1], 0x40000000, 4 * PAGE);
	region_create(&world->regions[2], (1ull << world->host_width) - 4 * PAGE, 4 * PAGE);
	region_create(&world->regions[3], 0x200000, PAGE + PAGE / 2);
	for (unsigned i = 0; i < WORLD_REGIONS; i++)
		for (uint64_t page = 0; page < pages_of(&world->regions[i]); page++)
			fill_table(world, world->regions[i].gpa + page * PAGE);
	world->top = chance(world, 97) ? random_page(world, WORLD_REGIONS) : random_address(world);
	for (unsigned i = 0; i < WORLD_REGIONS; i++)
		memcpy(world->regions[i].copy, world->regions[i].host, world->regions[i].size);
	world_list(world);
}

void world_destroy(struct world *world)
{
	for (unsigned i = 0; i < WORLD_REGIONS; i++)
		region_destroy(&world->regions[i]);
	for (unsigned i = 0; i < WORLD_ACCESSES; i++)
		free(world->maps[i].pieces);
}
