/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The obstacles of a work. A batch may have many changes and a domain many holds of many spans, so the changes are
 * sorted before they are compared with holds: by domain and kind, then by address or endpoint.
 */
#include "lib/core/obstacle.h"

#include <stdlib.h>

#include "lib/core/notify.h"

/* In the space that the change is about. */
static uint64_t span_start(const struct change *change, const struct viommu_span *span)
{
	return change->kind == CHANGE_MEMORY ? (uintptr_t)span->host : span->iova.value;
}

static bool concerns_section(const struct change *change, uint64_t word)
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

static bool concerns_hold(const struct change *change, const struct viommu_hold *hold)
{
	if (change_adds(change) || (change->domain && change->domain != hold->domain))
		return false;
	if (change_by_endpoint(change))
		return hold->endpoint == change->endpoint;
	for (size_t i = 0; i < hold->count; i++) {
		uint64_t start = span_start(change, &hold->spans[i]);

		if (range_overlaps(change->range, (struct range){start, start + hold->spans[i].len - 1}))
			return true;
	}
	return false;
}

bool obstacle_concerns(const struct obstacle *obstacle, const struct change *change)
{
	switch (obstacle->kind) {
	case OBSTACLE_SECTION:
		return concerns_section(change, obstacle->word);
	case OBSTACLE_CLIENT:
		return notify_concerns(obstacle->client, change);
	case OBSTACLE_HOLD:
		return concerns_hold(change, obstacle->hold);
	}
	return true;
}

bool obstacle_is_of(const struct obstacle *obstacle, const struct viommu_endpoint *endpoint)
{
	switch (obstacle->kind) {
	case OBSTACLE_SECTION:
		return section_endpoint(obstacle->word) == endpoint->index;
	case OBSTACLE_CLIENT:
		return obstacle->client->endpoint == endpoint;
	case OBSTACLE_HOLD:
		return obstacle->hold->endpoint == endpoint;
	}
	return true;
}

static bool concerns_any(const struct work *work, uint64_t word)
{
	for (size_t i = 0; i < work->count; i++)
		if (concerns_section(&work->changes[i], word))
			return true;
	return false;
}

void obstacle_note_sections(const struct section_table *sections, struct work *work)
{
	unsigned slots = atomic_load_explicit(&sections->high_water, memory_order_relaxed);

	for (unsigned i = 0; i < slots; i++) {
		/* Acquire: partner of the release in viommu_dma_end(); what a closed section did came before. */
		uint64_t word = atomic_load_explicit(&sections->slots[i].word, memory_order_acquire);

		if (word && concerns_any(work, word))
			work->waits[work->wait_count++] = (struct section_wait){&sections->slots[i], word};
	}
}

bool obstacle_noted_gone(struct viommu *v, struct work *work)
{
#ifdef VIOMMU_MUTANT_WAITING /* wrong on purpose: nobody is waited for */
	work->wait_count = 0;
	work->client_count = 0;
#endif
	while (work->wait_count && !section_open(&work->waits[work->wait_count - 1]))
		work->wait_count--;
	if (work->wait_count)
		return false;
	if (!work->client_count)
		return true;
	lock_take(&v->lock);
	while (work->client_count && client_wait_over(&work->clients[work->client_count - 1]))
		work->client_count--;
	bool acked = !work->client_count;

	lock_drop(&v->lock);
	return acked;
}

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* What changes of one domain and kind are sorted by. */
static uint64_t place(const struct change *change)
{
	return change_by_endpoint(change) ? (uintptr_t)change->endpoint : change->range.first;
}

static int compare(const void *a, const void *b)
{
	const struct change *one = a, *two = b;
	int domain = order((uintptr_t)one->domain, (uintptr_t)two->domain);

	if (domain)
		return domain;
	if (one->kind != two->kind)
		return one->kind < two->kind ? -1 : 1;
	return order(place(one), place(two));
}

static bool same_group(const struct change *a, const struct change *b)
{
	return a->domain == b->domain && a->kind == b->kind;
}

static void sort_changes(struct work *work)
{
	struct change *changes = work->changes;

	qsort(changes, work->count, sizeof(*changes), compare);
	for (size_t i = 0; i < work->count; i++) {
		uint64_t before = i && same_group(&changes[i - 1], &changes[i]) ? changes[i - 1].reach : 0;

		changes[i].reach = before > changes[i].range.last ? before : changes[i].range.last;
	}
	work->sorted = true;
}

