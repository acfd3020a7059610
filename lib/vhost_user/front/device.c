/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device that is started, stopped, and goes on at the next back end: what is wanted, and what is to be done for it.
 */
#include <errno.h>
#include <string.h>

#include "lib/vhost_user/front/front.h"

enum { RING_MAX = 32768 };

int viommu_vhu_start(struct viommu_vhu *vhu, uint64_t features, const struct viommu_vhu_ring *rings, unsigned count)
{
	struct front_rings *own = &vhu->rings;
	const bool translated = features >> FRONT_F_ACCESS_PLATFORM & 1;

	if (own->given)
		return -EBUSY;
	if (!count || count > vhu->config.queues)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++)
		if (!rings[i].size || rings[i].size > RING_MAX || (rings[i].size & (rings[i].size - 1)))
			return -EINVAL;
	if (features & ~vhu->config.features || translated != vhu->config.iommu ||
	    (vhu->negotiated && features & ~vhu->offered))
		return -EINVAL;
	memcpy(own->ring, rings, count * sizeof(*rings));
	for (unsigned i = 0; i < count; i++)
		own->bases[i] = rings[i].base;
	own->count = count;
	own->features = features;
	own->given = true;
	own->stopping = own->running = own->ran = own->stuck = false;
	front_note_parts(&vhu->iotlb, rings, count);
	front_proceed(&vhu->agenda);
	return 0;
}

int viommu_vhu_stop(struct viommu_vhu *vhu)
{
	if (!vhu->rings.given || vhu->rings.stopping)
		return -EALREADY;
	vhu->rings.stopping = true;
	if (vhu->link.open && !vhu->link.why[0])
		front_proceed(&vhu->agenda);
	else if (!vhu->link.open)
		front_finish_stop(vhu);
	return 0;
}

int viommu_vhu_enable(struct viommu_vhu *vhu, unsigned ring, bool on)
{
	if (!vhu->rings.given || ring >= vhu->rings.count)
		return -EINVAL;
	vhu->rings.ring[ring].enabled = on;
	front_proceed(&vhu->agenda);
	return 0;
}

int viommu_vhu_config_read(const struct viommu_vhu *vhu, unsigned offset, void *buffer, unsigned size)
{
	return front_space_read(&vhu->space, offset, buffer, size);
}

int viommu_vhu_config_write(struct viommu_vhu *vhu, unsigned offset, const void *data, unsigned size)
{
	int err = front_space_write(&vhu->space, offset, data, size, vhu->negotiated);

	if (!err)
		front_proceed(&vhu->agenda);
	return err;
}

void front_note_loss(struct viommu_vhu *vhu)
{
	struct front_rings *rings = &vhu->rings;
	bool idle = false;

	if (rings->given && rings->ran)
		rings->stuck = !front_read_bases(rings, &vhu->config, &idle) || vhu->link.late >= FRONT_LATE ||
			       (vhu->config.exact && rings->inflight_fd < 0 && !idle);
	rings->running = false;
	rings->at = 0;
}

const struct front_script *front_next_script(struct viommu_vhu *vhu)
{
	if (!vhu->negotiated)
		return NULL;
	if (!vhu->memory.table.count)
		return &front_memory_script;
	if (vhu->rings.stopping && vhu->rings.running)
		return &front_stop_script;
	if (vhu->rings.stopping)
		front_finish_stop(vhu); /* and may have been given rings again */
	if (vhu->rings.given && !vhu->rings.running)
		return &front_start_script;
	if (vhu->rings.running && front_enable_differs(vhu))
		return &front_enable_script;
	if (vhu->space.write_count)
		return &front_write_space;
	return vhu->space.stale ? &front_read_space : NULL;
}
