/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a domain says of an address: shared by translation (translate.c) and the search for extents (extent.c). Inside a
 * section only.
 */
#ifndef LIB_CORE_TARGET_H
#define LIB_CORE_TARGET_H

#include <assert.h>

#include "lib/core/context.h"

/*
 * What the domain says of one address: where it points, how many bytes run on from it, and before it, with which
 * rights.
 */
struct target {
	uint64_t gpa, len, before;
	unsigned access;
};

static_assert(TABLE_BITS * (TABLE_LEVELS - 1) + TABLE_PAGE_SHIFT < 64, "the length of the largest leaf fits");

/* In what is kept of the domain, or always there. */
static inline bool target_find(const struct viommu_domain *domain, uint64_t iova, struct target *out)
{
	uint64_t offset = iova & ((1u << TABLE_PAGE_SHIFT) - 1);
	struct table_hit hit;

	/* All of the space; its last byte would not fit into a length, and memory ends before it. */
	if (domain->identity) {
		*out = (struct target){iova, UINT64_MAX, iova, VIOMMU_READ | VIOMMU_WRITE};
		return true;
	}
	if (!table_find(&domain->table, iova >> TABLE_PAGE_SHIFT, &hit))
		return false;
	*out = (struct target){hit.gpa + offset, (hit.pages << TABLE_PAGE_SHIFT) - offset, offset, hit.access};
	return true;
}

static inline bool target_allows(const struct target *target, unsigned access)
{
	/* NOLINTNEXTLINE: a target that was not found is an error in each caller, which clang-tidy loses on its way */
	return (target->access & access) == access && !(target->access & VIOMMU_MMIO);
}

static inline void target_fill(const struct walk_result *result, uint64_t iova, struct target *out)
{
	uint64_t before = iova - result->iova.first;

	*out = (struct target){result->gpa + before, result->iova.last - iova + 1, before, result->access};
}

/*
 * The same for domains that a walk serves, too: what was kept may be lacking, or allow less than the guest's table does
 * by now. Reports nothing.
 */
static inline bool target_find_or_walk(const struct viommu_section *section, uint64_t iova, unsigned access,
				       struct target *out)
{
	const struct viommu_domain *domain = section->domain;
	bool found = target_find(domain, iova, out);
	struct walk_result result;

	if (!domain->walk || (found && target_allows(out, access)))
		return found;
	if (viommu__domain_walk(section, iova, access, &result))
		return false;
	target_fill(&result, iova, out);
	return true;
}

#endif
