/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mirrors from the inside. A domain lists those whose endpoints are attached to it, under its mirror_lock, which every
 * change of what it maps takes as well while there are any: so a mirror hears of changes in their order. A domain
 * without mirrors pays one look at a flag under the lock that it takes anyway.
 *
 * The memory that a domain's mirrors were told of is domain->mirror_memory: adding and removing regions goes from
 * domain to domain, and a mirror that enters meanwhile is neither forgotten nor told twice.
 */
#ifndef LIB_CORE_MIRROR_H
#define LIB_CORE_MIRROR_H

#include <viommu/mirror.h>

#include "lib/core/work.h"

/* What one viommu_map(), one leaf of a guest's table, or one region of a bypass leads to. */
struct mapping {
	struct range iova;
	uint64_t gpa;
	unsigned access;
};

/* True: the domain has mirrors. With domain.lock or mirror_lock held it stays so. */
static inline bool mirrored(const struct viommu_domain *domain)
{
	return __builtin_expect(atomic_load_explicit(&domain->mirrored, memory_order_relaxed), 0);
}

/* For each mapping of a domain; what a walked one maps is in its shadow. Ends with the first result that is not 0. */
typedef int (*mapping_visitor)(void *opaque, const struct mapping *mapping);
int mirrors_each_mapping(struct viommu_domain *domain, const struct memory *memory, mapping_visitor visit, void *opaque)
	REQUIRES(domain->mirror_lock);

/*
 * Tell one mirror of a mapping, as far as it lies in the regions. 0; 1: it takes its time, which only `may_wait`
 * allows; -EOPNOTSUPP: limits of its endpoint
 * exclude it (limits.h); or what it refuses with, perhaps after a part. Ticket 0 of an unmap: what was told does not
 * come about.
 */
int mirror_map(struct viommu_client *mirror, const struct memory_region *regions, size_t count,
	       const struct mapping *mapping, bool may_wait);
void mirror_unmap(struct viommu_client *mirror, struct range iova, uint64_t ticket);
void mirror_batch_end(struct viommu_client *mirror);

/* The ticket that follows, which is drawn only where an invalidation is to wait for it. */
uint64_t mirror_next_ticket(const struct viommu_client *mirror);

/*
 * Tell all mirrors of a mapping, before it is published. 0; 1: a mirror takes its time, which only `may_wait` allows;
 * or what a mirror refuses it with: then all have forgotten it.
 */
int mirrors_map(struct viommu_domain *domain, const struct mapping *mapping, bool may_wait)
	REQUIRES(domain->mirror_lock);

/* False: limits of a mirror's endpoint exclude the mapping (limits.h), so that mirrors_map() gives -EOPNOTSUPP. */
bool mirrors_can_have(struct viommu_domain *domain, const struct mapping *mapping) REQUIRES(domain->mirror_lock);

/* What mirrors_map() has told does not come about. */
void mirrors_undo(struct viommu_domain *domain, struct range iova) REQUIRES(domain->mirror_lock);

/* Tell all mirrors that nothing in this range is mapped any more. */
void mirrors_unmap(struct viommu_domain *domain, struct range iova) REQUIRES(domain->mirror_lock);

/* The domain is being destroyed: its mirrors hold nothing of it any more, and stay where they are. */
void mirrors_close(struct viommu_domain *domain);

/* End of a batch of the above. */
void mirrors_batch_end_locked(struct viommu_domain *domain) REQUIRES(domain->mirror_lock);
void mirrors_batch_end(struct viommu_domain *domain);

/*
 * The guest has invalidated this range of a walked domain: tell what has changed in its tables. A mapping that a mirror
 * refuses is left out, and is a fault of the mirror's endpoint.
 */
void mirrors_refresh(struct viommu_domain *domain, struct range iova, bool may_wait) REQUIRES(domain->mirror_lock);

/* True: a mirror can have refused something of this change. */
static inline bool mirrors_may_refuse(const struct change *change)
{
	return change_adds(change) ||
	       (change->kind == CHANGE_UNMAP && change->domain->walk && mirrored(change->domain));
}

/*
 * All mirrors have answered: what one has refused of this change is taken away again, from the domain and the other
 * mirrors, which the work waits for. 0, or the error of a map or an attach that has failed; a walked domain's is a
 * fault.
 */
int mirrors_settle(struct change *change);

/* The part of the above for an endpoint that has entered a domain: where something is refused it is blocked. */
int mirrors_settle_enter(struct change *change);

/* One mapping that this mirror has refused since it was told of it. Forgets it. 0: there is none. */
int mirror_refusal(struct viommu_client *mirror, struct range iova, struct range *refused);

/* Of a walked domain: leaves in this range that were refused since go, with a fault. True: there were. */
bool mirrors_refused_leaves(struct viommu_domain *domain, struct range iova) REQUIRES(domain->mirror_lock);

/*
 * The endpoint moves: its mirrors leave one space and enter the other (NULL: blocked). On an error they are back where
 * they were; *lost: not even that, they hold nothing.
 */
int mirrors_switch(struct viommu_endpoint *endpoint, struct viommu_domain *from, struct viommu_domain *to, bool *lost)
	REQUIRES(endpoint->move_lock);

/* A region was added to `memory`: tell all mirrors; on an error all have forgotten it. */
int mirrors_memory_added(struct viommu *v, const struct memory *old, const struct memory *memory,
			 const struct memory_region *region) REQUIRES(v->lock);
/* A region is not in `memory` any more. */
void mirrors_memory_removed(struct viommu *v, const struct memory *memory, const struct memory_region *region)
	REQUIRES(v->lock);

/* Registering: it enters the space of its endpoint. 0, or what it refuses with. */
int mirror_join(struct viommu_client *mirror);

/* Unregistering: its domain and its endpoint forget the mirror, which is told nothing. */
void mirror_forget(struct viommu_client *mirror);

#endif
