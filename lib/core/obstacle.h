/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands in the way of a work: the sections that were open when it began, the clients that have not acknowledged,
 * and then the holds that were taken in those sections.
 */
#ifndef LIB_CORE_OBSTACLE_H
#define LIB_CORE_OBSTACLE_H

#include "lib/core/work.h"

enum obstacle_kind { OBSTACLE_SECTION, OBSTACLE_CLIENT, OBSTACLE_HOLD };

struct obstacle {
	enum obstacle_kind kind;
	uint64_t word;                /* SECTION: of its slot */
	struct viommu_client *client; /* CLIENT */
	struct viommu_hold *hold;     /* HOLD: its domain's holds_lock is held */
};

/* True ends the iteration. Called with the locks of the iteration held. */
typedef bool (*obstacle_visit)(void *opaque, const struct obstacle *obstacle);

/* Visit what stands in the way of a work that has begun, perhaps more than once. True: a visit ended it. */
bool obstacle_each_locked(struct viommu *v, const struct work *work, obstacle_visit visit, void *opaque)
	REQUIRES(v->lock);

/* True: it stands in the way of this change of its work. Exact. */
bool obstacle_concerns(const struct obstacle *obstacle, const struct change *change);

/* True: this is the endpoint whose access it is. */
bool obstacle_is_of(const struct obstacle *obstacle, const struct viommu_endpoint *endpoint);

/* Note the open sections that the changes concern, behind the fence of work_begin(). */
void obstacle_note_sections(const struct section_table *sections, struct work *work);

/* Nothing was noted: the common case, without a call. */
static inline bool obstacle_none_noted(const struct work *work)
{
	return !work->wait_count && !work->client_count;
}

/* True: every section and client that was noted has let go. Once true, true until the work begins anew. */
bool obstacle_noted_gone(struct viommu *v, struct work *work);

/* Acquire: partner of the release in viommu_dma_release(). Holds of the awaited sections are in the list. */
static inline bool obstacle_domain_held(const struct viommu_domain *domain)
{
	return atomic_load_explicit(&domain->holds, memory_order_acquire);
}

/*
 * What obstacle_holds_gone() does where some domain has holds. Puts the changes into an order of its own. A hold in the
 * way can only go by being released, so its domain is not looked at again before one was.
 */
bool obstacle_holds_search(struct viommu *v, struct work *work);

/* True: every hold that some change concerns has been released. No hold where it could matter: without a call. */
static inline bool obstacle_holds_gone(struct viommu *v, struct work *work)
{
	for (size_t i = 0; i < work->count; i++) {
		const struct viommu_domain *domain = work->changes[i].domain;

		if (!domain || obstacle_domain_held(domain))
			return obstacle_holds_search(v, work);
	}
	return true;
}

#endif
