/* SPDX-License-Identifier: BSD-2-Clause */
/* Domains: their life, map and unmap. */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "lib/core/mirror.h"

enum { PAGE_SIZE = 1 << TABLE_PAGE_SHIFT };

static void link_locked(struct viommu *v, struct viommu_domain *domain) REQUIRES(v->lock)
{
	domain->next = v->domains;
	if (v->domains)
		v->domains->prev = domain;
	v->domains = domain;
}

static void unlink_locked(struct viommu *v, struct viommu_domain *domain) REQUIRES(v->lock)
{
	if (domain->next)
		domain->next->prev = domain->prev;
	if (domain->prev)
		domain->prev->next = domain->next;
	else
		v->domains = domain->next;
}

static void init(struct viommu *v, const struct viommu_domain *kind, struct viommu_domain *domain) NO_OTHER_THREAD
{
	domain->v = v;
	domain->id = kind->id;
	domain->identity = kind->identity;
	domain->walk = kind->walk;
	domain->walk_opaque = kind->walk_opaque;
	domain->references = 1;
	spin_init(&domain->lock);
	lock_init(&domain->holds_lock);
	lock_init(&domain->mirror_lock);
	table_init(&domain->table, v->config.domain_table_bytes);
	table_init(&domain->shadow, v->config.domain_table_bytes);
}

static int create(struct viommu *v, const struct viommu_domain *kind, struct viommu_domain **out)
{
	struct viommu_domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return -ENOMEM;
	init(v, kind, domain);
	lock_take(&v->lock);
	domain->index = index_get(&v->domain_indices);
	if (domain->index) {
		link_locked(v, domain);
		/* Release: partner of the acquire in viommu_dma_begin(). */
		atomic_store_explicit(&v->by_index[domain->index], domain, memory_order_release);
	}
	lock_drop(&v->lock);
	if (!domain->index) {
		free(domain);
		return -ENOSPC;
	}
	*out = domain;
	return 0;
}

int viommu_domain_create(struct viommu *v, uint32_t id, struct viommu_domain **out)
{
	return create(v, &(struct viommu_domain){.id = id}, out);
}

int viommu__domain_create_identity(struct viommu *v, uint32_t id, struct viommu_domain **out)
{
	return create(v, &(struct viommu_domain){.id = id, .identity = true}, out);
}

int viommu__domain_create_walked(struct viommu *v, const struct walk_ops *ops, void *opaque, struct viommu_domain **out)
{
	return create(v, &(struct viommu_domain){.walk = ops, .walk_opaque = opaque}, out);
}

/*
 * Invalidations see an empty list of holds without the lock: who has just released the last one may still be about to
 * drop it.
 */
static void await_release(struct viommu_domain *domain)
{
	lock_take(&domain->holds_lock);
	lock_drop(&domain->holds_lock);
}

/* The domain is unlinked, so no other thread counts in it; the context's counts are under its lock. */
static void bequeath_locked(struct viommu *v, const struct viommu_domain *domain) REQUIRES(v->lock) NO_OTHER_THREAD
{
	v->gone_walks += domain->walks;
	v->gone_maps += domain->maps;
	if (!domain->walk)
		v->gone_unmaps += domain->unmaps + domain->table.mappings; /* what was mapped goes too */
}

static void domain_free(struct viommu_domain *domain)
{
	struct viommu *v = domain->v;

	await_release(domain);
	lock_take(&v->lock);
	unlink_locked(v, domain);
	atomic_store_explicit(&v->by_index[domain->index], NULL, memory_order_relaxed);
	index_put(&v->domain_indices, domain->index);
	atomic_fetch_sub_explicit(&v->doomed, 1, memory_order_relaxed);
	bequeath_locked(v, domain);
	lock_drop(&v->lock);
	table_fini(&domain->table);
	table_fini(&domain->shadow);
	lock_fini(&domain->holds_lock);
	lock_fini(&domain->mirror_lock);
	if (domain->walk && domain->walk->gone)
		domain->walk->gone(domain->walk_opaque);
	free(domain);
}

void viommu__domain_put(struct viommu_domain *domain, unsigned count)
{
	spin_take(&domain->lock);
	domain->references -= count;
	bool last = !domain->references;

	spin_drop(&domain->lock);
	if (last)
		domain_free(domain);
}

/* The references that invalidations have kept for their next change, of which there will be none. */
static unsigned take_back_locked(struct viommu *v, const struct viommu_domain *domain) REQUIRES(v->lock)
{
	unsigned count = 0;

	for (struct viommu_inval *inval = v->invals; inval; inval = inval->next) {
		/* Acquire: partner of the release in work.c. */
		if (atomic_load_explicit(&inval->kept, memory_order_acquire) != domain)
			continue;
		atomic_store_explicit(&inval->kept, NULL, memory_order_relaxed);
		count++;
	}
	return count;
}

