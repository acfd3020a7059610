/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the back end is told unasked: what the guest has just mapped, and where the rings are, again after an
 * invalidation. There are back ends (DPDK's) that leave a queue alone when the translation of its rings is gone: they
 * do not ask for it, but wait until they are told.
 */
#include <errno.h>

#include "lib/vhost_user/front/iotlb.h"

enum { PUSHES = 64 /* translations that are pushed for one map */ };

static bool tell_may_locked(const struct front_iotlb *iotlb) REQUIRES(iotlb->lock)
{
	return iotlb->runs && !iotlb->table && iotlb->updates < FRONT_UPDATES;
}

void front_push(struct front_iotlb *iotlb, struct range mapped)
{
	struct front_ask ask = {.iova = mapped.first, .limit = mapped};
	struct viommu_extent run;

	for (unsigned i = 0; i < PUSHES; i++) {
		lock_take(&iotlb->lock);
		bool may = tell_may_locked(iotlb);

		lock_drop(&iotlb->lock);
		if (!may || front_provide(iotlb, &ask, &run) || run.last.value == mapped.last)
			return;
		ask.iova = ask.limit.first = run.last.value + 1;
	}
}

static void tell_add_part_locked(struct front_iotlb *iotlb, struct viommu_iova start, uint64_t size)
	REQUIRES(iotlb->lock)
{
	/* A part that wraps is nowhere. */
	if (range_from_len(start.value, size, &iotlb->parts[iotlb->part_count]))
		iotlb->part_count++;
}

void front_note_parts(struct front_iotlb *iotlb, const struct viommu_vhu_ring *rings, unsigned count)
{
	lock_take(&iotlb->lock);
	iotlb->part_count = iotlb->untold = 0;
	for (unsigned i = 0; i < count; i++) {
		tell_add_part_locked(iotlb, rings[i].desc, vhu_desc_bytes(rings[i].size));
		tell_add_part_locked(iotlb, rings[i].driver, vhu_avail_bytes(rings[i].size));
		tell_add_part_locked(iotlb, rings[i].device, vhu_used_bytes(rings[i].size));
	}
	lock_drop(&iotlb->lock);
}

void front_allow_telling(struct front_iotlb *iotlb)
{
	lock_take(&iotlb->lock);
	iotlb->runs = true;
	lock_drop(&iotlb->lock);
}

void front_forget_parts(struct front_iotlb *iotlb)
{
	lock_take(&iotlb->lock);
	iotlb->runs = false;
	iotlb->part_count = iotlb->untold = 0;
	lock_drop(&iotlb->lock);
}

/* The next part, if there is one, and room. */
static bool tell_take_part(struct front_iotlb *iotlb, struct range *out)
{
	lock_take(&iotlb->lock);
	bool some = iotlb->untold && tell_may_locked(iotlb);

	if (some)
		*out = iotlb->parts[--iotlb->untold];
	lock_drop(&iotlb->lock);
	return some;
}

void front_tell_parts(struct front_iotlb *iotlb)
{
	struct range part, told = {1, 0};
	struct viommu_extent run;

	for (unsigned i = 0; i < FRONT_BATCH; i++) {
		if (!tell_take_part(iotlb, &part))
			return;
		if (range_has(told, part.first))
			continue;
		const struct front_ask ask = {
			.iova = part.first, .read_too = iotlb->config->write_implies_read, .limit = front_everything};
		int err = front_provide(iotlb, &ask, &run);

		if (err == -EAGAIN || err == -ECANCELED) {
			/* This part later, with all others if an invalidation has come meanwhile. */
			lock_take(&iotlb->lock);
			if (iotlb->untold < iotlb->part_count)
				iotlb->untold++;
			lock_drop(&iotlb->lock);
			/* An endpoint that is resumed tells of it (on_map() in front.c). */
			if (err == -EAGAIN)
				front_wake(iotlb->link);
			return;
		}
		if (!err)
			told = (struct range){run.first.value, run.last.value};
	}
	front_wake(iotlb->link);
}