/* Changes of one domain and kind, sorted. */
struct group {
	const struct change *changes;
	size_t count;
};

static struct group group_at(const struct work *work, size_t first)
{
	size_t end = first + 1;

	while (end < work->count && same_group(&work->changes[first], &work->changes[end]))
		end++;
	return (struct group){&work->changes[first], end - first};
}

/* The last change of the group that does not lie beyond; NULL: all do. */
static const struct change *group_find(struct group group, uint64_t last)
{
	size_t low = 0, high = group.count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (place(&group.changes[middle]) <= last)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &group.changes[low - 1] : NULL;
}

static bool group_concerns_hold(struct group group, const struct viommu_hold *hold)
{
	const struct change *found;

	if (change_adds(group.changes))
		return false;
	if (change_by_endpoint(group.changes)) {
		found = group_find(group, (uintptr_t)hold->endpoint);
		return found && found->endpoint == hold->endpoint;
	}
	if (group.changes->kind == CHANGE_UNMAP) {
		/* Most holds are far from what is unmapped: one look for all spans. */
		found = group_find(group, hold->last.value);
		if (!found || found->reach < hold->first.value)
			return false;
	}
	for (size_t i = 0; i < hold->count; i++) {
		uint64_t start = span_start(group.changes, &hold->spans[i]);

		found = group_find(group, start + hold->spans[i].len - 1);
		if (found && found->reach >= start)
			return true;
	}
	return false;
}

static bool each_hold(const struct work *work, struct group group, struct viommu_domain *domain, obstacle_visit visit,
		      void *opaque)
{
	bool ended = false;

	if (!obstacle_domain_held(domain))
		return false;
	lock_take(&domain->holds_lock);
	for (struct viommu_hold *hold = domain->holds; hold && !ended; hold = hold->next)
		if (hold->ticket <= work->last_ticket && group_concerns_hold(group, hold))
			ended = visit(opaque, &(struct obstacle){.kind = OBSTACLE_HOLD, .hold = hold});
	lock_drop(&domain->holds_lock);
	return ended;
}

static bool each_hold_of_group(struct viommu *v, const struct work *work, struct group group, obstacle_visit visit,
			       void *opaque) REQUIRES(v->lock)
{
	if (group.changes->domain)
		return each_hold(work, group, group.changes->domain, visit, opaque);
	for (struct viommu_domain *domain = v->domains; domain; domain = domain->next)
		if (each_hold(work, group, domain, visit, opaque))
			return true;
	return false;
}

bool obstacle_each_locked(struct viommu *v, const struct work *work, obstacle_visit visit, void *opaque)
{
	for (unsigned i = 0; i < work->wait_count; i++)
		if (section_open(&work->waits[i]) &&
		    visit(opaque, &(struct obstacle){.kind = OBSTACLE_SECTION, .word = work->waits[i].word}))
			return true;
	for (size_t i = 0; i < work->client_count; i++)
		if (!client_wait_over(&work->clients[i]) &&
		    visit(opaque, &(struct obstacle){.kind = OBSTACLE_CLIENT, .client = work->clients[i].client}))
			return true;
	for (size_t first = 0; work->state == WORK_HOLDS && first < work->count;) {
		struct group group = group_at(work, first);

		if (each_hold_of_group(v, work, group, visit, opaque))
			return true;
		first += group.count;
	}
	return false;
}

static bool names_domain(const struct work *work, const struct viommu_domain *domain)
{
	for (size_t i = 0; i < work->count; i++)
		if (work->changes[i].domain == domain)
			return true;
	return false;
}

/* Remember the domain where nothing but a release can change that, if a change's reference keeps it. */
static bool note_held(void *opaque, const struct obstacle *obstacle)
{
	struct work *work = opaque;
	struct viommu_domain *domain = obstacle->hold->domain;

	if (names_domain(work, domain)) {
		work->held = domain;
		work->held_releases = atomic_load_explicit(&domain->releases, memory_order_relaxed);
	}
	return true;
}

bool obstacle_holds_search(struct viommu *v, struct work *work)
{
#ifdef VIOMMU_MUTANT_WAITING /* as above */
	return true;
#endif
	if (work->held && atomic_load_explicit(&work->held->releases, memory_order_relaxed) == work->held_releases)
		return false;
	work->held = NULL;
	if (!work->sorted)
		sort_changes(work);
	lock_take(&v->lock);
	bool held = obstacle_each_locked(v, work, note_held, work);

	lock_drop(&v->lock);
	return !held;
}
