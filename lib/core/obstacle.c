/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The holds that an invalidation waits for. A batch may have many changes and a domain many holds of many spans, so the
 * changes are sorted before they are compared: by domain and kind, then by address or endpoint. And as a hold in the
 * way can only go by being released, its domain is not looked at again before one was.
 */
#include <stdlib.h>

#include "lib/core/inval.h"

/* In the space that the change is about. */
static uint64_t span_start(const struct change *change, const struct viommu_span *span)
{
	return change->kind == CHANGE_MEMORY ? (uintptr_t)span->host : span->iova.value;
}

static bool span_concerned(const struct change *change, const struct viommu_span *span)
{
	uint64_t start = span_start(change, span);

	return range_overlaps(change->range, (struct range){start, start + span->len - 1});
}

/* Changes that concern an endpoint's holds wherever they are, not those of a range. */
static bool by_endpoint(const struct change *change)
{
	return change->kind == CHANGE_ENDPOINT || change->kind == CHANGE_NOTHING;
}

bool change_concerns_hold(const struct change *change, const struct viommu_hold *hold)
{
	if (by_endpoint(change))
		return hold->endpoint == change->endpoint;
	for (size_t i = 0; i < hold->count; i++)
		if (span_concerned(change, &hold->spans[i]))
			return true;
	return false;
}

/* Acquire: partner of the release in viommu_dma_release(). Holds of the awaited sections are in the list. */
static bool has_holds(const struct viommu_domain *domain)
{
	return atomic_load_explicit(&domain->holds, memory_order_acquire);
}

static bool domain_holds(const struct work *work, const struct change *change, struct viommu_domain *domain)
{
	bool found = false;

	if (!has_holds(domain))
		return false;
	lock_take(&domain->holds_lock);
	for (const struct viommu_hold *hold = domain->holds; hold && !found; hold = hold->next)
		found = hold->ticket <= work->last_ticket && change_concerns_hold(change, hold);
	lock_drop(&domain->holds_lock);
	return found;
}

bool change_held(struct viommu *v, const struct work *work, const struct change *change)
{
	bool found = false;

	if (change->domain)
		return domain_holds(work, change, change->domain);
	lock_take(&v->lock);
	for (struct viommu_domain *domain = v->domains; domain && !found; domain = domain->next)
		found = domain_holds(work, change, domain);
	lock_drop(&v->lock);
	return found;
}

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* What changes of one domain and kind are sorted by. */
static uint64_t place(const struct change *change)
{
	return by_endpoint(change) ? (uintptr_t)change->endpoint : change->range.first;
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

static bool same_run(const struct change *a, const struct change *b)
{
	return a->domain == b->domain && a->kind == b->kind;
}

static void sort_changes(struct work *work)
{
	struct change *changes = work->changes;

	qsort(changes, work->count, sizeof(*changes), compare);
	for (size_t i = 0; i < work->count; i++) {
		uint64_t before = i && same_run(&changes[i - 1], &changes[i]) ? changes[i - 1].reach : 0;

		changes[i].reach = before > changes[i].range.last ? before : changes[i].range.last;
	}
	work->sorted = true;
}

/* Changes of one domain and kind, sorted. */
struct run {
	const struct change *changes;
	size_t count;
};

/* The last change of the run that does not lie beyond; NULL: all do. */
static const struct change *run_find(struct run run, uint64_t last)
{
	size_t low = 0, high = run.count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (place(&run.changes[middle]) <= last)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &run.changes[low - 1] : NULL;
}

static bool run_concerns_hold(struct run run, const struct viommu_hold *hold)
{
	const struct change *found;

	if (by_endpoint(run.changes)) {
		found = run_find(run, (uintptr_t)hold->endpoint);
		return found && found->endpoint == hold->endpoint;
	}
	for (size_t i = 0; i < hold->count; i++) {
		uint64_t start = span_start(run.changes, &hold->spans[i]);

		found = run_find(run, start + hold->spans[i].len - 1);
		if (found && found->reach >= start)
			return true;
	}
	return false;
}

/* Does a hold of this domain stand in the way? Remembers it where nothing but a release can change that. */
static bool run_held(struct work *work, struct run run, struct viommu_domain *domain)
{
	bool found = false;

	if (!has_holds(domain))
		return false;
	lock_take(&domain->holds_lock);
	for (const struct viommu_hold *hold = domain->holds; hold && !found; hold = hold->next)
		found = hold->ticket <= work->last_ticket && run_concerns_hold(run, hold);
	if (found && run.changes->domain) { /* whose reference keeps the domain alive */
		work->held = domain;
		work->held_releases = atomic_load_explicit(&domain->releases, memory_order_relaxed);
	}
	lock_drop(&domain->holds_lock);
	return found;
}

static bool run_held_anywhere(struct viommu *v, struct work *work, struct run run)
{
	bool found = false;

	if (run.changes->domain)
		return run_held(work, run, run.changes->domain);
	lock_take(&v->lock);
	for (struct viommu_domain *domain = v->domains; domain && !found; domain = domain->next)
		found = run_held(work, run, domain);
	lock_drop(&v->lock);
	return found;
}

/* The quick look: is there any hold where it could matter? */
static bool any_holds(const struct work *work)
{
	for (size_t i = 0; i < work->count; i++)
		if (!work->changes[i].domain || has_holds(work->changes[i].domain))
			return true;
	return false;
}

bool holds_released(struct viommu *v, struct work *work)
{
#ifdef VIOMMU_WITHOUT_WAITING /* a build that is wrong on purpose: the race test must notice */
	return true;
#endif
	if (work->held && atomic_load_explicit(&work->held->releases, memory_order_relaxed) == work->held_releases)
		return false;
	work->held = NULL;
	if (!any_holds(work))
		return true;
	if (!work->sorted)
		sort_changes(work);
	for (size_t first = 0, end; first < work->count; first = end) {
		for (end = first + 1; end < work->count && same_run(&work->changes[first], &work->changes[end]);)
			end++;
		if (run_held_anywhere(v, work, (struct run){&work->changes[first], end - first}))
			return false;
	}
	return true;
}
