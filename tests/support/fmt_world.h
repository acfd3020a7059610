/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory with random page tables in it, and what a walk of them must find, worked out by listing every entry of
 * every table from the top down. The list is made of the specification's bit numbers and shares nothing with the
 * walker.
 */
#ifndef TESTS_SUPPORT_FMT_WORLD_H
#define TESTS_SUPPORT_FMT_WORLD_H

#include "lib/fmt/vtd_fs.h"
#include "lib/fmt/vtd_ss.h"

enum { WORLD_REGIONS = 4, WORLD_ACCESSES = 4 };

struct world_region {
	uint64_t gpa, size;
	uint8_t *host, *copy; /* the copy has the marks that walks should have left */
};

/* What all addresses first..last have in common for one kind of access. */
struct world_piece {
	uint64_t first, last;
	enum pt_end end;
	unsigned level, access;
	uint64_t gpa;
	unsigned depth;           /* entries passed on the way */
	uint64_t path[PT_LEVELS]; /* where they lie */
};

struct world_map {
	struct world_piece *pieces; /* in order of addresses, without gaps */
	size_t count, room;
};

struct world {
	uint64_t seed;
	bool first_stage;
	unsigned levels, host_width, guest_width;
	bool pages_2m, pages_1g, snoop_control, device_tlb, no_execute;
	uint64_t top;
	unsigned defects; /* per cent of entries with something wrong */
	struct world_region regions[WORLD_REGIONS];
	struct world_map maps[WORLD_ACCESSES];
};

uint64_t world_random(struct world *world);
uint64_t world_below(struct world *world, uint64_t limit);

void world_create(struct world *world, bool first_stage, uint64_t seed);
void world_destroy(struct world *world);

/* List all that the tables say (fmt_reference.c). */
void world_list(struct world *world);

/* The piece that an address lies in. */
const struct world_piece *world_find(const struct world *world, uint64_t iova, unsigned access);

/* Where an entry lies in the copy (or, `live`, in memory); NULL: no memory there. */
uint64_t *world_entry(const struct world *world, uint64_t gpa, bool live);

/* For struct pt_memory; opaque is the world. */
bool world_find_region(struct pt_memory *memory, uint64_t gpa);

#endif
