/* SPDX-License-Identifier: BSD-2-Clause */
/* Mappings: map and unmap. */
#include <errno.h>

#include "lib/core/inval.h"
#include "lib/core/limits.h"
#include "lib/core/mirror.h"
#include "lib/core/notify.h"

enum { PAGE_SIZE = 1 << TABLE_PAGE_SHIFT };

static inline int map_locked(struct viommu_domain *domain, struct range pages, uint64_t gpa, unsigned access)
	REQUIRES(domain->lock)
{
	int err = table_map(&domain->table, pages, gpa, access);

	if (!err)
		domain->maps++;
	return err;
}

/* The invalidation ends the mirrors' batch, waits for them, and takes the mapping away again if one refuses it late. */
static void note_map(struct viommu_domain *domain, struct range iova, struct viommu_inval *inval)
	REQUIRES(domain->mirror_lock)
{
	spin_take(&domain->lock);
	viommu__domain_reference_locked(domain, inval);
	spin_drop(&domain->lock);
	inval->work->mirrored = true;
	*viommu__inval_next(inval) =
		(struct change){.kind = CHANGE_MAP, .tag = inval->tag, .domain = domain, .range = iova};
}

/* Limits and mirrors are asked first: what one of them refuses nobody has seen. */
static __attribute__((noinline, cold)) int map_asking(struct viommu_domain *domain, struct range iova, uint64_t gpa,
						      unsigned access, struct viommu_inval *inval)
{
	const struct mapping *mapping = &(struct mapping){iova, gpa, access};
	struct range pages = table_pages(mapping->iova);
	int err, told;

	lock_take(&domain->mirror_lock);
	err = limits_check_all(domain, mapping->iova, mapping->gpa);
	if (err)
		goto out;
	spin_take(&domain->lock);
	err = table_touched(&domain->table, &pages) ? -EEXIST : 0;
	spin_drop(&domain->lock);
	if (err)
		goto out;
#ifdef VIOMMU_MUTANT_MIRROR /* wrong on purpose: everybody sees it while the mirrors are asked */
	struct table_retired retired = {NULL};

	spin_take(&domain->lock);
	table_map(&domain->table, pages, mapping->gpa, mapping->access);
	spin_drop(&domain->lock);
#endif
	told = mirrors_map(domain, mapping, inval != NULL);
#ifdef VIOMMU_MUTANT_MIRROR /* as above */
	spin_take(&domain->lock);
	table_unmap(&domain->table, pages, &retired);
	table_recycle(&domain->table, &retired);
	spin_drop(&domain->lock);
#endif
	if (told < 0) {
		err = told;
		goto out;
	}
	spin_take(&domain->lock);
	err = map_locked(domain, table_pages(mapping->iova), mapping->gpa, mapping->access);
	spin_drop(&domain->lock);
	if (err)
		mirrors_undo(domain, mapping->iova);
	else if (inval && domain->mirrors)
		note_map(domain, mapping->iova, inval);
out:
	/* With an invalidation the batch ends where that begins. */
	if (!inval || err)
		mirrors_batch_end_locked(domain);
	lock_drop(&domain->mirror_lock);
	return err;
}

static inline __attribute__((always_inline)) int map(struct viommu_domain *domain, struct range iova, uint64_t gpa,
						     unsigned access, struct viommu_inval *inval)
{
	if (iova.first > iova.last || !range_aligned(iova, PAGE_SIZE) || gpa & (PAGE_SIZE - 1))
		return -EINVAL;
	if (gpa > UINT64_MAX - (iova.last - iova.first) || access & ~(unsigned)LEAF_ACCESS || domain->identity ||
	    domain->walk)
		return -EINVAL;
	spin_take(&domain->lock);
	const bool ask = maps_ask(domain);
	int err = ask ? 0 : map_locked(domain, table_pages(iova), gpa, access);

	spin_drop(&domain->lock);
	if (ask)
		err = map_asking(domain, iova, gpa, access, inval);
	if (!err)
		notify_mapped(domain, iova);
	return err;
}

int viommu_map(struct viommu_domain *domain, struct viommu_iova first, struct viommu_iova last, struct viommu_gpa gpa,
	       unsigned access)
{
	return map(domain, (struct range){first.value, last.value}, gpa.value, access, NULL);
}

int viommu_map_pending(struct viommu_domain *domain, struct viommu_iova first, struct viommu_iova last,
		       struct viommu_gpa gpa, unsigned access, struct viommu_inval *inval)
{
	int err = viommu__inval_reserve(inval);

	return err ? err : map(domain, (struct range){first.value, last.value}, gpa.value, access, inval);
}

