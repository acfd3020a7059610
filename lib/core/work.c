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
	if (!work->changes || clients_room(v, work)) {
		work_destroy(work);
		return -ENOMEM;
	}
	*out = work;
	return 0;
}

bool change_concerns_section(const struct change *change, uint64_t word)
{
	switch (change->kind) {
	case CHANGE_MAP:
	case CHANGE_ENTER:
		return false;
	case CHANGE_UNMAP:
		return section_domain(word) == change->domain->index;
	case CHANGE_ENDPOINT:
		return section_domain(word) == change->domain->index &&
		       section_endpoint(word) == change->endpoint->index;
	case CHANGE_MEMORY:
		return true;
	case CHANGE_NOTHING:
		return section_endpoint(word) == change->endpoint->index;
	}
	return true;
}

static bool concerns_any(const struct work *work, uint64_t word)
{
	for (size_t i = 0; i < work->count; i++)
		if (change_concerns_section(&work->changes[i], word))
			return true;
	return false;
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
	struct section_table *sections = &v->sections;

	end_batches(work);
	/* Partner: the claim in viommu_dma_begin(). Our changes are visible before we look who is inside. */
	atomic_thread_fence(memory_order_seq_cst);
	clients_invalidate(v, work);
	unsigned slots = atomic_load_explicit(&sections->high_water, memory_order_relaxed);

	for (unsigned i = 0; i < slots; i++) {
		/* Acquire: partner of the release in viommu_dma_end(); what a closed section did came before. */
		uint64_t word = atomic_load_explicit(&sections->slots[i].word, memory_order_acquire);

		if (word && concerns_any(work, word))
			work->waits[work->wait_count++] = (struct section_wait){&sections->slots[i], word};
	}
	work->state = WORK_SECTIONS;
}

static bool section_open(const struct section_wait *wait)
{
	/* Acquire: as in work_begin(). */
	return atomic_load_explicit(&wait->slot->word, memory_order_acquire) == wait->word;
}

static bool sections_closed(struct work *work)
{
#ifdef VIOMMU_WITHOUT_WAITING /* a build that is wrong on purpose: the race test must notice */
	work->wait_count = 0;
#endif
	while (work->wait_count && !section_open(&work->waits[work->wait_count - 1]))
		work->wait_count--;
	return !work->wait_count;
}

static bool client_unfinished(struct viommu *v, const struct work *work, const struct change *change)
{
	bool found = false;

	lock_take(&v->lock);
	for (size_t i = 0; i < work->client_count && !found; i++)
		found = !client_wait_over(&work->clients[i]) && client_concerned(work->clients[i].client, change);
	lock_drop(&v->lock);
	return found;
}

bool work_unfinished(struct viommu *v, struct work *work, const struct change *change)
{
	for (unsigned i = 0; i < work->wait_count; i++)
		if (section_open(&work->waits[i]) && change_concerns_section(change, work->waits[i].word))
			return true;
	return client_unfinished(v, work, change) || (work->state == WORK_HOLDS && change_held(v, work, change));
}

static void finish_change(struct viommu *v, struct change *change)
{
	if (change->retired.head) {
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
		int err = mirrors_settle(change);

		if (!err)
			continue;
		refused = true;
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

static void finish(struct viommu *v, struct work *work, struct viommu_domain *_Atomic *keep)
{
	for (size_t i = 0; i < work->count; i++)
		finish_change(v, &work->changes[i]);
	drop_references(v, work, keep);
	work->count = 0;
	work->state = WORK_COLLECTING;
}

void work_drop(struct viommu *v, struct work *work)
{
	finish(v, work, NULL);
	work_destroy(work);
}

bool work_poll(struct viommu *v, struct work *work, struct viommu_inval *owner)
{
	if (work->state == WORK_SECTIONS && sections_closed(work) && clients_acked(v, work)) {
		if (refusals(work, owner)) {
			work_begin(v, work);
			return work_poll(v, work, owner);
		}
		work->sorted = false;
		work->held = NULL;
		work->last_ticket = atomic_load_explicit(&v->tickets, memory_order_relaxed);
		work->state = WORK_HOLDS;
	}
	if (work->state == WORK_HOLDS && holds_released(v, work))
		finish(v, work, owner ? &owner->kept : NULL);
	return work->state == WORK_COLLECTING;
}
