/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens when a device or a client does not let go. At half the deadline the holds in the way are asked to end.
 * At the deadline the endpoints in the way are blocked and failed, the guest is told that its request failed, and the
 * waiting goes on here, so that nothing which the laggards may still reach is used again, and they can be attached
 * again when they have let go.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/endpoint.h"
#include "lib/core/obstacle.h"
#include "lib/core/quarantine.h"

/* No more is kept of a guest that goes on invalidating what a stuck device holds on to: it waits, deadline or not. */
enum { QUARANTINE_MAX = 32 };

static bool cancel_hold(void *opaque, const struct obstacle *obstacle)
{
	struct viommu_hold *hold = obstacle->hold;

	(void)opaque;
	if (obstacle->kind != OBSTACLE_HOLD || hold->cancelled)
		return false;
	hold->cancelled = true;
	if (hold->cancel)
		hold->cancel(hold);
	return false;
}

void work_cancel_holds(struct viommu *v, const struct work *work)
{
	lock_take(&v->lock);
	obstacle_each_locked(v, work, cancel_hold, NULL);
	lock_drop(&v->lock);
}

/*
 * Block an endpoint for as long as this work waits. Blocked is a state that takes nothing from anybody else. No
 * invalidation waits yet for what else it does in its domain: the one that moves it will, so it keeps the domain
 * (endpoint.c).
 */
static void fail_locked(struct viommu *v, struct viommu_endpoint *endpoint, struct work *work) REQUIRES(v->lock)
{
	if (endpoint->quarantine)
		return;
	endpoint->quarantine = work;
	endpoint->failed = true;
	lock_is_held(&endpoint->v->lock);
	endpoint_aim_locked(endpoint, NULL);
	if (v->config.endpoint_failed)
		v->config.endpoint_failed(v->config.opaque, endpoint->id);
}

static bool is_of_endpoint(void *opaque, const struct obstacle *obstacle)
{
	return obstacle_is_of(obstacle, opaque);
}

static void fail_laggards(struct viommu *v, struct work *work) REQUIRES(v->lock)
{
	for (size_t i = 0; i < v->endpoint_count; i++)
		if (obstacle_each_locked(v, work, is_of_endpoint, v->endpoints[i]))
			fail_locked(v, v->endpoints[i], work);
}

static bool is_of_change(void *opaque, const struct obstacle *obstacle)
{
	return obstacle_concerns(obstacle, opaque);
}

static bool unfinished(struct viommu *v, const struct work *work, struct change *change)
{
	lock_take(&v->lock);
	bool found = obstacle_each_locked(v, work, is_of_change, change);

	lock_drop(&v->lock);
	return found;
}

void quarantine_keep_locked(struct viommu *v, struct work *work)
{
	work->next = v->quarantine;
	v->quarantine = work;
	atomic_fetch_add_explicit(&v->quarantined, 1, memory_order_relaxed);
}

int work_quarantine(struct viommu_inval *inval)
{
	struct viommu *v = inval->v;
	struct work *old = inval->work, *fresh;

	if (atomic_load_explicit(&v->quarantined, memory_order_relaxed) >= QUARANTINE_MAX)
		return -EAGAIN;
	for (size_t i = 0; inval->failed && i < old->count; i++)
		if (unfinished(v, old, &old->changes[i]))
			inval->failed(inval->opaque, old->changes[i].tag, -ETIMEDOUT);
	lock_take(&v->lock);
	int err = work_create(v, old->room, &fresh);

	if (!err) {
		fail_laggards(v, old);
		inval->work = fresh;
		quarantine_keep_locked(v, old);
	}
	lock_drop(&v->lock);
	return err;
}

static void release_endpoints(struct viommu *v, const struct work *work) REQUIRES(v->lock)
{
	for (size_t i = 0; i < v->endpoint_count; i++)
		if (v->endpoints[i]->quarantine == work)
			v->endpoints[i]->quarantine = NULL;
}

static void remove_locked(struct viommu *v, struct work *work) REQUIRES(v->lock)
{
	struct work **link = &v->quarantine;

	while (*link != work)
		link = &(*link)->next;
	*link = work->next;
	atomic_fetch_sub_explicit(&v->quarantined, 1, memory_order_relaxed);
	release_endpoints(v, work);
}

static struct work *first(struct viommu *v)
{
	lock_take(&v->lock);
	struct work *work = v->quarantine;

	lock_drop(&v->lock);
	return work;
}

void quarantine_poll(struct viommu *v)
{
	/* Others put work in front of the list meanwhile; only the holder of this lock takes any out. */
	lock_take(&v->quarantine_lock);
	for (struct work *work = first(v), *next; work; work = next) {
		next = work->next;
		if (!work_poll(v, work, NULL))
			continue;
		lock_take(&v->lock);
		remove_locked(v, work);
		lock_drop(&v->lock);
		work_destroy(work);
	}
	lock_drop(&v->quarantine_lock);
}

void quarantine_drop(struct viommu *v) NO_OTHER_THREAD
{
	while (v->quarantine) {
		struct work *work = v->quarantine;

		v->quarantine = work->next;
		work_drop(v, work);
	}
}
