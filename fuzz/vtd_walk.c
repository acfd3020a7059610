/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/vtd_walk.h"

#include <string.h>

static const uint64_t address_bits = 0xffffffffff000;

static bool word_at(const struct vtd_walk *walk, uint64_t gpa, uint64_t *word)
{
	if (gpa >= walk->size || walk->size - gpa < sizeof(*word))
		return false;
	memcpy(word, walk->ram + gpa, sizeof(*word));
	return true;
}

/* A present entry; *table: what it points to. */
static bool follow(const struct vtd_walk *walk, uint64_t gpa, uint64_t *entry, uint64_t *table)
{
	if (!word_at(walk, gpa, entry) || !(*entry & 1))
		return false;
	*table = *entry & ~0xfffull;
	return true;
}

static bool legacy(const struct vtd_walk *walk, struct vtd_found *found)
{
	uint64_t low, high, context;

	if (!follow(walk, (walk->root & ~0xfffull) + (walk->source >> 8) * 16, &low, &context))
		return false;
	context += (walk->source & 0xff) * 16;
	if (!follow(walk, context, &low, &found->table) || !word_at(walk, context + 8, &high))
		return false;
	found->passes = (low >> 2 & 3) == 2;
	found->levels = (high & 7) + 2;
	found->did = high >> 8 & 0xffff;
	return true;
}

static bool pasid(const struct vtd_walk *walk, uint64_t entry, struct vtd_found *found)
{
	uint64_t word, high, flags;

	if (!follow(walk, entry, &word, &found->table) || !word_at(walk, entry + 8, &high) ||
	    !word_at(walk, entry + 16, &flags))
		return false;
	found->did = high & 0xffff;
	found->levels = (word >> 2 & 7) + 2;
	switch (word >> 6 & 7) {
	case 1:
		found->first_stage = true;
		found->table = flags & ~0xfffull;
		found->levels = flags >> 2 & 3 ? 5 : 4;
		return true;
	case 2:
		return true;
	case 4:
		found->passes = true;
		return true;
	default:
		return false;
	}
}

/* By the PASID of requests that have none. */
static bool scalable(const struct vtd_walk *walk, struct vtd_found *found)
{
	const unsigned half = walk->source & 0x80 ? 8 : 0;
	uint64_t word, high, context, directory, entry;

	if (!follow(walk, (walk->root & ~0xfffull) + (walk->source >> 8) * 16 + half, &word, &context))
		return false;
	context += (walk->source & 0x7f) * 32;
	if (!follow(walk, context, &word, &directory) || !word_at(walk, context + 8, &high))
		return false;
	found->pasid = high & 0xfffff;
	return follow(walk, directory + (found->pasid >> 6) * 8, &word, &entry) &&
	       pasid(walk, entry + (found->pasid & 63) * 64, found);
}

bool vtd_walk_context(const struct vtd_walk *walk, struct vtd_found *found)
{
	memset(found, 0, sizeof(*found));
	return (walk->root >> 10 & 3 ? scalable(walk, found) : legacy(walk, found)) && found->levels <= 5;
}

/* Each entry on the way must allow the access: R or W; or P and U/S, and R/W. */
bool vtd_walk_pages(const struct vtd_walk *walk, const struct vtd_found *found, uint64_t iova, uint64_t *gpa,
		    uint64_t *last)
{
	const uint64_t needed = found->first_stage ? (walk->write ? 7 : 5) : walk->write ? 2 : 1;
	uint64_t table = found->table, entry;

	*gpa = iova;
	*last = 0;
	for (unsigned level = found->levels; level && !found->passes; level--) {
		const uint64_t shift = 12 + 9 * (level - 1), offset = iova & ((1ull << shift) - 1);

		*last = table + (iova >> shift & 511) * 8;
		if (!word_at(walk, *last, &entry) || (entry & needed) != needed)
			return false;
		table = entry & address_bits;
		*gpa = (table & ~((1ull << shift) - 1)) | offset;
		if (level > 1 && entry & 0x80)
			return true;
	}
	return true;
}
