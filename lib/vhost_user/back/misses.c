/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of misses: what the front end was asked for, or is to be, and what it said no to. */
#include "lib/vhost_user/back/asking.h"

#include "lib/util/clock.h"

enum { FORGET_MS = 1000, PAGE_SHIFT = 12 };

struct vbe_miss *vbe_miss_find_locked(struct vbe_asking *asking, uint64_t iova, unsigned access)
{
	unsigned left = asking->count;

	for (unsigned i = 0; left; i++) {
		struct vbe_miss *miss = &asking->miss[i];

		if (!miss->used)
			continue;
		left--;
		if ((miss->access & access) == access &&
		    (miss->iova.first >> PAGE_SHIFT == iova >> PAGE_SHIFT ||
		     (!miss->failed && !asking->short_answers && range_has(miss->iova, iova))))
			return miss;
	}
	return NULL;
}

struct vbe_miss *vbe_miss_add_locked(struct vbe_asking *asking, struct range iova, unsigned access)
{
	for (unsigned i = 0; i < VBE_MISSES && asking->count < VBE_MISSES; i++) {
		struct vbe_miss *miss = &asking->miss[i];

		if (miss->used)
			continue;
		*miss = (struct vbe_miss){
			.iova = iova, .access = access, .used = true, .until_ns = clock_ns() + asking->limit_ns};
		asking->count++;
		vbe_alarm_set(asking->alarm, miss->until_ns);
		return miss;
	}
	return NULL;
}

void vbe_miss_drop_locked(struct vbe_asking *asking, struct vbe_miss *miss)
{
	miss->used = false;
	asking->count--;
}

static void fail_locked(struct vbe_asking *asking, struct vbe_miss *miss, enum viommu_fault_reason reason)
	REQUIRES(asking->lock)
{
	miss->failed = reason;
	miss->until_ns = clock_ns() + FORGET_MS * NS_PER_MS;
	vbe_alarm_set(asking->alarm, miss->until_ns);
	asking->retry = true;
}

void vbe_misses_update(struct vbe_asking *asking, struct range iova, unsigned access)
{
	lock_take(&asking->lock);
	asking->updates++;
	for (unsigned i = 0; asking->count && i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &asking->miss[i];

		if (!miss->used || !range_has(iova, miss->iova.first))
			continue;
		if ((miss->access & access) != miss->access) {
			fail_locked(asking, miss, access ? VIOMMU_FAULT_PERMISSION : VIOMMU_FAULT_NOT_MAPPED);
			continue;
		}
		if (iova.last < miss->iova.last)
			asking->short_answers = true;
		vbe_miss_drop_locked(asking, miss);
	}
	lock_drop(&asking->lock);
	asking->retry = true;
}

void vbe_misses_refuse(struct vbe_asking *asking, struct range iova)
{
	lock_take(&asking->lock);
	for (unsigned i = 0; asking->count && i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &asking->miss[i];

		if (miss->used && !miss->failed && range_has(iova, miss->iova.first))
			fail_locked(asking, miss, VIOMMU_FAULT_NOT_MAPPED);
	}
	lock_drop(&asking->lock);
}

void vbe_misses_reply_locked(struct vbe_asking *asking, uint64_t sequence, bool found)
{
	for (unsigned i = 0; i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &asking->miss[i];

		if (!miss->used || miss->failed || miss->sequence != sequence)
			continue;
		if (!found) {
			fail_locked(asking, miss, VIOMMU_FAULT_NOT_MAPPED);
			continue;
		}
		vbe_miss_drop_locked(asking, miss);
		asking->retry = true;
	}
}

void vbe_misses_expire(struct vbe_asking *asking)
{
	uint64_t now = clock_ns(), next = 0;

	lock_take(&asking->lock);
	for (unsigned i = 0; asking->count && i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &asking->miss[i];

		if (!miss->used)
			continue;
		if (miss->until_ns <= now && miss->failed)
			vbe_miss_drop_locked(asking, miss);
		else if (miss->until_ns <= now)
			fail_locked(asking, miss, VIOMMU_FAULT_NOT_MAPPED);
		if (miss->used && (!next || miss->until_ns < next))
			next = miss->until_ns;
	}
	if (next)
		vbe_alarm_set(asking->alarm, next);
	lock_drop(&asking->lock);
}
