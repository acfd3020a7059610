/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of a change when its mirrors have answered, and one of them has refused. */
#include <errno.h>

#include "lib/core/mirror.h"

/* A map of viommu_map_pending(). */
static int settle_map(struct change *change)
{
	struct viommu_domain *domain = change->domain;
	const struct range pages = {change->range.first >> TABLE_PAGE_SHIFT, change->range.last >> TABLE_PAGE_SHIFT};
	struct range refused;
	int err = 0;

	lock_take(&domain->mirror_lock);
	for (struct viommu_client *mirror = domain->mirrors; mirror && !err; mirror = mirror->next_in_domain)
		err = mirror_refusal(mirror, change->range, &refused);
	if (err) {
		change->kind = CHANGE_UNMAP;
		spin_take(&domain->lock);
		domain->unmaps += table_unmap(&domain->table, pages, &change->retired);
		spin_drop(&domain->lock);
		mirrors_unmap(domain, change->range);
	}
	lock_drop(&domain->mirror_lock);
	return err;
}

int mirrors_settle(struct change *change)
{
	struct viommu_domain *domain = change->domain;
	int err = 0;

	switch (change->kind) {
	case CHANGE_MAP:
		return settle_map(change);
	case CHANGE_ENTER:
		return mirrors_settle_enter(change);
	case CHANGE_UNMAP: /* of a walked domain */
		lock_take(&domain->mirror_lock);
		err = mirrors_refused_leaves(domain, change->range) ? -ENOSPC : 0;
		lock_drop(&domain->mirror_lock);
		return err;
	default:
		return 0;
	}
}
