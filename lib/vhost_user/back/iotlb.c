/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the front end says of translations ("An IOTLB message"). UPDATE is kept in whole pages, rounded inwards, so that
 * nothing is reachable that was not granted; INVALIDATE is rounded outwards, and neither its size nor its end can be
 * wrong: 0, and what goes beyond 2^64-1, mean up to there.
 */
#include "lib/vhost_user/back/iotlb.h"

#include <errno.h>

static const uint64_t mask = VBE_PAGE - 1;

static bool granted_pages(const struct vhu_iotlb *message, struct range *pages)
{
	struct range bytes;

	if ((message->iova ^ message->user_address) & mask || !range_from_len(message->iova, message->size, &bytes) ||
	    bytes.first > UINT64_MAX - mask)
		return false;
	pages->first = (bytes.first + mask) & ~mask;
	/* The last byte but one page, or the end of the last whole page. */
	if ((bytes.last & mask) != mask) {
		if (bytes.last < VBE_PAGE)
			return false;
		bytes.last = (bytes.last & ~mask) - 1;
	}
	pages->last = bytes.last;
	return pages->first <= pages->last;
}

/* All of it lies in the memory table, in one region or several. */
static bool in_memory(const struct vbe_memory *memory, uint64_t user, uint64_t size)
{
	uint64_t gpa, len;

	for (uint64_t done = 0; done < size; done += len)
		if (user > UINT64_MAX - done || !vbe_memory_find(memory, user + done, &gpa, &len))
			return false;
	return true;
}

/* Neighbours for the front end need not be neighbours in guest memory. */
static int iotlb_keep(struct vbe_iotlb *iotlb, struct range pages, uint64_t user, unsigned access,
		      struct vbe_task *task)
{
	int err = 0;

	for (uint64_t at = pages.first, last = 0; !err && last != pages.last;) {
		uint64_t gpa, len;

		if (!vbe_memory_find(iotlb->memory, user, &gpa, &len))
			return -EINVAL;
		last = len - 1 < pages.last - at ? at + (len - 1) : pages.last;
		err = viommu__domain_replace(iotlb->domain, (struct range){at, last}, gpa, access, task->inval);
		at += len;
		user += len;
	}
	/* No room: everything goes. Bursts that still want it ask again, when there is room. */
	return err == -ENOSPC ? 0 : err;
}

static int iotlb_update(struct vbe_iotlb *iotlb, const struct vhu_iotlb *message, struct vbe_task *task)
{
	const unsigned access = (message->access & VHU_ACCESS_RO ? VIOMMU_READ : 0) |
				(message->access & VHU_ACCESS_WO ? VIOMMU_WRITE : 0);
	uint64_t user = message->user_address;
	struct range pages;
	int err;

	if (message->access & ~VHU_ACCESS_RW || !granted_pages(message, &pages))
		return -EINVAL;
	user += pages.first - message->iova;
	if (access && !in_memory(iotlb->memory, user, pages.last - pages.first + 1))
		return -ERANGE;
	err = vbe_task_inval(task);
	if (!err)
		err = access ? iotlb_keep(iotlb, pages, user, access, task)
			     : viommu__domain_evict(iotlb->domain, pages, false, task->inval);
	if (!err)
		vbe_misses_update(&iotlb->asking, pages, access);
	return err;
}

static int iotlb_invalidate(struct vbe_iotlb *iotlb, const struct vhu_iotlb *message, struct vbe_task *task)
{
	struct range range;
	int err = vbe_task_inval(task);

	if (err)
		return err;
	if (!range_from_len(message->iova, message->size, &range))
		range = (struct range){message->iova, UINT64_MAX};
	task->invalidate = true;
	return viommu__domain_evict(iotlb->domain, range, false, task->inval);
}

int vbe_iotlb_message(struct vbe_iotlb *iotlb, const struct channel_message *message, struct vbe_task *task)
{
	const struct vhu_iotlb *what = &message->iotlb;
	struct range range;
	int err;

	switch (what->type) {
	case VHU_IOTLB_UPDATE:
		err = iotlb_update(iotlb, what, task);
		if (!err)
			return 0;
		/* Whatever was asked for in these pages is not coming. */
		if (!range_from_len(what->iova, what->size, &range))
			range = (struct range){what->iova, what->iova};
		vbe_misses_refuse(&iotlb->asking, (struct range){range.first & ~mask, range.last | mask});
		return err;
	case VHU_IOTLB_INVALIDATE:
		return iotlb_invalidate(iotlb, what, task);
	default:
		return -EINVAL;
	}
}

int vbe_iotlb_clear(struct vbe_iotlb *iotlb, struct vbe_task *task)
{
	int err = vbe_task_inval(task);

	return err ? err : viommu__domain_evict(iotlb->domain, (struct range){0, UINT64_MAX}, false, task->inval);
}
