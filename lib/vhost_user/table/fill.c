/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest maps is in the table before it sees its request complete. Leaves are taken as the domain has them and
 * not melted together, so that unmapping one mapping never touches another's.
 */
#include "lib/core/internal.h"
#include "lib/vhost_user/table/writer.h"

/* A callback holds all users of the context up: whatever is beyond this is left to misses. */
enum { FILL_LEAVES = 1 << 16, FILL_HOLES = 1 << 15 };

struct filling {
	struct viommu_shared *shared;
	struct viommu_section section;
	struct range range;
	unsigned leaves, holes; /* so many more; holes: that took a walk */
};

int shared_put_locked(struct viommu_shared *shared, struct range iova, uint64_t gpa, unsigned access)
{
	struct range pages = {iova.first >> SHARED_PAGE_SHIFT, iova.last >> SHARED_PAGE_SHIFT};
	int err = tree_put(&shared->tree, pages, gpa, access);

	if (err)
		shared->stats.full++;
	else
		shared->stats.puts++;
	return err;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The addresses lead to gpa: as far as that is memory, which guests map more than. */
static inline void put_memory(struct viommu_shared *shared, const struct memory *memory, struct range iova,
			      uint64_t gpa, unsigned access)
{
	const uint64_t end = gpa + (iova.last - iova.first);

	for (size_t i = 0; i < memory->count; i++) {
		const struct range region = memory->regions[i].gpa;

		if (region.last < gpa || region.first > end)
			continue;
		const uint64_t from = region.first > gpa ? region.first : gpa, to = least(region.last, end);

		shared_put_locked(shared, (struct range){iova.first + (from - gpa), iova.first + (to - gpa)}, from,
				  access);
	}
}

static inline void put_leaf(struct viommu_shared *shared, const struct memory *memory, struct range iova,
			    const struct viommu__leaf *leaf)
{
	const unsigned access = leaf->access & (VIOMMU_READ | VIOMMU_WRITE);

	if (access && !(leaf->access & VIOMMU_MMIO))
		put_memory(shared, memory, iova, leaf->gpa, access);
}

static __attribute__((noinline)) void fill_leaves(struct filling *f, bool walked)
{
	uint64_t at = f->range.first, hole;
	struct viommu__leaf leaf;

	while (f->leaves) {
		if (!viommu__section_leaf(&f->section, at, &leaf, &hole)) {
			if (hole >= f->range.last || (walked && !f->holes--))
				return;
			at = hole + 1;
			continue;
		}
		uint64_t last = at + least(leaf.len - 1, f->range.last - at);

		put_leaf(f->shared, f->section.memory, (struct range){at, last}, &leaf);
		f->leaves--;
		if (last == f->range.last)
			return;
		at = last + 1;
	}
}

void shared_fill_locked(struct viommu_shared *shared, struct range iova)
{
	struct filling f; /* not cleared: the compiler takes a string instruction for the section, of 10 ns a map */
	struct viommu__leaf leaf;

	const enum viommu__space space = viommu__client_look(shared->client, &f.section);

	/* Paused: all is filled in when it is resumed. */
	if (space != VIOMMU__SPACE_KNOWN && space != VIOMMU__SPACE_TOLD)
		return;
	/* The common case: what was mapped is a leaf. */
	if (viommu__section_kept(&f.section, iova.first, &leaf) && leaf.len - 1 >= iova.last - iova.first) {
		put_leaf(shared, f.section.memory, iova, &leaf);
		return;
	}
	f.shared = shared;
	f.range = iova;
	f.leaves = FILL_LEAVES;
	f.holes = FILL_HOLES;
	fill_leaves(&f, space == VIOMMU__SPACE_TOLD);
}