/*
 * The whole pages inside a range that may begin or end in the middle of one. A page that is cut must not be mapped.
 * Returns false where no whole page is left.
 */
static bool whole_pages(struct range bytes, struct range *pages)
{
	uint64_t mask = PAGE_SIZE - 1;

	*pages = table_pages(bytes);
	if (bytes.first & mask)
		pages->first++;
	if (~bytes.last & mask) {
		if (!pages->last)
			return false;
		pages->last--;
	}
	return pages->first <= pages->last;
}

static bool page_mapped(const struct table *table, uint64_t iova)
{
	struct table_hit hit;

	return table_find(table, iova >> TABLE_PAGE_SHIFT, &hit);
}

static bool splits(const struct table *table, struct range bytes)
{
	const uint64_t mask = PAGE_SIZE - 1;

	if (__builtin_expect(!((bytes.first | ~bytes.last) & mask), 1))
		return false;
	if (bytes.first & mask && page_mapped(table, bytes.first))
		return true;
	return ~bytes.last & mask && page_mapped(table, bytes.last);
}

/* All of a range, whatever its size and alignment are. */
static __attribute__((noinline)) int unmap_range(struct table *table, struct range iova, struct table_retired *retired,
						 uint64_t *removed, bool *any)
{
	struct range pages;

	if (splits(table, iova))
		return -ERANGE;
	*any = whole_pages(iova, &pages);
	if (!*any)
		return 0;
	if (table_splits(table, pages))
		return -ERANGE;
	*removed = table_unmap(table, pages, retired);
	return 0;
}

/* The range is one whole page. */
static inline bool one_page(struct range iova)
{
	return iova.last - iova.first == PAGE_SIZE - 1 && !(iova.first & (PAGE_SIZE - 1));
}

static inline __attribute__((always_inline)) int unmap_locked(struct viommu_domain *domain, struct range iova,
							      struct viommu_inval *inval, uint64_t *removed)
	REQUIRES(domain->lock)
{
	struct table_retired retired = {NULL};

	if (one_page(iova) && table_unmap_one(&domain->table, iova.first >> TABLE_PAGE_SHIFT)) {
		*removed = 1;
	} else {
		bool any;
		int err = unmap_range(&domain->table, iova, &retired, removed, &any);

		if (err || !any)
			return err;
	}
	domain->unmaps += *removed;
	/* Also where nothing is mapped: the unmap that took it away may still be waiting. */
	viommu__domain_reference_locked(domain, inval);
	*viommu__inval_next(inval) = (struct change){
		.kind = CHANGE_UNMAP, .tag = inval->tag, .domain = domain, .range = iova, .retired = retired};
	return 0;
}

/* In the order in which the domain changes. */
static __attribute__((noinline, cold)) int unmap_mirrored(struct viommu_domain *domain, struct range iova,
							  struct viommu_inval *inval, uint64_t *removed)
{
	lock_take(&domain->mirror_lock);
	spin_take(&domain->lock);
	int err = unmap_locked(domain, iova, inval, removed);

	spin_drop(&domain->lock);
	if (!err && *removed)
		mirrors_unmap(domain, iova);
	inval->work->mirrored = true;
	lock_drop(&domain->mirror_lock);
	return err;
}

int viommu_unmap(struct viommu_domain *domain, struct viommu_iova first, struct viommu_iova last,
		 struct viommu_inval *inval, uint64_t *removed)
{
	uint64_t count = 0;

	if (first.value > last.value || domain->identity || domain->walk)
		return -EINVAL;
	int err = viommu__inval_reserve(inval);

	if (err)
		return err;
	const struct range iova = {first.value, last.value};

	spin_take(&domain->lock);
	const bool mirrors = mirrored(domain);

	if (!mirrors)
		err = unmap_locked(domain, iova, inval, &count);
	spin_drop(&domain->lock);
	if (mirrors)
		err = unmap_mirrored(domain, iova, inval, &count);
	if (removed)
		*removed = count;
	return err;
}

int viommu_domain_next(struct viommu_domain *domain, struct viommu_iova iova, struct viommu_mapping *out)
{
	struct table_mapping found;

	if (domain->identity || domain->walk)
		return -EINVAL;
	spin_take(&domain->lock);
	bool any = table_mapping_next(&domain->table, iova.value >> TABLE_PAGE_SHIFT, &found);

	spin_drop(&domain->lock);
	if (!any)
		return -ENOENT;
	*out = (struct viommu_mapping){
		.first = {found.pages.first << TABLE_PAGE_SHIFT},
		.last = {found.pages.last << TABLE_PAGE_SHIFT | (PAGE_SIZE - 1)},
		.gpa = {found.gpa},
		.access = found.access,
	};
	return 0;
}
