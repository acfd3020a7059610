/* SPDX-License-Identifier: BSD-2-Clause */
/* Holds begin in a section and end by their release: the list of a domain. */
#include "lib/core/wake.h"

void viommu_dma_hold(struct viommu_section *section, struct viommu_hold *hold, const struct viommu_span *spans,
		     size_t count)
{
	struct viommu_domain *domain = section->domain;

	*hold = (struct viommu_hold){.endpoint = section->endpoint,
				     .domain = domain,
				     .spans = spans,
				     .count = count,
				     .first = {UINT64_MAX},
				     .cancel = hold->cancel};
	for (size_t i = 0; i < count; i++) {
		const uint64_t first = spans[i].iova.value, last = first + (spans[i].len - 1);

		hold->first.value = first < hold->first.value ? first : hold->first.value;
		hold->last.value = last > hold->last.value ? last : hold->last.value;
	}
	if (!domain)
		return; /* blocked: there are no spans */
	lock_take(&domain->holds_lock);
	struct viommu_hold *next = atomic_load_explicit(&domain->holds, memory_order_relaxed);

	/* The ticket is drawn inside the section, so an invalidation that awaits the section sees a smaller one. */
	hold->ticket = 1 + atomic_fetch_add_explicit(&domain->v->tickets, 1, memory_order_relaxed);
	hold->next = next;
	if (next)
		next->prev = hold;
	/* Read without the lock in obstacle.c, ordered by the end of this section. */
	atomic_store_explicit(&domain->holds, hold, memory_order_relaxed);
	lock_drop(&domain->holds_lock);
}

void viommu_dma_release(struct viommu_hold *hold)
{
	struct viommu_domain *domain = hold->domain;

	if (!domain)
		return;
	struct viommu *v = domain->v;

	lock_take(&domain->holds_lock);
	if (hold->next)
		hold->next->prev = hold->prev;
	if (hold->prev)
		hold->prev->next = hold->next;
	else
		/* Release: partner of the acquire in has_holds(); the I/O is over before the list is empty. */
		atomic_store_explicit(&domain->holds, hold->next, memory_order_release);
	atomic_fetch_add_explicit(&domain->releases, 1, memory_order_relaxed);
	lock_drop(&domain->holds_lock);
	hold->domain = NULL;
	wake_let_go(v);
}