void viommu_domain_destroy(struct viommu_domain *domain)
{
	if (!domain)
		return;
	struct viommu *v = domain->v;

	lock_take(&v->lock);
	/*
	 * An invalidation that completes just now may miss both stores: it gives back what it has kept the next time.
	 */
	atomic_store_explicit(&domain->destroyed, true, memory_order_relaxed);
	atomic_fetch_add_explicit(&v->doomed, 1, memory_order_relaxed);
	unsigned references = 1 + take_back_locked(v, domain);

	lock_drop(&v->lock);
	viommu__domain_put(domain, references);
}

static struct range pages_of(struct range bytes)
{
	return (struct range){bytes.first >> TABLE_PAGE_SHIFT, bytes.last >> TABLE_PAGE_SHIFT};
}

static int map_locked(struct viommu_domain *domain, const struct mapping *mapping) REQUIRES(domain->lock)
{
	int err = table_map(&domain->table, pages_of(mapping->iova), mapping->gpa, mapping->access);

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
	*viommu__inval_next(inval) =
		(struct change){.kind = CHANGE_MAP, .tag = inval->tag, .domain = domain, .range = iova};
}

/* Mirrors are asked first: what one of them refuses nobody has seen. */
static int map_mirrored(struct viommu_domain *domain, const struct mapping *mapping, struct viommu_inval *inval)
{
	struct range pages = pages_of(mapping->iova);
	int err = -EEXIST, told;

	lock_take(&domain->mirror_lock);
	if (table_touched(&domain->table, &pages))
		goto out;
	told = mirrors_map(domain, mapping, inval != NULL);
	if (told < 0) {
		err = told;
		goto out;
	}
	spin_take(&domain->lock);
	err = map_locked(domain, mapping);
	spin_drop(&domain->lock);
	if (err)
		mirrors_undo(domain, mapping->iova);
	else if (inval)
		note_map(domain, mapping->iova, inval);
out:
	/* With an invalidation the batch ends where that begins. */
	if (!inval || err)
		mirrors_batch_end_locked(domain);
	lock_drop(&domain->mirror_lock);
	return err;
}

static int map(struct viommu_domain *domain, struct range iova, uint64_t gpa, unsigned access,
	       struct viommu_inval *inval)
{
	const struct mapping mapping = {iova, gpa, access};

	if (iova.first > iova.last || !range_aligned(iova, PAGE_SIZE) || gpa & (PAGE_SIZE - 1))
		return -EINVAL;
	if (gpa > UINT64_MAX - (iova.last - iova.first) || access & ~(unsigned)LEAF_ACCESS || domain->identity ||
	    domain->walk)
		return -EINVAL;
	spin_take(&domain->lock);
	const bool mirrors = mirrored(domain);
	int err = mirrors ? 0 : map_locked(domain, &mapping);

	spin_drop(&domain->lock);
	if (mirrors)
		err = map_mirrored(domain, &mapping, inval);
	if (!err)
		clients_mapped(domain, iova);
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

	*pages = pages_of(bytes);
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
	uint64_t mask = PAGE_SIZE - 1;

	if (bytes.first & mask && page_mapped(table, bytes.first))
		return true;
	return ~bytes.last & mask && page_mapped(table, bytes.last);
}

void viommu__domain_reference_locked(struct viommu_domain *domain, struct viommu_inval *inval)
{
	if (atomic_load_explicit(&inval->kept, memory_order_relaxed) == domain)
		atomic_store_explicit(&inval->kept, NULL, memory_order_relaxed);
	else
		domain->references++;
}

static int unmap_locked(struct viommu_domain *domain, struct range iova, struct viommu_inval *inval, uint64_t *removed)
	REQUIRES(domain->lock)
{
	struct table_retired retired = {NULL};
	struct range pages;

	if (splits(&domain->table, iova))
		return -ERANGE;
	if (!whole_pages(iova, &pages))
		return 0;
	if (pages.first == pages.last && table_unmap_one(&domain->table, pages.first))
		*removed = 1;
	else if (table_splits(&domain->table, pages))
		return -ERANGE;
	else
		*removed = table_unmap(&domain->table, pages, &retired);
	domain->unmaps += *removed;
	/* Also where nothing is mapped: the unmap that took it away may still be waiting for somebody. */
	viommu__domain_reference_locked(domain, inval);
	*viommu__inval_next(inval) = (struct change){
		.kind = CHANGE_UNMAP, .tag = inval->tag, .domain = domain, .range = iova, .retired = retired};
	return 0;
}

/* In the order in which the domain changes. */
static int unmap_mirrored(struct viommu_domain *domain, struct range iova, struct viommu_inval *inval,
			  uint64_t *removed)
{
	lock_take(&domain->mirror_lock);
	spin_take(&domain->lock);
	int err = unmap_locked(domain, iova, inval, removed);

	spin_drop(&domain->lock);
	if (!err && *removed)
		mirrors_unmap(domain, iova);
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
