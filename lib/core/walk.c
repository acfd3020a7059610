/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/core/walk.h"

#include <errno.h>

#include "lib/core/inval.h"
#include "lib/core/mirror.h"

/* A full table keeps nothing more; the next invalidation of the domain empties it. */
static void keep_locked(struct viommu_domain *domain, const struct walk_result *result) REQUIRES(domain->lock)
{
	struct range pages = {result->iova.first >> TABLE_PAGE_SHIFT, result->iova.last >> TABLE_PAGE_SHIFT};
	int err = table_map(&domain->table, pages, result->gpa, result->access);

	/*
	 * The guest changed an entry and has not invalidated it yet, or gave it more rights, which needs no
	 * invalidation.
	 */
	if (err == -EEXIST)
		table_replace(&domain->table, pages, result->gpa, result->access);
	else if (err)
		domain->overfull = true;
}

/* What a walk found that began with this generation is kept, unless an invalidation has come since. */
static void keep(struct viommu_domain *domain, const struct walk_result *result, uint64_t generation)
{
	spin_take(&domain->lock);
#ifdef VIOMMU_MUTANT_GENERATION /* wrong on purpose: kept, whatever was invalidated since */
	generation = atomic_load_explicit(&domain->generation, memory_order_relaxed);
#endif
	if (generation == atomic_load_explicit(&domain->generation, memory_order_relaxed))
		keep_locked(domain, result);
	spin_drop(&domain->lock);
}

int viommu__domain_walk(const struct viommu_section *section, uint64_t iova, unsigned access,
			struct walk_result *result)
{
	struct viommu_domain *domain = section->domain;
	/* Acquire: partner of the release in viommu__domain_evict(); the guest's entries are read after it. */
	uint64_t generation = atomic_load_explicit(&domain->generation, memory_order_acquire);
	int err = domain->walk->walk(domain->walk_opaque, section->memory, iova, access, result);

	section_count_walk(section->slot);
	/* Nearly always what it is already: then the line stays the one that all sections have read. */
	if (atomic_load_explicit(&domain->id, memory_order_relaxed) != result->domain_id)
		atomic_store_explicit(&domain->id, result->domain_id, memory_order_relaxed);
	if (!err && !result->once)
		keep(domain, result, generation);
	return err;
}

static void evict_locked(struct viommu_domain *domain, struct range iova, struct change *change) REQUIRES(domain->lock)
{
	struct range pages = {iova.first >> TABLE_PAGE_SHIFT, iova.last >> TABLE_PAGE_SHIFT};

	if (domain->overfull)
		pages = (struct range){0, UINT64_MAX >> TABLE_PAGE_SHIFT};
	domain->overfull = false;
	/* Release: partner of the acquire in viommu__domain_walk(). */
	atomic_fetch_add_explicit(&domain->generation, 1, memory_order_release);
	table_evict(&domain->table, pages, &change->retired);
}

int viommu__domain_evict(struct viommu_domain *domain, struct range iova, bool spare_ats, struct viommu_inval *inval)
{
	struct change change = {.kind = CHANGE_UNMAP, .domain = domain, .range = iova, .spare_ats = spare_ats};
	int err = viommu__inval_reserve(inval);

	if (err)
		return err;
	spin_take(&domain->lock);
	evict_locked(domain, iova, &change);
	/* Recorded even if nothing was kept: a section may use what it walked and nobody kept. */
	viommu__domain_reference_locked(domain, inval);
	change.tag = inval->tag;
	*viommu__inval_next(inval) = change;
	const bool mirrors = mirrored(domain);

	spin_drop(&domain->lock);
	if (mirrors) {
		inval->work->mirrored = true;
		lock_take(&domain->mirror_lock);
		mirrors_refresh(domain, iova, true);
		lock_drop(&domain->mirror_lock);
	}
	return 0;
}

/* What lies there already is replaced. Full: everything goes, and what is wanted is brought again. */
static int replace_locked(struct viommu_domain *domain, struct range iova, uint64_t gpa, unsigned access,
			  struct viommu_inval *inval) REQUIRES(domain->lock)
{
	struct range pages = {iova.first >> TABLE_PAGE_SHIFT, iova.last >> TABLE_PAGE_SHIFT};
	struct change change = {.kind = CHANGE_UNMAP, .tag = inval->tag, .domain = domain, .range = iova};
	int err = table_map(&domain->table, pages, gpa, access);

	if (!err)
		return 0;
	if (err != -EEXIST) {
		domain->overfull = true;
		change.range = (struct range){0, UINT64_MAX};
	}
	evict_locked(domain, iova, &change);
	/*
	 * The nodes that became free are used again only when this invalidation is complete: -ENOSPC may be said once
	 * more.
	 */
	if (err == -EEXIST)
		err = table_map(&domain->table, pages, gpa, access);
	viommu__domain_reference_locked(domain, inval);
	*viommu__inval_next(inval) = change;
	return err;
}

int viommu__domain_replace(struct viommu_domain *domain, struct range iova, uint64_t gpa, unsigned access,
			   struct viommu_inval *inval)
{
	int err = viommu__inval_reserve(inval);

	if (err)
		return err;
	spin_take(&domain->lock);
	err = replace_locked(domain, iova, gpa, access, inval);
	spin_drop(&domain->lock);
	return err;
}
