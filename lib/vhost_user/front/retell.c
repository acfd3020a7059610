/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the rings are, told again after an invalidation. There are back ends (DPDK's) that leave a queue alone when the
 * translation of its rings is gone: they do not ask for it, but wait until they are told.
 */
#include <errno.h>

#include "lib/vhost_user/front/front.h"

static void add_part_locked(struct viommu_vhu *vhu, struct viommu_iova start, uint64_t size) REQUIRES(vhu->lock)
{
	/* A part that wraps is nowhere. */
	if (range_from_len(start.value, size, &vhu->parts[vhu->part_count]))
		vhu->part_count++;
}

void vhu_note_parts(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	vhu->part_count = vhu->untold = 0;
	for (unsigned i = 0; i < vhu->count; i++) {
		const struct viommu_vhu_ring *ring = &vhu->rings[i];

		add_part_locked(vhu, ring->desc, vhu_desc_bytes(ring->size));
		add_part_locked(vhu, ring->driver, vhu_avail_bytes(ring->size));
		add_part_locked(vhu, ring->device, vhu_used_bytes(ring->size));
	}
	lock_drop(&vhu->lock);
}

void vhu_forget_parts(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	vhu->runs = false;
	vhu->part_count = vhu->untold = 0;
	lock_drop(&vhu->lock);
}

void vhu_retell_locked(struct viommu_vhu *vhu, struct range range)
{
	for (unsigned i = 0; i < vhu->part_count && vhu->untold != vhu->part_count; i++)
		if (range_overlaps(vhu->parts[i], range)) {
			vhu->untold = vhu->part_count;
			vhu_wake_locked(vhu);
		}
}

/* The next part, if there is one, and room. */
static bool take_part(struct viommu_vhu *vhu, struct range *out)
{
	lock_take(&vhu->lock);
	bool some = vhu->untold && vhu->runs && !vhu->table && vhu->updates < VHU_UPDATES;

	if (some)
		*out = vhu->parts[--vhu->untold];
	lock_drop(&vhu->lock);
	return some;
}

/* This part later, with all others if an invalidation has come meanwhile. */
static void put_back(struct viommu_vhu *vhu, unsigned ms)
{
	lock_take(&vhu->lock);
	if (vhu->untold < vhu->part_count)
		vhu->untold++;
	lock_drop(&vhu->lock);
	vhu_wake_in(vhu, ms);
}

void vhu_retell(struct viommu_vhu *vhu)
{
	struct range part, told = {1, 0};

	for (unsigned i = 0; i < VHU_BATCH; i++) {
		if (!take_part(vhu, &part))
			return;
		int err = range_has(told, part.first) ? 0 : vhu_tell(vhu, part.first, &told);

		if (err) {
			put_back(vhu, err == -EAGAIN ? 0 : VHU_PAUSE_MS);
			return;
		}
	}
	vhu_wake(vhu);
}
