/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Invalidations in two waits: first for the sections that were open at the beginning, then for the holds that were taken in
 * them. A hold whose ticket was drawn later comes from a section that saw the change.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"

int viommu_inval_create(struct viommu *v, struct viommu_inval **out)
{
	struct viommu_inval *inval = calloc(1, sizeof(*inval));

	if (!inval)
		return -ENOMEM;
	inval->v = v;
	*out = inval;
	return 0;
}

void viommu_inval_destroy(struct viommu_inval *inval)
{
	if (!inval)
		return;
	free(inval->changes);
	free(inval);
}

int viommu__inval_reserve(struct viommu_inval *inval)
{
	if (inval->state != INVAL_COLLECTING)
		return -EBUSY;
	if (inval->count < inval->room)
		return 0;
	return viommu__inval_room(inval, inval->room ? 2 * inval->room : 8);
}

int viommu__inval_room(struct viommu_inval *inval, size_t room)
{
	struct change *changes;

	if (room <= inval->room)
		return 0;
	changes = realloc(inval->changes, room * sizeof(*changes));
	if (!changes)
		return -ENOMEM;
	inval->changes = changes;
	inval->room = room;
	return 0;
}

void viommu__inval_record(struct viommu_inval *inval, const struct change *change)
{
	inval->changes[inval->count++] = *change;
	if (change->domain)
		viommu__domain_get(change->domain);
	if (change->endpoint)
		change->endpoint->changes++;
}

/* May a section with this word use what the change takes away? */
static bool concerns_section(const struct change *change, uint64_t word)
{
	switch (change->kind) {
	case CHANGE_UNMAP:
		return section_domain(word) == change->domain->index;
	case CHANGE_ENDPOINT:
		return section_domain(word) == change->domain->index &&
		       section_endpoint(word) == change->endpoint->index;
	case CHANGE_MEMORY:
		return true;
	}
	return true;
}

static bool concerns_any_section(const struct viommu_inval *inval, uint64_t word)
{
	for (size_t i = 0; i < inval->count; i++)
		if (concerns_section(&inval->changes[i], word))
			return true;
	return false;
}

void viommu_inval_begin(struct viommu_inval *inval)
{
	struct section_table *sections = &inval->v->sections;

	if (inval->state != INVAL_COLLECTING)
		return;
	inval->wait_count = 0;
	/* Partner: the claim in viommu_dma_begin(). Our changes are visible before we look who is inside. */
	atomic_thread_fence(memory_order_seq_cst);
	unsigned slots = atomic_load_explicit(&sections->high_water, memory_order_relaxed);

	for (unsigned i = 0; i < slots; i++) {
		/* Acquire: partner of the release in viommu_dma_end(); what a closed section did came before. */
		uint64_t word = atomic_load_explicit(&sections->slots[i].word, memory_order_acquire);

		if (word && concerns_any_section(inval, word))
			inval->waits[inval->wait_count++] = (struct section_wait){&sections->slots[i], word};
	}
	inval->state = INVAL_SECTIONS;
	inval->waited = false;
}

static bool sections_closed(struct viommu_inval *inval)
{
	while (inval->wait_count) {
		const struct section_wait *wait = &inval->waits[inval->wait_count - 1];

		/* Acquire: as in viommu_inval_begin(). */
		if (atomic_load_explicit(&wait->slot->word, memory_order_acquire) == wait->word)
			return false;
		inval->wait_count--;
	}
	return true;
}

static bool span_in_range(const struct change *change, const struct viommu_span *span)
{
	uint64_t start = change->kind == CHANGE_MEMORY ? (uintptr_t)span->host : span->iova.value;

	return range_overlaps(change->range, (struct range){start, start + span->len - 1});
}

static bool concerns_hold(const struct change *change, const struct viommu_hold *hold)
{
	if (change->kind == CHANGE_ENDPOINT)
		return hold->endpoint == change->endpoint;
	for (size_t i = 0; i < hold->count; i++)
		if (span_in_range(change, &hold->spans[i]))
			return true;
	return false;
}

static bool domain_holds(const struct viommu_inval *inval, const struct change *change, struct viommu_domain *domain)
{
	bool found = false;

	/* Acquire: partner of the release in viommu_dma_release(). Holds of the awaited sections are in the list. */
	if (!atomic_load_explicit(&domain->holds, memory_order_acquire))
		return false;
	lock_take(&domain->holds_lock);
	for (const struct viommu_hold *hold = domain->holds; hold && !found; hold = hold->next)
		found = hold->ticket <= inval->last_ticket && concerns_hold(change, hold);
	lock_drop(&domain->holds_lock);
	return found;
}

static bool change_held(const struct viommu_inval *inval, const struct change *change)
{
	struct viommu *v = inval->v;
	bool found = false;

	if (change->domain)
		return domain_holds(inval, change, change->domain);
	lock_take(&v->lock);
	for (struct viommu_domain *domain = v->domains; domain && !found; domain = domain->next)
		found = domain_holds(inval, change, domain);
	lock_drop(&v->lock);
	return found;
}

static bool holds_released(const struct viommu_inval *inval)
{
	for (size_t i = 0; i < inval->count; i++)
		if (change_held(inval, &inval->changes[i]))
			return false;
	return true;
}

static void finish_change(struct viommu *v, struct change *change)
{
	if (change->retired.head) {
		lock_take(&change->domain->lock);
		table_recycle(&change->domain->table, &change->retired);
		lock_drop(&change->domain->lock);
	}
	memory_free(change->memory);
	if (change->endpoint) {
		lock_take(&v->lock);
		change->endpoint->changes--;
		lock_drop(&v->lock);
	}
	if (change->domain)
		viommu__domain_put(change->domain);
}

static void finish(struct viommu_inval *inval)
{
	struct viommu *v = inval->v;

	for (size_t i = 0; i < inval->count; i++)
		finish_change(v, &inval->changes[i]);
	inval->count = 0;
	inval->state = INVAL_COLLECTING;
	atomic_fetch_add_explicit(&v->invalidations, 1, memory_order_relaxed);
	if (inval->waited)
		atomic_fetch_add_explicit(&v->waited, 1, memory_order_relaxed);
}

int viommu_inval_poll(struct viommu_inval *inval)
{
	if (inval->state == INVAL_SECTIONS && sections_closed(inval)) {
		inval->last_ticket = atomic_load_explicit(&inval->v->tickets, memory_order_relaxed);
		inval->state = INVAL_HOLDS;
	}
	if (inval->state == INVAL_HOLDS && holds_released(inval))
		finish(inval);
	if (inval->state == INVAL_COLLECTING)
		return 0;
	inval->waited = true;
	return -EAGAIN;
}
