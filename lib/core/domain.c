/* SPDX-License-Identifier: BSD-2-Clause */
/* Domains: how they are made, referred to, and destroyed. */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "lib/core/mirror.h"

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
	struct viommu_domain *domain = lines_alloc(sizeof(*domain));

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
 * Invalidations see an empty list of holds without the lock: the thread that has just released the last one may still
 * be about to drop it.
 */
static void await_release(struct viommu_domain *domain)
{
	lock_take(&domain->holds_lock);
	lock_drop(&domain->holds_lock);
}

/* The domain is unlinked, so no other thread counts in it; the context's counts are under its lock. */
static void bequeath_locked(struct viommu *v, const struct viommu_domain *domain) REQUIRES(v->lock) NO_OTHER_THREAD
{
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

void viommu__domains_free(struct viommu *v) NO_OTHER_THREAD
{
	while (v->domains)
		domain_free(v->domains);
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
	/* Endpoints that are in it are blocked from now on. They keep the index until they are moved. */
	atomic_store_explicit(&v->by_index[domain->index], NULL, memory_order_relaxed);
	atomic_fetch_add_explicit(&v->doomed, 1, memory_order_relaxed);
	unsigned references = 1 + take_back_locked(v, domain);

	lock_drop(&v->lock);
	mirrors_close(domain);
	viommu__domain_put(domain, references);
}
