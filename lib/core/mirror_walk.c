/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mirrors of walked domains. The shadow is what the mirrors hold: the leaves of the guest's tables as they were when
 * the guest invalidated them last. After the next invalidation of a range the tables are read again, and mirrors are
 * told of the differences alone: neighbours that stay are in use, and must not go for a moment.
 */
#include <errno.h>

#include "lib/core/inval.h"
#include "lib/core/mirror.h"

/*
 * A guest can build tables that refer to themselves, and so to more leaves than anybody could read. What is beyond this
 * is refused, and takes the mirrors no time.
 */
enum { REFRESH_LEAVES = 1 << 20, REFRESH_HOLES = 1 << 16 };

struct refresh {
	struct range rest;
	unsigned leaves, holes; /* so many more */
	bool may_wait;
	bool refused;  /* a mirror has, in this refresh: no more is asked of it */
	bool excluded; /* limits of an endpoint have excluded a leaf: the others are asked for all the same */
};

/* A refused mapping is reported as a blocked DMA of each mirror's endpoint. */
static void report(const struct viommu_domain *domain, const struct mapping *mapping) REQUIRES(domain->mirror_lock)
{
	const struct walk_ops *ops = domain->walk;
	const uint32_t detail = ops->refusal ? ops->refusal(domain->walk_opaque, mapping->access) : 0;

	for (const struct viommu_client *mirror = domain->mirrors; mirror; mirror = mirror->next_in_domain)
		viommu__fault(mirror->endpoint, domain,
			      &(struct viommu_fault){
				      .domain = atomic_load_explicit(&domain->id, memory_order_relaxed),
				      .iova = {mapping->iova.first},
				      .access = mapping->access & (VIOMMU_READ | VIOMMU_WRITE),
				      .reason = VIOMMU_FAULT_NO_ROOM,
				      .detail = detail,
			      });
}

/*
 * Take the leaves of a range out of the shadow and the mirrors. A leaf that lies in it partly goes as a whole, so what
 * was outside is looked at again.
 */
static void drop(struct viommu_domain *domain, struct refresh *refresh, struct range iova) REQUIRES(domain->mirror_lock)
{
	struct range pages = table_pages(iova);
	struct table_retired retired = {NULL};

	if (!table_touched(&domain->shadow, &pages))
		return;
	table_unmap(&domain->shadow, pages, &retired);
	table_recycle(&domain->shadow, &retired);
	iova = (struct range){pages.first << TABLE_PAGE_SHIFT, table_last_byte(pages.last)};
	mirrors_unmap(domain, iova);
	refresh->rest.first = iova.first < refresh->rest.first ? iova.first : refresh->rest.first;
	refresh->rest.last = iova.last > refresh->rest.last ? iova.last : refresh->rest.last;
}

/* True: this leaf is what the mirrors hold. */
static bool known(const struct viommu_domain *domain, const struct mapping *leaf) REQUIRES(domain->mirror_lock)
{
	const struct range pages = table_pages(leaf->iova);
	struct table_mapping held;

	return table_mapping_next(&domain->shadow, pages.first, &held) && held.pages.first == pages.first &&
	       held.pages.last == pages.last && held.gpa == leaf->gpa && held.access == leaf->access;
}

static void add(struct viommu_domain *domain, struct refresh *refresh, const struct mapping *leaf)
	REQUIRES(domain->mirror_lock)
{
	if (!mirrors_can_have(domain, leaf)) {
		if (!refresh->excluded)
			report(domain, leaf);
		refresh->excluded = true;
		return;
	}
	int err = refresh->refused ? -ENOSPC : mirrors_map(domain, leaf, refresh->may_wait);

	if (err >= 0) {
		err = table_map(&domain->shadow, table_pages(leaf->iova), leaf->gpa, leaf->access);
		if (err)
			mirrors_undo(domain, leaf->iova);
	}
	if (err && !refresh->refused)
		report(domain, leaf);
	refresh->refused |= err != 0;
}

/* What the guest's tables say of the first address of the rest. False: nothing more can be told. */
static bool step(struct viommu_domain *domain, struct refresh *refresh) REQUIRES(domain->mirror_lock)
{
	const uint64_t at = refresh->rest.first, page_last = at | table_last_byte(0);
	struct walk_result result;
	struct range done = {at, page_last};

	if (domain->walk->walk(domain->walk_opaque, domain->mirror_memory, at, 0, &result)) {
		done.last = result.hole > page_last ? result.hole : page_last;
		if (done.last > refresh->rest.last)
			done.last = refresh->rest.last;
		if (!refresh->holes--)
			return false;
		drop(domain, refresh, done);
	} else {
		const struct mapping leaf = {.iova = result.iova, .gpa = result.gpa, .access = result.access};

		if (!refresh->leaves--)
			return false;
		done = leaf.iova;
		if (!known(domain, &leaf)) {
			drop(domain, refresh, leaf.iova);
			add(domain, refresh, &leaf);
		}
	}
	if (refresh->rest.first < at)
		return true; /* what was dropped began before */
	if (done.last >= refresh->rest.last)
		refresh->rest = (struct range){1, 0};
	else
		refresh->rest.first = done.last + 1;
	return true;
}

void mirrors_refresh(struct viommu_domain *domain, struct range iova, bool may_wait)
{
	struct refresh refresh = {.rest = iova, .may_wait = may_wait, .leaves = REFRESH_LEAVES, .holes = REFRESH_HOLES};

	while (refresh.rest.first <= refresh.rest.last) {
		if (step(domain, &refresh))
			continue;
		const struct mapping beyond = {.iova = refresh.rest, .access = VIOMMU_READ};

		drop(domain, &refresh, refresh.rest);
		report(domain, &beyond);
		return;
	}
}

bool mirrors_refused_leaves(struct viommu_domain *domain, struct range iova)
{
	struct refresh none = {.rest = {1, 0}};
	bool any = false;

	for (struct viommu_client *mirror = domain->mirrors; mirror; mirror = mirror->next_in_domain) {
		struct mapping leaf = {.access = VIOMMU_READ | VIOMMU_WRITE};

		while (mirror_refusal(mirror, iova, &leaf.iova)) {
			drop(domain, &none, leaf.iova);
			report(domain, &leaf);
			any = true;
		}
	}
	return any;
}
