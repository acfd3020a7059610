/* SPDX-License-Identifier: BSD-2-Clause */
/* Endpoints, and what they are attached to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/endpoint.h"
#include "lib/core/inval.h"
#include "lib/core/limits.h"
#include "lib/core/mirror.h"
#include "lib/core/notify.h"
#include "lib/core/quarantine.h"

/* The place of an id in the sorted array: where it is, or where it would be put. */
static size_t place_locked(const struct viommu *v, uint32_t id) REQUIRES(v->lock)
{
	size_t low = 0, high = v->endpoint_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (v->endpoints[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool taken_locked(const struct viommu *v, size_t place, uint32_t id) REQUIRES(v->lock)
{
	return place < v->endpoint_count && v->endpoints[place]->id == id;
}

static int room_locked(struct viommu *v) REQUIRES(v->lock)
{
	if (v->endpoint_count < v->endpoint_room)
		return 0;
	size_t room = v->endpoint_room ? 2 * v->endpoint_room : 16;
	struct viommu_endpoint **endpoints = realloc(v->endpoints, room * sizeof(*endpoints));

	if (!endpoints)
		return -ENOMEM;
	v->endpoints = endpoints;
	v->endpoint_room = room;
	return 0;
}

static int add_locked(struct viommu *v, struct viommu_endpoint *endpoint) REQUIRES(v->lock)
{
	size_t place = place_locked(v, endpoint->id);

	if (taken_locked(v, place, endpoint->id))
		return -EEXIST;
	int err = room_locked(v);

	if (err)
		return err;
	endpoint->index = index_get(&v->endpoint_indices);
	if (!endpoint->index)
		return -ENOSPC;
	memmove(v->endpoints + place + 1, v->endpoints + place, (v->endpoint_count - place) * sizeof(*v->endpoints));
	v->endpoints[place] = endpoint;
	v->endpoint_count++;
	return 0;
}

int viommu_endpoint_add(struct viommu *v, uint32_t id, const char *name, struct viommu_endpoint **out)
{
	struct viommu_endpoint *endpoint = lines_alloc(sizeof(*endpoint));

	if (!endpoint)
		return -ENOMEM;
	endpoint->v = v;
	endpoint->id = id;
	snprintf(endpoint->name, sizeof(endpoint->name), "%s", name);
	lock_init(&endpoint->move_lock);
	lock_take(&v->lock);
	int err = add_locked(v, endpoint);

	lock_drop(&v->lock);
	if (err) {
		lock_fini(&endpoint->move_lock);
		free(endpoint);
		return err;
	}
	atomic_init(&endpoint->tag, (uint32_t)endpoint->index << 16);
	*out = endpoint;
	return 0;
}

int viommu_endpoint_remove(struct viommu_endpoint *endpoint)
{
	struct viommu *v = endpoint->v;

	quarantine_poll(v);
	lock_take(&v->lock);
	if (endpoint->changes || endpoint->quarantine || endpoint->domain || endpoint->sink) {
		lock_drop(&v->lock);
		return -EBUSY;
	}
	size_t place = place_locked(v, endpoint->id);

	v->endpoint_count--;
	memmove(v->endpoints + place, v->endpoints + place + 1, (v->endpoint_count - place) * sizeof(*v->endpoints));
	index_put(&v->endpoint_indices, endpoint->index);
	lock_drop(&v->lock);
	lock_fini(&endpoint->move_lock);
	free(endpoint->limits);
	free(endpoint);
	return 0;
}

struct viommu_endpoint *viommu_endpoint_find(struct viommu *v, uint32_t id)
{
	struct viommu_endpoint *found = NULL;

	lock_take(&v->lock);
	size_t place = place_locked(v, id);

	if (taken_locked(v, place, id))
		found = v->endpoints[place];
	lock_drop(&v->lock);
	return found;
}

struct viommu_endpoint *viommu_endpoint_next(struct viommu *v, uint32_t id)
{
	lock_take(&v->lock);
	size_t place = place_locked(v, id);
	struct viommu_endpoint *found = place < v->endpoint_count ? v->endpoints[place] : NULL;

	lock_drop(&v->lock);
	return found;
}

uint32_t viommu_endpoint_id(const struct viommu_endpoint *endpoint)
{
	return endpoint->id;
}

void viommu_endpoint_set_ats(struct viommu_endpoint *endpoint, bool on)
{
	atomic_store_explicit(&endpoint->ats, on, memory_order_relaxed);
}

static void set_sink_locked(struct viommu_endpoint *endpoint, viommu__fault_sink sink, void *opaque)
	REQUIRES(endpoint->v->lock)
{
	lock_take(&endpoint->v->faults.lock);
	endpoint->sink = sink;
	endpoint->sink_opaque = opaque;
	lock_drop(&endpoint->v->faults.lock);
}

int viommu__endpoint_set_sink(struct viommu_endpoint *endpoint, viommu__fault_sink sink, void *opaque)
{
	int err = 0;

	lock_take(&endpoint->v->lock);
	if (sink && (endpoint->sink || endpoint->domain))
		err = -EBUSY;
	else
		set_sink_locked(endpoint, sink, opaque);
	lock_drop(&endpoint->v->lock);
	return err;
}

bool viommu__endpoint_attached(struct viommu_endpoint *endpoint)
{
	lock_take(&endpoint->v->lock);
	const bool attached = endpoint->domain;

	lock_drop(&endpoint->v->lock);
	return attached;
}

/* Record that the endpoint leaves its domain; the change has its reference from now on. */
static void leave_locked(struct viommu_endpoint *endpoint, struct viommu_inval *inval) REQUIRES(endpoint->v->lock)
{
	*viommu__inval_next(inval) = (struct change){
		.kind = CHANGE_ENDPOINT, .tag = inval->tag, .domain = endpoint->domain, .endpoint = endpoint};
	endpoint->changes++;
	endpoint->domain = NULL;
}

static void enter_locked(struct viommu_endpoint *endpoint, struct viommu_domain *domain) REQUIRES(endpoint->v->lock)
{
	spin_take(&domain->lock);
	domain->references++;
	spin_drop(&domain->lock);
	endpoint->domain = domain;
}

/* Record that its mirrors have entered its domain, and may refuse what that maps yet. */
static void note_entry_locked(struct viommu_endpoint *endpoint, struct viommu_inval *inval) REQUIRES(endpoint->v->lock)
{
	struct viommu_domain *domain = endpoint->domain;

	spin_take(&domain->lock);
	domain->references++;
	spin_drop(&domain->lock);
	endpoint->changes++;
	inval->work->mirrored = true;
	*viommu__inval_next(inval) =
		(struct change){.kind = CHANGE_ENTER, .tag = inval->tag, .domain = domain, .endpoint = endpoint};
}

/* One that has failed is blocked while `domain` is still the one that it failed in. */
static bool is_there_locked(const struct viommu_endpoint *endpoint, const struct viommu_domain *to)
	REQUIRES(endpoint->v->lock)
{
	return endpoint->domain == to && !endpoint->failed;
}

/* Move to a domain, or to none. What the endpoint leaves is recorded; leaving nothing needs no wait. */
static int move_locked(struct viommu_endpoint *endpoint, struct viommu_domain *to, bool mirrors,
		       struct viommu_inval *inval) REQUIRES(endpoint->v->lock)
{
	const struct viommu_domain *from = endpoint->domain;

	if (endpoint->quarantine && to)
		return -EIO;
	/* Ordered by the fence in viommu_inval_begin(). */
	endpoint_aim_locked(endpoint, atomic_load_explicit(&endpoint->paused, memory_order_relaxed) ? NULL : to);
	endpoint->failed = false;
	if (from && from != to)
		leave_locked(endpoint, inval);
	if (to && from != to)
		enter_locked(endpoint, to);
	if (to && mirrors)
		note_entry_locked(endpoint, inval);
	/* An endpoint that leaves a domain has its clients told when that is invalidated. */
	if (!from || from == to)
		notify_moved_locked(endpoint);
	return 0;
}

/*
 * The mirrors go first. While they are between two spaces an invalidation of either waits for them, because the
 * endpoint counts as named by a change.
 */
static int move_mirrors(struct viommu_endpoint *endpoint, struct viommu_domain *to, bool *lost)
	REQUIRES(endpoint->move_lock)
{
	lock_take(&endpoint->v->lock);
	struct viommu_domain *from = endpoint->domain;
	int err = endpoint->quarantine && to ? -EIO : 0;

	endpoint->changes++;
	lock_drop(&endpoint->v->lock);
	if (!err && from != to)
		err = mirrors_switch(endpoint, from, to, lost);
	return err;
}

static int move_all(struct viommu_endpoint *endpoint, struct viommu_domain *to, struct viommu_inval *inval)
	REQUIRES(endpoint->move_lock)
{
	lock_take(&endpoint->v->lock);
	const struct viommu_domain *from = endpoint->domain;
	const bool there = is_there_locked(endpoint, to), leaves = from && from != to;

	lock_drop(&endpoint->v->lock);
	if (there)
		return 0;
	const bool mirrors = endpoint->mirrors != NULL;
	bool lost = false;
	/* An endpoint that leaves nothing, and has no mirror, records nothing. */
	int err = mirrors || leaves ? viommu__inval_reserve(inval) : 0, moved = 0;

	/* One change for the domain that it leaves, and one for that which its mirrors enter. */
	if (!err && mirrors)
		err = viommu__inval_room(inval, viommu__inval_changes(inval) + 2);
	if (err)
		return err;
	err = limits_enter(endpoint, to);
	if (err) {
		limits_moved(endpoint, from);
		return err;
	}
	if (mirrors)
		err = move_mirrors(endpoint, to, &lost);
	lock_take(&endpoint->v->lock);
	/* Where the mirrors hold nothing any more the endpoint is blocked. */
	if (!err || lost)
		moved = move_locked(endpoint, lost ? NULL : to, mirrors, inval);
	endpoint->changes -= mirrors;
	const struct viommu_domain *now = endpoint->domain;

	lock_drop(&endpoint->v->lock);
	limits_moved(endpoint, now);
	return err ? err : moved;
}

static int move(struct viommu_endpoint *endpoint, struct viommu_domain *to, struct viommu_inval *inval)
{
	if (atomic_load_explicit(&endpoint->v->quarantined, memory_order_relaxed))
		quarantine_poll(endpoint->v);
	lock_take(&endpoint->move_lock);
	int err = move_all(endpoint, to, inval);

	lock_drop(&endpoint->move_lock);
	return err;
}

int viommu_attach(struct viommu_endpoint *endpoint, struct viommu_domain *domain, struct viommu_inval *inval)
{
	return move(endpoint, domain, inval);
}

int viommu_detach(struct viommu_endpoint *endpoint, struct viommu_inval *inval)
{
	return move(endpoint, NULL, inval);
}

int viommu_bypass(struct viommu_endpoint *endpoint, struct viommu_inval *inval)
{
	return move(endpoint, endpoint->v->bypass, inval);
}

void viommu_endpoint_pause(struct viommu_endpoint *endpoint)
{
	lock_take(&endpoint->v->lock);
	atomic_store_explicit(&endpoint->paused, true, memory_order_relaxed);
	endpoint_aim_locked(endpoint, NULL);
	lock_drop(&endpoint->v->lock);
}

void viommu_endpoint_resume(struct viommu_endpoint *endpoint)
{
	lock_take(&endpoint->v->lock);
	if (atomic_load_explicit(&endpoint->paused, memory_order_relaxed)) {
		endpoint_aim_locked(endpoint, endpoint->failed ? NULL : endpoint->domain);
		/* Release: partner of the acquire in viommu_dma_begin(). */
		atomic_store_explicit(&endpoint->paused, false, memory_order_release);
		notify_moved_locked(endpoint);
	}
	lock_drop(&endpoint->v->lock);
}

/* Record that what the endpoint does in any domain is to be waited for. */
static void await_locked(struct viommu_endpoint *endpoint, struct viommu_inval *inval) REQUIRES(endpoint->v->lock)
{
	endpoint->changes++;
	*viommu__inval_next(inval) = (struct change){.kind = CHANGE_NOTHING, .tag = inval->tag, .endpoint = endpoint};
}

static int quiesce_locked(struct viommu_endpoint *endpoint, struct viommu_inval *inval) REQUIRES(endpoint->v->lock)
{
	int err = endpoint->quarantine ? -EIO : viommu__inval_reserve(inval);

	if (!err)
		await_locked(endpoint, inval);
	return err;
}

int viommu_quiesce(struct viommu_endpoint *endpoint, struct viommu_inval *inval)
{
	if (atomic_load_explicit(&endpoint->v->quarantined, memory_order_relaxed))
		quarantine_poll(endpoint->v);
	lock_take(&endpoint->v->lock);
	int err = quiesce_locked(endpoint, inval);

	lock_drop(&endpoint->v->lock);
	return err;
}

int viommu__endpoint_release(struct viommu_endpoint *endpoint, struct viommu_inval *inval)
{
	enum { CHANGES = 3 }; /* of a move, and for what the endpoint does in any domain */

	lock_take(&endpoint->move_lock);
	int err = viommu__inval_reserve(inval);

	if (!err)
		err = viommu__inval_room(inval, viommu__inval_changes(inval) + CHANGES);
	if (!err)
		err = move_all(endpoint, NULL, inval);
	if (!err) {
		lock_take(&endpoint->v->lock);
		await_locked(endpoint, inval);
		set_sink_locked(endpoint, NULL, NULL);
		lock_drop(&endpoint->v->lock);
	}
	lock_drop(&endpoint->move_lock);
	return err;
}
