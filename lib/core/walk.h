/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walked domains: their mappings are tables in guest memory, which a model knows how to read. What a walk finds is kept
 * in the domain's own table, which so is its IOTLB; the model takes it out again where the guest invalidates.
 *
 * A walk races with an invalidation: it may have read the guest's entry before the guest changed it. So a walk notes
 * the domain's generation first, and what it finds is kept only if no invalidation has come since. In the section that
 * walked it may be used all the same: the invalidation waits for that section.
 *
 * That an address is not mapped is never kept.
 */
#ifndef LIB_CORE_WALK_H
#define LIB_CORE_WALK_H

#include <viommu/fault.h>

#include "lib/core/memory.h"
#include "lib/util/range.h"

struct viommu;
struct viommu_domain;
struct viommu_inval;
struct viommu_section;

/* What a walk says of an address. */
struct walk_result {
	uint32_t domain_id;              /* as the guest numbers it; also where the walk fails */
	struct range iova;               /* found: a leaf, 2^(12 + 9n) bytes and aligned to its size */
	uint64_t gpa;                    /* of its first byte */
	unsigned access;                 /* rights of all of it */
	bool once;                       /* do not keep it */
	enum viommu_fault_reason reason; /* not found */
	uint32_t detail;                 /* the model's own word for that */
	bool silent;                     /* the guest does not want to hear of it */
	uint64_t hole;                   /* not found: nor is anything else up to this address; 0: not known */
};

struct walk_ops {
	/*
	 * Find the leaf of an address that allows `access`. Runs inside a section on any thread, several at a time;
	 * `memory` is the section's. 0, or -EFAULT with domain_id, reason and detail set; -EAGAIN: the answer has been
	 * asked for and comes later (then nothing is reported).
	 */
	int (*walk)(void *opaque, const struct memory *memory, uint64_t iova, unsigned access,
		    struct walk_result *result);
	void (*gone)(void *opaque); /* the domain is freed, so no walk uses `opaque` any more; may be NULL */
	/* The model's own word for a leaf that a mirror has refused; 0: it has none. May be NULL. */
	uint32_t (*refusal)(void *opaque, unsigned access);
	bool told; /* the guest invalidates what it adds, too */
};

/* A walked domain; ops live longer, opaque until ops->gone(). -ENOSPC, -ENOMEM: then gone() is not called. */
int viommu__domain_create_walked(struct viommu *v, const struct walk_ops *ops, void *opaque,
				 struct viommu_domain **out);

/*
 * Forget what was kept of first..last (any addresses), and record that sections and holds that use it are to be waited
 * for. `spare_ats`: clients of endpoints with ATS switched on are not told: the guest invalidates their device TLBs by
 * itself. -ENOMEM, -EBUSY.
 */
int viommu__domain_evict(struct viommu_domain *domain, struct range iova, bool spare_ats, struct viommu_inval *inval);

/*
 * Somebody brings what a walk could not find: keep it, whole pages, in the place of what was kept there, which is
 * recorded like an eviction. -ENOMEM, -EBUSY: nothing changed; -ENOSPC: there is no room, and everything was evicted.
 */
int viommu__domain_replace(struct viommu_domain *domain, struct range iova, uint64_t gpa, unsigned access,
			   struct viommu_inval *inval);

/*
 * Look an address of the section's domain up by a walk, and keep what it finds. As walk(). Where nothing is kept it
 * writes to no line of the domain: a device that finds all it needs by walks, as behind a shared table, does not get in
 * the way of the others.
 */
int viommu__domain_walk(const struct viommu_section *section, uint64_t iova, unsigned access,
			struct walk_result *result);

#endif
