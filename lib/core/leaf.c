/* SPDX-License-Identifier: BSD-2-Clause */
/* The leaves of a section's domain, one at a time, for clients that hand translations on before they are used. */
#include "lib/core/target.h"

static struct viommu__leaf leaf_of(const struct target *target)
{
	return (struct viommu__leaf){target->gpa, target->len, target->access};
}

static inline bool find_kept(const struct viommu_domain *domain, uint64_t iova, struct viommu__leaf *leaf)
{
	struct target target;
	bool found = target_find(domain, iova, &target);

	if (found)
		*leaf = leaf_of(&target);
	return found;
}

bool viommu__section_kept(const struct viommu_section *section, uint64_t iova, struct viommu__leaf *leaf)
{
	return find_kept(section->domain, iova, leaf);
}

bool viommu__section_leaf(const struct viommu_section *section, uint64_t iova, struct viommu__leaf *leaf,
			  uint64_t *hole)
{
	const struct viommu_domain *domain = section->domain;
	struct walk_result result;
	struct target target;

	if (find_kept(domain, iova, leaf))
		return true;
	*hole = iova | ((1u << TABLE_PAGE_SHIFT) - 1);
	if (!domain->walk) {
		uint64_t page = iova >> TABLE_PAGE_SHIFT;

		*hole = table_next(&domain->table, page, &page) ? (page << TABLE_PAGE_SHIFT) - 1 : UINT64_MAX;
		return false;
	}
	if (!viommu__domain_walk(section, iova, 0, &result)) {
		target_fill(&result, iova, &target);
		*leaf = leaf_of(&target);
		return true;
	}
	if (result.hole > *hole)
		*hole = result.hole;
	return false;
}
