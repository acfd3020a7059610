/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the device IOTLB lacks is looked up in the shared table, and else asked of the front end: where an access needs
 * it, and ahead of that.
 */
#include <errno.h>

#include "lib/vhost_user/back/iotlb.h"

static int iotlb_walk(void *opaque, const struct memory *memory, uint64_t iova, unsigned access,
		      struct walk_result *result)
{
	struct vbe_iotlb *iotlb = opaque;
	int err = -EAGAIN;

	(void)memory;
	*result = (struct walk_result){.reason = VIOMMU_FAULT_NOT_MAPPED};
	if (vbe_shared_find(&iotlb->shared, iova, access, result))
		return 0;
	lock_take(&iotlb->asking.lock);
	const struct vbe_miss *miss =
		vbe_ask_locked(&iotlb->asking, (struct range){iova, iova | (VBE_PAGE - 1)}, access);

	if (miss && miss->failed) {
		result->reason = miss->failed;
		err = -EFAULT;
	}
	lock_drop(&iotlb->asking.lock);
	return err;
}

const struct walk_ops vbe_walk_ops = {.walk = iotlb_walk};

/* The first address from *at on, and not beyond `last`, that the shared table does not have. False: it has all. */
static bool find_hole_shared(const struct vbe_iotlb *iotlb, uint64_t *at, uint64_t last, unsigned access)
{
	struct walk_result result;

	while (vbe_shared_find(&iotlb->shared, *at, access, &result)) {
		if (result.iova.last >= last)
			return false;
		*at = result.iova.last + 1;
	}
	return true;
}

/* The first address from *at on, and not beyond `last`, that is not kept with these rights. False: all are. */
static bool find_hole(const struct viommu_section *section, uint64_t *at, uint64_t last, unsigned access)
{
	struct viommu__leaf leaf;

	while (viommu__section_kept(section, *at, &leaf) && (leaf.access & access) == access) {
		if (leaf.len - 1 >= last - *at)
			return false;
		*at += leaf.len;
	}
	return true;
}

/* The same of both together. False: nothing is missing. */
static bool find_missing(const struct vbe_iotlb *iotlb, const struct viommu_section *section, uint64_t *at,
			 uint64_t last, unsigned access)
{
	uint64_t before;

	do {
		before = *at;
		if (!find_hole_shared(iotlb, at, last, access) || !find_hole(section, at, last, access))
			return false;
	} while (*at != before);
	return true;
}

/*
 * Ask for what is missing from here on: with one message, or for one page where the front end answers no more than
 * that. Returns the last address that was asked for; false: too much is asked already.
 */
static bool ask_ahead(struct vbe_iotlb *iotlb, struct range iova, unsigned access, uint64_t *last)
{
	const uint64_t page_last = iova.first | (VBE_PAGE - 1);

	lock_take(&iotlb->asking.lock);
	if (iotlb->asking.short_answers && iova.last > page_last)
		iova.last = page_last;
	const struct vbe_miss *miss = vbe_ask_locked(&iotlb->asking, iova, access);

	lock_drop(&iotlb->asking.lock);
	*last = iova.last;
	return miss;
}

void vbe_prefetch(struct vbe_iotlb *iotlb, const struct viommu_section *section, uint64_t iova, uint64_t len,
		  unsigned access)
{
	struct range range;
	uint64_t last;

	const enum viommu__space space = viommu__section_space(section);

	if (space == VIOMMU__SPACE_NONE || space == VIOMMU__SPACE_KNOWN || !range_from_len(iova, len, &range))
		return;
	/*
	 * Pages that are there are left out: the device may use them and give them back before the front end reads the
	 * question, which it would report as a fault.
	 */
	while (find_missing(iotlb, section, &range.first, range.last, access)) {
		if (!ask_ahead(iotlb, range, access, &last) || last == range.last)
			return;
		range.first = last + 1;
	}
}
