/* SPDX-License-Identifier: BSD-2-Clause */
/* Telling clients what they have to forget, and what is new. */
#ifndef LIB_CORE_NOTIFY_H
#define LIB_CORE_NOTIFY_H

#include "lib/core/work.h"

/* True: the client may carry translations that the change takes away. viommu.lock held. */
bool notify_concerns(const struct viommu_client *client, const struct change *change);

/* The part of it that takes the lock. */
void notify_clients_invalidate(struct viommu *v, struct work *work);

/*
 * Tell the clients, and note those to wait for. A full fence: what changed before, and what the clients have taken out,
 * is visible before anything that is looked at afterwards. Takes no lock where there are no clients.
 */
static inline void notify_invalidate(struct viommu *v, struct work *work)
{
	if (!atomic_load_explicit(&v->client_count, memory_order_relaxed)) {
		/* Partners: the claim in viommu_dma_begin(), and the read-modify-write in register_locked(). */
		atomic_thread_fence(memory_order_seq_cst);
		if (!atomic_load_explicit(&v->client_count, memory_order_relaxed))
			return;
	}
	notify_clients_invalidate(v, work);
}

/* Something was mapped in a domain. */
void notify_clients_mapped(struct viommu_domain *domain, struct range range);

static inline void notify_mapped(struct viommu_domain *domain, struct range range)
{
	/* A client that registers later looks for itself. */
	if (atomic_load_explicit(&domain->v->client_count, memory_order_relaxed))
		notify_clients_mapped(domain, range);
}

/* An endpoint has a new domain, and nothing to be invalidated. viommu.lock held. */
void notify_moved_locked(struct viommu_endpoint *endpoint) REQUIRES(endpoint->v->lock);

#endif
