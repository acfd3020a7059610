/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Invalidations as their owner sees them: collect, begin, poll. The waiting is in work.c, the deadline in quarantine.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "lib/core/quarantine.h"

enum { NS_PER_MS = 1000000, FIRST_ROOM = 8 };

int viommu_inval_create(struct viommu *v, struct viommu_inval **out)
{
	struct viommu_inval *inval = calloc(1, sizeof(*inval));

	if (!inval)
		return -ENOMEM;
	inval->v = v;
	lock_take(&v->lock);
	int err = work_create(v, FIRST_ROOM, &inval->work);

	if (!err) {
		inval->next = v->invals;
		if (v->invals)
			v->invals->prev = inval;
		v->invals = inval;
	}
	lock_drop(&v->lock);
	if (err)
		free(inval);
	else
		*out = inval;
	return err;
}

void viommu_inval_destroy(struct viommu_inval *inval)
{
	if (!inval)
		return;
	struct viommu *v = inval->v;

	if (inval->work->count)
		viommu_inval_begin(inval);
	bool over = inval->work->state == WORK_COLLECTING || work_poll(v, inval->work, NULL);

	lock_take(&v->lock);
	if (!over)
		quarantine_keep_locked(v, inval->work);
	if (inval->next)
		inval->next->prev = inval->prev;
	if (inval->prev)
		inval->prev->next = inval->next;
	else
		v->invals = inval->next;
	v->gone_invalidations += atomic_load_explicit(&inval->completed, memory_order_relaxed);
	v->gone_waited += atomic_load_explicit(&inval->waited, memory_order_relaxed);
	struct viommu_domain *kept = atomic_exchange_explicit(&inval->kept, NULL, memory_order_relaxed);

	lock_drop(&v->lock);
	if (kept)
		viommu__domain_put(kept, 1);
	if (over)
		work_destroy(inval->work);
	free(inval);
}

size_t viommu__inval_changes(const struct viommu_inval *inval)
{
	return inval->work->count;
}

void viommu__inval_tag(struct viommu_inval *inval, unsigned tag)
{
	inval->tag = tag;
}

void viommu__inval_on_failure(struct viommu_inval *inval, void (*failed)(void *opaque, unsigned tag, int err),
			      void *opaque)
{
	inval->failed = failed;
	inval->opaque = opaque;
}

int viommu__inval_room(struct viommu_inval *inval, size_t room)
{
	struct work *work = inval->work;

	if (room <= work->room)
		return 0;
	struct change *changes = realloc(work->changes, room * sizeof(*changes));

	if (!changes)
		return -ENOMEM;
	work->changes = changes;
	work->room = room;
	return 0;
}

void viommu_inval_begin(struct viommu_inval *inval)
{
	struct work *work = inval->work;

	if (work->state != WORK_COLLECTING)
		return;
	inval->refused = 0;
	/* What takes nothing away waits for nobody: it is complete. */
	if (!work->count)
		return;
	work->since_ns = work->cancelled_ns = 0;
	work_begin(inval->v, work);
}

/* A counter with one writer. */
static void count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

/* Something is in the way: act on how long it has been there. -EAGAIN, or -ETIMEDOUT. */
static __attribute__((noinline)) int wait_on(struct viommu_inval *inval)
{
	struct viommu *v = inval->v;
	struct work *work = inval->work;
	uint64_t now = now_ns(), limit = (uint64_t)v->config.deadline_ms * NS_PER_MS;

	if (!work->since_ns) {
		work->since_ns = now;
		count(&inval->waited);
	}
	if (now - work->since_ns < limit / 2)
		return -EAGAIN;
	/*
	 * A late poll asks holds to end late: they have their half of the time all the same.
	 */
	if (!work->cancelled_ns)
		work->cancelled_ns = now;
	if (now - work->cancelled_ns >= limit / 2 && !work_quarantine(inval)) {
		count(&inval->completed);
		return -ETIMEDOUT;
	}
	work_cancel_holds(v, work);
	return -EAGAIN;
}

int viommu_inval_refusal(const struct viommu_inval *inval)
{
	return inval->refused;
}

int viommu_inval_poll(struct viommu_inval *inval)
{
	struct viommu *v = inval->v;

	if (__builtin_expect(atomic_load_explicit(&v->quarantined, memory_order_relaxed) != 0, 0))
		quarantine_poll(v);
	if (inval->work->state == WORK_COLLECTING)
		return 0;
	if (!work_poll(v, inval->work, inval))
		return wait_on(inval);
	count(&inval->completed);
	return 0;
}

/* What it waits for goes on in quarantine. -ENOMEM: it stays pending. */
static int inval_abandon(struct viommu_inval *inval)
{
	struct viommu *v = inval->v;
	struct work *fresh;

	lock_take(&v->lock);
	int err = work_create(v, inval->work->room, &fresh);

	if (!err) {
		quarantine_keep_locked(v, inval->work);
		inval->work = fresh;
	}
	lock_drop(&v->lock);
	return err;
}

int viommu__inval_settle(struct viommu_inval *inval)
{
	const struct timespec pause = {.tv_nsec = NS_PER_MS / 10};
	uint64_t until = now_ns() + 2ull * inval->v->config.deadline_ms * NS_PER_MS;
	int err;

	viommu_inval_begin(inval);
	while ((err = viommu_inval_poll(inval)) == -EAGAIN && now_ns() < until)
		nanosleep(&pause, NULL);
	if (err == -EAGAIN)
		err = inval_abandon(inval) ? -EAGAIN : -ETIMEDOUT;
	return err;
}
