/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest maps is in the table before it sees its request complete. Leaves are taken as the domain has them and
 * not melted together, so that unmapping one mapping never touches another's.
 */
#include "lib/core/target.h"
#include "lib/vhost_user/table/writer.h"

/* A callback holds everybody up: whatever is beyond this is left to misses. */
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

static void put_target(struct filling *f, uint64_t iova, uint64_t last, const struct target *target)
	REQUIRES(f->shared->lock)
{
	unsigned access = target->access & (VIOMMU_READ | VIOMMU_WRITE);

	if (access && target_allows(target, 0))
		put_memory(f, iova, last, target->gpa, access);
}

/* What is mapped at an address, or after which one something may be again. */
static bool find(const struct filling *f, uint64_t at, struct target *target, uint64_t *hole)
{
	struct viommu_domain *domain = f->section.domain;
	struct walk_result result;

	*hole = at | ((1u << SHARED_PAGE_SHIFT) - 1);
	if (target_find(domain, at, target))
		return true;
	if (!domain->walk) {
		uint64_t page = at >> SHARED_PAGE_SHIFT;

		*hole = table_next(&domain->table, page, &page) ? (page << SHARED_PAGE_SHIFT) - 1 : UINT64_MAX;
		return false;
	}
	if (!viommu__domain_walk(domain, f->section.memory, at, 0, &result)) {
		target_fill(&result, at, target);
		return true;
	}
	if (result.hole > *hole)
		*hole = result.hole;
	return false;
}

static void fill_domain(struct filling *f) REQUIRES(f->shared->lock)
{
	uint64_t at = f->range.first, hole;
	struct target target;

	while (f->leaves) {
		if (!find(f, at, &target, &hole)) {
			if (hole >= f->range.last || (f->section.domain->walk && !f->holes--))
				return;
			at = hole + 1;
			continue;
		}
		uint64_t last = at + least(target.len - 1, f->range.last - at);

		put_target(f, at, last, &target);
		f->leaves--;
		if (last == f->range.last)
			return;
		at = last + 1;
	}
}

static void fill_inside(struct filling *f) REQUIRES(f->shared->lock)
{
	const struct viommu_domain *domain = f->section.domain;

	if (!domain)
		return;
	if (domain->identity)
		put_memory(f, f->range.first, f->range.last, f->range.first, VIOMMU_READ | VIOMMU_WRITE);
	else if (!domain->walk || domain->walk->told)
		fill_domain(f);
}

void shared_fill(struct viommu_shared *shared, struct range iova)
{
	struct filling f = {.shared = shared, .range = iova, .leaves = FILL_LEAVES, .holes = FILL_HOLES};

	/* Too many sections are open: there will be misses. */
	if (viommu_dma_begin(shared->endpoint, &f.section))
		return;
	lock_take(&f.shared->lock);
	if (shared_may_dma(shared))
		fill_inside(&f);
	lock_drop(&f.shared->lock);
	viommu_dma_end(&f.section);
}
