/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of an invalidation. A function that takes rights away reserves room first (which may fail), makes the
 * change, and records it (which cannot).
 */
#ifndef LIB_CORE_INVAL_H
#define LIB_CORE_INVAL_H

#include <errno.h>

#include "lib/core/internal.h"
#include "lib/core/work.h"

struct viommu_inval {
	struct viommu *v;
	struct viommu_inval *prev, *next; /* viommu.lock: all of the context */
	struct work *work;
	int refused;  /* what a mirror has refused something of it with, since it began */
	unsigned tag; /* of the changes that are recorded next */
	/*
	 * A reference to a domain that the last changes named, or NULL: the next ones need take and drop none. Written
	 * by the owner, but for viommu_domain_destroy(), which takes it back under viommu.lock.
	 */
	struct viommu_domain *_Atomic kept;
	_Atomic uint64_t completed, waited; /* written by the owner */
	/*
	 * Each tag whose change did not come about, in no order, perhaps more than once: at the deadline (-ETIMEDOUT),
	 * or because a mirror refused a map.
	 */
	void (*failed)(void *opaque, unsigned tag, int err);
	void *opaque;
};

/* The reference that a change needs: the one that the invalidation has kept, or a new one. */
static inline void viommu__domain_reference_locked(struct viommu_domain *domain, struct viommu_inval *inval)
	REQUIRES(domain->lock)
{
	if (atomic_load_explicit(&inval->kept, memory_order_relaxed) == domain)
		atomic_store_explicit(&inval->kept, NULL, memory_order_relaxed);
	else
		domain->references++;
}

/* Make room for one more change. -ENOMEM, -EBUSY (begun already). */
static inline int viommu__inval_reserve(struct viommu_inval *inval)
{
	const struct work *work = inval->work;

	if (work->state != WORK_COLLECTING)
		return -EBUSY;
	return work->count < work->room ? 0 : viommu__inval_room(inval, 2 * work->room);
}

/* The place, which is reserved, of a change that was made: the caller writes all of it, with inval->tag. */
static inline struct change *viommu__inval_next(struct viommu_inval *inval)
{
	return &inval->work->changes[inval->work->count++];
}

#endif
