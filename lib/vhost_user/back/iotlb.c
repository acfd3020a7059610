/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the front end says of translations ("An IOTLB message"). UPDATE is kept in whole pages, rounded inwards, so that
 * nothing is reachable that was not granted; INVALIDATE is rounded outwards, and neither its size nor its end can be
 * wrong: 0, and what goes beyond 2^64-1, mean up to there.
 */
#include <errno.h>

#include "lib/vhost_user/back/internal.h"

static bool granted_pages(const struct vhu_iotlb *iotlb, struct range *pages)
{
	const uint64_t mask = VBE_PAGE - 1;
	struct range bytes;

	if ((iotlb->iova ^ iotlb->user_address) & mask || !range_from_len(iotlb->iova, iotlb->size, &bytes) ||
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
static bool in_memory(const struct viommu_backend *backend, uint64_t user, uint64_t size)
{
	uint64_t gpa, len;

	for (uint64_t done = 0; done < size; done += len)
		if (user > UINT64_MAX - done || !vbe_memory_find(backend, user + done, &gpa, &len))
			return false;
	return true;
}

/* Neighbours for the front end need not be neighbours in guest memory. */
static int keep(struct viommu_backend *backend, struct range pages, uint64_t user, unsigned access,
		struct vbe_task *task)
{
	int err = 0;

	for (uint64_t at = pages.first; !err;) {
		uint64_t gpa, len, left = pages.last - at;

		if (!vbe_memory_find(backend, user, &gpa, &len))
			return -EINVAL;
		if (len - 1 >= left) {
			err = viommu__domain_replace(backend->domain, (struct range){at, pages.last}, gpa, access,
						     task->inval);
			break;
		}
		err = viommu__domain_replace(backend->domain, (struct range){at, at + len - 1}, gpa, access,
					     task->inval);
		at += len;
		user += len;
	}
	/* No room: everything goes. Who still wants it asks again, when there is room. */
	return err == -ENOSPC ? 0 : err;
}

static unsigned rights(uint8_t access)
{
	return (access & VHU_ACCESS_RO ? VIOMMU_READ : 0) | (access & VHU_ACCESS_WO ? VIOMMU_WRITE : 0);
}

static int update(struct viommu_backend *backend, const struct vhu_iotlb *iotlb, struct vbe_task *task)
{
	uint64_t user = iotlb->user_address;
	struct range pages;
	unsigned access = rights(iotlb->access);
	int err;

	if (iotlb->access & ~VHU_ACCESS_RW || !granted_pages(iotlb, &pages))
		return -EINVAL;
	user += pages.first - iotlb->iova;
	if (access && !in_memory(backend, user, pages.last - pages.first + 1))
		return -ERANGE;
	err = vbe_task_inval(task);
	if (!err)
		err = access ? keep(backend, pages, user, access, task)
			     : viommu__domain_evict(backend->domain, pages, false, task->inval);
	if (err)
		return err;
	vbe_miss_update(backend, pages, access);
	return 0;
}

static int invalidate(struct viommu_backend *backend, const struct vhu_iotlb *iotlb, struct vbe_task *task)
{
	struct range range;
	int err = vbe_task_inval(task);

	if (err)
		return err;
	if (!range_from_len(iotlb->iova, iotlb->size, &range))
		range = (struct range){iotlb->iova, UINT64_MAX};
	task->invalidate = true;
	return viommu__domain_evict(backend->domain, range, false, task->inval);
}

/* Whatever was asked for in these pages. */
static void refuse(struct viommu_backend *backend, const struct vhu_iotlb *iotlb)
{
	const uint64_t mask = VBE_PAGE - 1;
	struct range range;

	if (!range_from_len(iotlb->iova, iotlb->size, &range))
		range = (struct range){iotlb->iova, iotlb->iova};
	vbe_miss_refuse(backend, (struct range){range.first & ~mask, range.last | mask});
}

int vbe_iotlb(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	int err;

	switch (message->iotlb.type) {
	case VHU_IOTLB_UPDATE:
		err = update(backend, &message->iotlb, task);
		if (err)
			refuse(backend, &message->iotlb);
		return err;
	case VHU_IOTLB_INVALIDATE:
		return invalidate(backend, &message->iotlb, task);
	default:
		return -EINVAL;
	}
}

int vbe_iotlb_clear(struct viommu_backend *backend, struct vbe_task *task)
{
	return viommu__domain_evict(backend->domain, (struct range){0, UINT64_MAX}, false, task->inval);
}
