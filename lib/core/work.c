/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The waiting of an invalidation: for the sections that were open at the beginning and for the clients that were told,
 * then for the holds that were taken in those sections. A hold whose ticket was drawn later comes from a section that
 * saw the change.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "lib/core/mirror.h"
#include "lib/core/notify.h"
#include "lib/core/obstacle.h"
#include "lib/core/wake.h"

void work_destroy(struct work *work)
{
	free(work->clients);
	free(work->changes);
	free(work);
}

int work_create(struct viommu *v, size_t room, struct work **out)
{
	struct work *work = calloc(1, sizeof(*work));

	if (!work)
		return -ENOMEM;
	work->changes = calloc(room, sizeof(*work->changes));
	work->room = room;
	if (!work->changes || client_room(v, work)) {
		work_destroy(work);
		return -ENOMEM;
	}
	*out = work;
	return 0;
}

/* What mirrors have gathered of these changes they perform now. */
static void end_batches(const struct work *work)
{
	const struct viommu_domain *last = NULL;

	for (size_t i = 0; i < work->count; i++) {
		struct viommu_domain *domain = work->changes[i].domain;

		if (domain && domain != last)
			mirrors_batch_end(domain);
		last = domain;
	}
}

void work_begin(struct viommu *v, struct work *work)
{
	if (__builtin_expect(work->mirrored, 0))
		end_batches(work);
	notify_invalidate(v, work);
	/* Slots that were never claimed need no look. */
	if (atomic_load_explicit(&v->sections.high_water, memory_order_relaxed))
		obstacle_note_sections(&v->sections, work);
	work->state = WORK_SECTIONS;
}

static inline void finish_change(struct viommu *v, struct change *change)
{
	if (__builtin_expect(change->retired.head != NULL, 0)) {
		spin_take(&change->domain->lock);
		table_recycle(&change->domain->table, &change->retired);
		spin_drop(&change->domain->lock);
	}
	if (change->memory)
		memory_free(change->memory);
	if (change->endpoint) {
		lock_take(&v->lock);
		change->endpoint->changes--;
		lock_drop(&v->lock);
	}
}

/* What mirrors have refused in the end is taken away again. True: so there is more to wait for. */
static bool refusals(struct work *work, struct viommu_inval *owner)
{
	bool refused = false;

	for (size_t i = 0; i < work->count; i++) {
		struct change *change = &work->changes[i];
		int err = mirrors_may_refuse(change) ? mirrors_settle(change) : 0;

		if (!err)
			continue;
		refused = true;
		if (owner)
			owner->refused = err;
		if (owner && owner->failed)
			owner->failed(owner->opaque, change->tag, err);
	}
	return refused;
}

static bool destroyed(const struct viommu_domain *domain)
{
	return atomic_load_explicit(&domain->destroyed, memory_order_relaxed);
}

/* A domain may have been destroyed just when a reference to it was put away. */
static void drop_destroyed(struct viommu *v, struct viommu_domain *_Atomic *keep)
{
	lock_take(&v->lock);
	struct viommu_domain *domain = atomic_load_explicit(keep, memory_order_relaxed);

	if (domain && destroyed(domain))
		atomic_store_explicit(keep, NULL, memory_order_relaxed);
	else
		domain = NULL;
	lock_drop(&v->lock);
	if (domain)
		viommu__domain_put(domain, 1);
}

static bool put_away(struct viommu_domain *domain, struct viommu_domain *_Atomic *keep)
{
	if (atomic_load_explicit(keep, memory_order_relaxed) || destroyed(domain))
		return false;
	/* Release: partner of the acquire in viommu_domain_destroy(); we are done with the domain. */
	atomic_store_explicit(keep, domain, memory_order_release);
	return true;
}

/* Give the references of all changes back, those to one domain at once, and keep one where the owner may. */
static void drop_references(struct viommu *v, const struct work *work, struct viommu_domain *_Atomic *keep)
{
	if (keep && atomic_load_explicit(&v->doomed, memory_order_relaxed))
		drop_destroyed(v, keep);
	for (size_t i = 0; i < work->count;) {
		struct viommu_domain *domain = work->changes[i].domain;
		unsigned count = 0;

		while (i < work->count && work->changes[i].domain == domain)
			i++, count++;
		if (domain && (count > 1 || !keep || !put_away(domain, keep)))
			viommu__domain_put(domain, count);
	}
}

static __attribute__((noinline)) void finish_all(struct viommu *v, struct work *work,
						 struct viommu_domain *_Atomic *keep)
{
	for (size_t i = 0; i < work->count; i++)
		finish_change(v, &work->changes[i]);
	drop_references(v, work, keep);
	work->count = 0;
	work->mirrored = false;
	work->state = WORK_COLLECTING;
}

/* One unmap in a domain that lives, whose nodes stay: the owner keeps the reference, and nothing is to be freed. */
static inline bool finish_one(const struct viommu *v, struct work *work, struct viommu_domain *_Atomic *keep)
{
	const struct change *change = work->changes;

	return work->count == 1 && change->kind == CHANGE_UNMAP && !change->retired.head &&
	       !atomic_load_explicit(&v->doomed, memory_order_relaxed) && put_away(change->domain, keep);
}

static inline void finish(struct viommu *v, struct work *work, struct viommu_inval *owner)
{
	if (!owner || !finish_one(v, work, &owner->kept)) {
		finish_all(v, work, owner ? &owner->kept : NULL);
		return;
	}
	work->count = 0;
	work->mirrored = false;
	work->state = WORK_COLLECTING;
}

void work_drop(struct viommu *v, struct work *work)
{
	finish_all(v, work, NULL);
	work_destroy(work);
}

static inline __attribute__((always_inline)) bool look(struct viommu *v, struct work *work, struct viommu_inval *owner)
{
	if (work->state == WORK_SECTIONS && (obstacle_none_noted(work) || obstacle_noted_gone(v, work))) {
		if (__builtin_expect(work->mirrored, 0) && refusals(work, owner)) {
			work_begin(v, work);
			return work_poll(v, work, owner);
		}
		work->sorted = false;
		work->held = NULL;
		work->last_ticket = atomic_load_explicit(&v->tickets, memory_order_relaxed);
		work->state = WORK_HOLDS;
	}
	if (work->state == WORK_HOLDS && obstacle_holds_gone(v, work))
		finish(v, work, owner);
	return work->state == WORK_COLLECTING;
}

bool work_poll(struct viommu *v, struct work *work, struct viommu_inval *owner)
{
	if (look(v, work, owner))
		return true;
	if (!v->config.progress)
		return false;
	wake_arm(v, work);
	return look(v, work, owner);
}
