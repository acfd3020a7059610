/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients from the inside. A context keeps a list of them under viommu.lock; a work has room for a wait for each, which
 * registration makes, so that beginning an invalidation allocates nothing.
 */
#ifndef LIB_CORE_CLIENT_H
#define LIB_CORE_CLIENT_H

#include <viommu/client.h>

#include "lib/core/context.h"

struct change;
struct work;

struct viommu_client {
	struct viommu_endpoint *endpoint;
	const struct viommu_client_ops *ops;
	void *opaque;
	uint64_t asked;         /* viommu.lock: the last ticket that it was given */
	_Atomic uint64_t acked; /* everything up to this one is acknowledged */
	struct viommu_client *prev, *next;
};

struct client_wait {
	struct viommu_client *client; /* NULL: unregistered, no need to wait */
	uint64_t ticket;
};

/* Does the client perhaps carry translations that the change takes away? viommu.lock held. */
bool client_concerned(const struct viommu_client *client, const struct change *change);

/* Tell the clients and note whom to wait for. Nothing to do, and no lock, where there are no clients. */
void clients_invalidate(struct viommu *v, struct work *work);

/* Something was mapped in a domain. */
void clients_mapped(struct viommu_domain *domain, struct range range);

/* An endpoint has a new domain, and nothing to be invalidated. viommu.lock held. */
void clients_moved_locked(struct viommu_endpoint *endpoint) REQUIRES(endpoint->v->lock);

bool client_wait_over(const struct client_wait *wait);

/* Have all of them acknowledged? */
bool clients_acked(struct viommu *v, struct work *work);

/* Room in a new work for the clients that there are. -ENOMEM. viommu.lock held. */
int clients_room(struct viommu *v, struct work *work);

#endif
