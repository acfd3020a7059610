/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients from the inside. A context keeps a list of them under viommu.lock; a work has room for a wait for each, which
 * registration makes, so that beginning an invalidation allocates nothing.
 */
#ifndef LIB_CORE_CLIENT_H
#define LIB_CORE_CLIENT_H

#include <viommu/client.h>
#include <viommu/mirror.h>

#include "lib/core/context.h"

struct work;

/* A map that a mirror has in progress, or has refused since. */
struct pending_map {
	uint64_t ticket;
	struct range iova; /* of the whole mapping */
	int err;
};

/* A cache has `ops`, a mirror `mirror`. */
struct viommu_client {
	struct viommu_endpoint *endpoint;
	const struct viommu_client_ops *ops;
	const struct viommu_mirror_ops *mirror;
	struct viommu_client_ops own_ops; /* where the two point to */
	struct viommu_mirror_ops own_mirror;
	void *opaque;
	/* The last ticket that it was given. Written under viommu.lock; a mirror's under the lock of its domain. */
	_Atomic uint64_t asked;
	_Atomic uint64_t acked; /* everything up to this one is acknowledged */
	struct viommu_client *prev, *next;
	void (*settle)(void *opaque); /* a serial cache's (internal.h); what it hands on is under viommu.lock */
	bool unsettled;               /* viommu.lock: it has been told, and not settled yet */
	struct lock lock;             /* another cache's: of what is handed on (publish.c) */
	_Atomic uint64_t generation;  /* of translations; written with that lock held */
	/* Mirrors: */
	struct pending_map *pending GUARDED_BY(lock);
	size_t pending_count GUARDED_BY(lock), pending_room GUARDED_BY(lock);
	_Atomic uint16_t space;                 /* index of the domain that lists it; its mirror_lock to write */
	bool told;                              /* of something since the last batch ended; the same lock */
	struct viommu_client *next_in_domain;   /* the same lock */
	struct viommu_client *next_of_endpoint; /* viommu_endpoint.move_lock */
};

struct client_wait {
	struct viommu_client *client; /* NULL: unregistered, no need to wait */
	uint64_t ticket;
};

/* Make a client like this one and list it. -ENOMEM. *out is set before the first callback. */
int client_add(const struct viommu_client *kind, struct viommu_client **out);

/* It counts as having acknowledged everything. */
void client_remove(struct viommu_client *client);

/* What is handed on is handed on under this lock, and nothing is while an invalidation is told. */
static inline struct lock *publish_lock(struct viommu_client *client)
{
	return client->settle ? &client->endpoint->v->lock : &client->lock;
}

/* What is being translated now is not handed on. publish_lock() held. */
static inline void publish_cut_locked(struct viommu_client *client)
{
	const uint64_t generation = atomic_load_explicit(&client->generation, memory_order_relaxed);

	/* Release: partner of the acquire in viommu_publish(). */
	atomic_store_explicit(&client->generation, generation + 1, memory_order_release);
}

static inline bool client_wait_over(const struct client_wait *wait)
{
	/* Acquire: partner of the release in viommu_client_ack(). */
	return !wait->client || atomic_load_explicit(&wait->client->acked, memory_order_acquire) >= wait->ticket;
}

/* Room in a new work for the clients that there are. -ENOMEM. viommu.lock held. */
int client_room(struct viommu *v, struct work *work);

#endif
