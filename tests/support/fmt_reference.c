/* SPDX-License-Identifier: BSD-2-Clause */
/* The brute-force reference: every entry of every table, from the top down, bit by bit. */
#include <stdlib.h>

#include "tests/support/fmt_world.h"
#include "tests/support/test.h"

/* The tables' part of a list that is being made. */
struct listing {
	struct world *world;
	struct world_map *map;
	unsigned access;
};

/* What the entries above say. */
struct above {
	unsigned level, access, depth;
	uint64_t path[PT_LEVELS];
};

static void add(struct world_map *map, struct world_piece piece)
{
	struct world_piece *before = map->count ? &map->pieces[map->count - 1] : NULL;

	assert_true(piece.first == (before ? before->last + 1 : 0));
	if (before && before->end == piece.end && before->level == piece.level && before->depth == piece.depth &&
	    piece.end != PT_OK && (!piece.depth || before->path[piece.depth - 1] == piece.path[piece.depth - 1])) {
		before->last = piece.last;
		return;
	}
	if (map->count == map->room) {
		map->room = map->room ? map->room * 2 : 1024;
		map->pieces = realloc(map->pieces, map->room * sizeof(piece));
		assert_non_null(map->pieces);
	}
	map->pieces[map->count++] = piece;
}

static uint64_t size_of(unsigned level)
{
	static const uint64_t sizes[] = {0, 4096, 2ull << 20, 1ull << 30, 512ull << 30, 256ull << 40};

	return sizes[level];
}

static bool has(uint64_t entry, unsigned bit)
{
	return entry >> bit & 1;
}

static bool no_large_page(const struct world *world, unsigned level)
{
	return level > 3 || (level == 3 && !world->pages_1g) || (level == 2 && !world->pages_2m);
}

static bool reserved_ss(const struct world *world, unsigned bit, unsigned level, bool leaf)
{
	switch (bit) {
	case 7:
		return level > 1 && no_large_page(world, level);
	case 11:
		return !leaf || !world->snoop_control;
	case 62:
		return !leaf || !world->device_tlb;
	default:
		return leaf && bit >= 12 && 1ull << bit < size_of(level);
	}
}

static bool reserved_fs(const struct world *world, unsigned bit, unsigned level, bool leaf)
{
	switch (bit) {
	case 7:
		return level > 1 && no_large_page(world, level);
	case 63:
		return !world->no_execute;
	default:
		return leaf && bit >= 13 && 1ull << bit < size_of(level);
	}
}

static bool any_reserved(const struct world *world, uint64_t entry, unsigned level, bool leaf)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!has(entry, bit))
			continue;
		if (bit >= 12 && bit <= 51 && bit >= world->host_width)
			return true;
		if ((world->first_stage ? reserved_fs : reserved_ss)(world, bit, level, leaf))
			return true;
	}
	return false;
}

static unsigned rights(const struct world *world, uint64_t entry)
{
	if (world->first_stage)
		return 1 | (has(entry, 1) ? 2 : 0);
	return (has(entry, 0) ? 1 : 0) | (has(entry, 1) ? 2 : 0);
}

static enum pt_end judge(const struct listing *l, uint64_t entry, unsigned level, bool leaf)
{
	const struct world *world = l->world;

	if (world->first_stage ? !has(entry, 0) : !has(entry, 0) && !has(entry, 1))
		return PT_NOT_PRESENT;
	if (world->first_stage && !has(entry, 2))
		return PT_NOT_USER;
	if (l->access & 2 && !(rights(world, entry) & 2))
		return PT_NO_WRITE;
	if (l->access & 1 && !(rights(world, entry) & 1))
		return PT_NO_READ;
	return any_reserved(world, entry, level, leaf) ? PT_RESERVED : PT_OK;
}

static void list_table(struct listing *l, uint64_t table, uint64_t base, struct above above);

static void list_entry(struct listing *l, uint64_t at, uint64_t first, struct above above)
{
	unsigned level = above.level;
	const uint64_t *slot = world_entry(l->world, at, false);
	struct world_piece piece = {.first = first, .last = first + size_of(level) - 1, .level = level};
	uint64_t entry = slot ? *slot : 0;
	bool leaf = level == 1 || has(entry, 7);

	if (slot)
		piece.end = judge(l, entry, level, leaf);
	else
		piece.end = level == l->world->levels ? PT_TOP_UNREADABLE : PT_UNREADABLE;
	if (piece.end == PT_OK) {
		above.path[above.depth++] = at;
		above.access &= rights(l->world, entry);
		if (!leaf) {
			above.level--;
			list_table(l, entry & 0xffffffffff000, first, above);
			return;
		}
		piece.gpa = (entry & 0xfffffffffffff) / size_of(level) * size_of(level);
		piece.access = above.access;
	}
	piece.depth = above.depth;
	for (unsigned i = 0; i < above.depth; i++)
		piece.path[i] = above.path[i];
	add(l->map, piece);
}

static void list_table(struct listing *l, uint64_t table, uint64_t base, struct above above)
{
	for (unsigned i = 0; i < 512; i++) {
		/* Canonical addresses: the upper half of the tables is the upper half of all addresses. */
		if (l->world->first_stage && above.level == l->world->levels && i == 256) {
			uint64_t half = 256 * size_of(above.level);

			add(l->map, (struct world_piece){.first = half, .last = 0 - half - 1, .end = PT_NOT_CANONICAL});
			base = 0 - 2 * half;
		}
		list_entry(l, table + i * 8, base + i * size_of(above.level), above);
	}
}

/* Cut off what the tables do not translate, or the unit does not. */
static void limit(const struct world *world, struct world_map *map)
{
	uint64_t reach = 512 * size_of(world->levels), mgaw = 1ull << world->guest_width;

	reach = reach < mgaw ? reach : mgaw;
	while (map->pieces[map->count - 1].first >= reach)
		map->count--;
	map->pieces[map->count - 1].last = reach - 1;
	add(map, (struct world_piece){.first = reach, .last = UINT64_MAX, .end = PT_BEYOND_WIDTH});
}

void world_list(struct world *world)
{
	for (unsigned access = 0; access < WORLD_ACCESSES; access++) {
		struct listing l = {world, &world->maps[access], access};

		list_table(&l, world->top, 0, (struct above){.level = world->levels, .access = 3});
		if (!world->first_stage)
			limit(world, l.map);
		assert_true(l.map->pieces[l.map->count - 1].last == UINT64_MAX);
	}
}

const struct world_piece *world_find(const struct world *world, uint64_t iova, unsigned access)
{
	const struct world_map *map = &world->maps[access];
	size_t low = 0, high = map->count - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (map->pieces[middle].last < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return &map->pieces[low];
}
