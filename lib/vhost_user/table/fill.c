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

int shared_put_locked(struct viommu_shared *shared, const struct viommu_extent *extent)
{
	struct range pages = {extent->first.value >> SHARED_PAGE_SHIFT, extent->last.value >> SHARED_PAGE_SHIFT};
	int err = tree_put(&shared->tree, pages, extent->gpa.value, extent->access);

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

/* [iova, iova + bytes - 1] leads to gpa: as far as that is memory, which guests map more than. */
static void put_memory(struct filling *f, uint64_t iova, uint64_t last, uint64_t gpa, unsigned access)
	REQUIRES(f->shared->lock)
{
	const struct memory *memory = f->section.memory;

	for (size_t i = 0; i < memory->count; i++) {
		struct range region = memory->regions[i].gpa;
		uint64_t end = gpa + (last - iova);

		if (region.last < gpa || region.first > end)
			continue;
		uint64_t from = region.first > gpa ? region.first : gpa, to = least(region.last, end);

		shared_put_locked(f->shared, &(struct viommu_extent){.first = {iova + (from - gpa)},
								     .last = {iova + (to - gpa)},
								     .gpa = {from},
								     .access = access});
	}
}

static void put_leaf(struct filling *f, uint64_t iova, uint64_t last, const struct viommu__leaf *leaf)
	REQUIRES(f->shared->lock)
{
	unsigned access = leaf->access & (VIOMMU_READ | VIOMMU_WRITE);

	if (access && !(leaf->access & VIOMMU_MMIO))
		put_memory(f, iova, last, leaf->gpa, access);
}

static void fill_leaves(struct filling *f, bool walked) REQUIRES(f->shared->lock)
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

		put_leaf(f, at, last, &leaf);
		f->leaves--;
		if (last == f->range.last)
			return;
		at = last + 1;
	}
}

void shared_fill(struct viommu_shared *shared, struct range iova)
{
	struct filling f = {.shared = shared, .range = iova, .leaves = FILL_LEAVES, .holes = FILL_HOLES};

	/* Too many sections are open: there will be misses. Paused: all is filled in when it is resumed. */
	if (viommu_dma_begin(shared->endpoint, &f.section))
		return;
	lock_take(&f.shared->lock);
	enum viommu__space space = viommu__section_space(&f.section);

	if (space == VIOMMU__SPACE_KNOWN || space == VIOMMU__SPACE_TOLD)
		fill_leaves(&f, space == VIOMMU__SPACE_TOLD);
	lock_drop(&f.shared->lock);
	viommu_dma_end(&f.section);
}
