/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device that is started, stopped, and goes on at the next back end: what is wanted, and what is to be done for it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/vhost_user/front/front.h"
#include "lib/vhost_user/wire/reaper.h"

enum { RING_MAX = 32768 };

static bool rings_usable(const struct viommu_vhu_ring *rings, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!rings[i].size || rings[i].size > RING_MAX || (rings[i].size & (rings[i].size - 1)))
			return false;
	return true;
}

static bool features_usable(const struct viommu_vhu *vhu, uint64_t features)
{
	bool translated = features >> VHU_F_ACCESS_PLATFORM & 1;

	return !(features & ~vhu->config.features) && translated == vhu->config.iommu &&
	       !(vhu->negotiated && features & ~vhu->offered);
}

int viommu_vhu_start(struct viommu_vhu *vhu, uint64_t features, const struct viommu_vhu_ring *rings, unsigned count)
{
	if (vhu->given)
		return -EBUSY;
	if (!count || count > vhu->config.queues || !rings_usable(rings, count) || !features_usable(vhu, features))
		return -EINVAL;
	memcpy(vhu->rings, rings, count * sizeof(*rings));
	for (unsigned i = 0; i < count; i++)
		vhu->bases[i] = rings[i].base;
	vhu->count = count;
	vhu->features = features;
	vhu->given = true;
	vhu_note_parts(vhu);
	vhu->stopping = vhu->running = vhu->ran = vhu->hopeless = false;
	vhu_proceed(vhu);
	return 0;
}

int viommu_vhu_stop(struct viommu_vhu *vhu)
{
	if (!vhu->given || vhu->stopping)
		return -EALREADY;
	vhu->stopping = true;
	if (vhu->open && !vhu->why[0])
		vhu_proceed(vhu);
	else if (!vhu->open)
		vhu_finish_stop(vhu);
	return 0;
}

int viommu_vhu_enable(struct viommu_vhu *vhu, unsigned ring, bool on)
{
	if (!vhu->given || ring >= vhu->count)
		return -EINVAL;
	vhu->rings[ring].enabled = on;
	vhu_proceed(vhu);
	return 0;
}

void vhu_finish_stop(struct viommu_vhu *vhu)
{
	vhu->given = vhu->stopping = vhu->running = vhu->ran = vhu->hopeless = false;
	vhu->late = 0;
	vhu_forget_parts(vhu);
	if (vhu->inflight_fd >= 0)
		reaper_close(vhu->account, vhu->inflight_fd);
	vhu->inflight_fd = -1;
	vhu->config.ops->stopped(vhu->config.opaque, vhu->bases, vhu->count);
}

/*
 * Who is too late is cut off, and nobody waits for it any more. But if it comes again and is late again, all of the
 * guest's unmaps wait all of the time: so not for ever.
 */
void vhu_note_late(struct viommu_vhu *vhu)
{
	const uint64_t now = vhu_now_ns();

	if (!vhu->late || now - vhu->late_ns > VHU_LATE_MS * 1000000ull) {
		vhu->late = 0;
		vhu->late_ns = now;
	}
	vhu->late++;
}

void vhu_note_loss(struct viommu_vhu *vhu)
{
	bool idle = false;

	if (vhu->given && vhu->ran) {
		bool read = vhu_read_bases(vhu, &idle);

		vhu->hopeless = !read || vhu->late >= VHU_LATE || (vhu->config.exact && vhu->inflight_fd < 0 && !idle);
	}
	vhu->running = false;
}

static bool enable_differs(const struct viommu_vhu *vhu)
{
	for (unsigned i = 0; i < vhu->count; i++)
		if (vhu_enable_differs(vhu, i))
			return true;
	return false;
}

const struct vhu_script *vhu_next_script(struct viommu_vhu *vhu)
{
	if (!vhu->negotiated)
		return NULL;
	if (!vhu->memory.count)
		return &vhu_memory_script;
	if (vhu->stopping && vhu->running)
		return &vhu_stop_script;
	if (vhu->stopping)
		vhu_finish_stop(vhu); /* and may have been given rings again */
	if (vhu->given && !vhu->running)
		return &vhu_start_script;
	if (vhu->running && enable_differs(vhu))
		return &vhu_enable_script;
	if (vhu->write_count)
		return &vhu_write_space;
	return vhu->stale ? &vhu_read_space : NULL;
}
