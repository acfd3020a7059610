/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting and stopping of rings, in the order of section "Ring states". */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <viommu/dma.h>

#include "lib/util/le.h"
#include "lib/vhost_user/front/front.h"

/* The index word of a split ring's available and used ring, virtio 1.2, sections 2.7.6 and 2.7.8. */
enum { RING_INDEX_OFFSET = 2 };

static int fill_features(struct viommu_vhu *vhu, struct channel_message *message)
{
	uint64_t protocol = vhu->offered & 1ull << VHU_F_PROTOCOL_FEATURES;

	vhu->again = vhu->ran;
	memset(vhu->enabled, 0, sizeof(vhu->enabled));
	/* From now on it may ask, and keep what it is told. */
	lock_take(&vhu->lock);
	vhu->iotlb = vhu->features >> VHU_F_ACCESS_PLATFORM & 1;
	lock_drop(&vhu->lock);
	message->u64 = vhu->features | protocol;
	message->header.size = sizeof(message->u64);
	return 0;
}

static bool has_mtu(const struct viommu_vhu *vhu)
{
	return vhu_has(vhu, VHU_PROTOCOL_F_MTU);
}

static int fill_mtu(struct viommu_vhu *vhu, struct channel_message *message)
{
	message->u64 = vhu->config.mtu;
	message->header.size = sizeof(message->u64);
	return 0;
}

static bool wants_inflight(const struct viommu_vhu *vhu)
{
	return vhu_has(vhu, VHU_PROTOCOL_F_INFLIGHT_SHMFD) && vhu->inflight_fd < 0;
}

static uint16_t largest(const struct viommu_vhu *vhu)
{
	uint32_t size = 0;

	for (unsigned i = 0; i < vhu->count; i++)
		if (vhu->rings[i].size > size)
			size = vhu->rings[i].size;
	return (uint16_t)size;
}

static int ask_inflight(struct viommu_vhu *vhu, struct channel_message *message)
{
	message->inflight = (struct vhu_inflight){.queues = (uint16_t)vhu->count, .queue_size = largest(vhu)};
	message->header.size = sizeof(message->inflight);
	return 0;
}

/* What is in it is the back end's own; it is never mapped here. */
static int got_inflight(struct viommu_vhu *vhu, struct channel_message *message)
{
	if (message->header.size != sizeof(message->inflight) || message->fd_count != 1)
		return vhu_fail(vhu, "malformed answer to request %u", message->header.request);
	vhu->inflight = message->inflight;
	vhu->inflight_fd = message->fds[0];
	message->fd_count = 0;
	return 0;
}

static bool has_inflight(const struct viommu_vhu *vhu)
{
	return vhu->inflight_fd >= 0;
}

static int give_inflight(struct viommu_vhu *vhu, struct channel_message *message)
{
	message->inflight = vhu->inflight;
	message->inflight.queues = (uint16_t)vhu->count;
	message->inflight.queue_size = largest(vhu);
	message->header.size = sizeof(message->inflight);
	return vhu_attach_fd(vhu, message, vhu->inflight_fd);
}

static int fill_state(struct viommu_vhu *vhu, struct channel_message *message, uint32_t value)
{
	message->state = (struct vhu_vring_state){vhu->ring, value};
	message->header.size = sizeof(message->state);
	return 0;
}

static int fill_num(struct viommu_vhu *vhu, struct channel_message *message)
{
	return fill_state(vhu, message, vhu->rings[vhu->ring].size);
}

static bool read_region(const struct viommu_vhu *vhu, uint64_t at, uint8_t *bytes, size_t size)
{
	for (unsigned i = 0; i < vhu->config.region_count; i++) {
		const struct viommu_vhu_region *region = &vhu->regions[i];
		uint64_t offset = at - region->gpa.value;

		if (offset < region->size && region->size - offset >= size) {
			memcpy(bytes, (const uint8_t *)region->host + offset, size);
			return true;
		}
	}
	return false;
}

/* Our own question, and no access of the device: where it is not mapped any more there is no fault to report. */
static bool read_guest(const struct viommu_vhu *vhu, struct viommu_iova at, uint8_t *bytes, size_t size)
{
	struct viommu_section section;
	struct viommu_extent extent;

	if (viommu_dma_begin(vhu->config.endpoint, &section))
		return false;
	bool found = !viommu_dma_extent(&section, at, VIOMMU_READ, false, &extent) &&
		     extent.last.value - at.value >= size - 1;

	if (found)
		memcpy(bytes, (const uint8_t *)extent.host + (at.value - extent.first.value), size);
	viommu_dma_end(&section);
	return found;
}

static bool read_index(const struct viommu_vhu *vhu, struct viommu_iova ring, uint16_t *out)
{
	struct viommu_iova at = {ring.value + RING_INDEX_OFFSET};
	uint8_t bytes[2] = {0};
	bool read = vhu->config.endpoint ? read_guest(vhu, at, bytes, sizeof(bytes))
					 : read_region(vhu, at.value, bytes, sizeof(bytes));

	*out = (uint16_t)(bytes[1] << 8 | bytes[0]);
	return read;
}

bool vhu_read_bases(struct viommu_vhu *vhu, bool *idle)
{
	uint16_t used, available;

	*idle = true;
	for (unsigned i = 0; i < vhu->count; i++) {
		if (!read_index(vhu, vhu->rings[i].device, &used) || !read_index(vhu, vhu->rings[i].driver, &available))
			return false;
		vhu->bases[i] = used;
		*idle = *idle && used == available;
	}
	return true;
}

/* After a back end was lost: what it has used the driver has, all else is served again (or as INFLIGHT_SHMFD says). */
static int fill_base(struct viommu_vhu *vhu, struct channel_message *message)
{
	if (vhu->again && !read_index(vhu, vhu->rings[vhu->ring].device, &vhu->bases[vhu->ring]))
		return vhu_fail(vhu, "ring %u is not in memory any more", vhu->ring);
	return fill_state(vhu, message, vhu->bases[vhu->ring]);
}

static int fill_addr(struct viommu_vhu *vhu, struct channel_message *message)
{
	const struct viommu_vhu_ring *ring = &vhu->rings[vhu->ring];

	message->addr = (struct vhu_vring_addr){
		.index = vhu->ring,
		.desc = ring->desc.value,
		.avail = ring->driver.value,
		.used = ring->device.value,
	};
	message->header.size = sizeof(message->addr);
	return 0;
}

static int fill_event(struct viommu_vhu *vhu, struct channel_message *message, int fd)
{
	message->u64 = vhu->ring | (fd < 0 ? VHU_VRING_NO_FD : 0);
	message->header.size = sizeof(message->u64);
	return fd < 0 ? 0 : vhu_attach_fd(vhu, message, fd);
}

static int fill_kick(struct viommu_vhu *vhu, struct channel_message *message)
{
	vhu->ran = true; /* with this the back end may begin */
	return fill_event(vhu, message, vhu->rings[vhu->ring].kick);
}

static int fill_call(struct viommu_vhu *vhu, struct channel_message *message)
{
	return fill_event(vhu, message, vhu->rings[vhu->ring].call);
}

static int fill_err(struct viommu_vhu *vhu, struct channel_message *message)
{
	return fill_event(vhu, message, vhu->rings[vhu->ring].err);
}

static bool has_err(const struct viommu_vhu *vhu)
{
	return vhu->rings[vhu->ring].err >= 0;
}

bool vhu_enable_differs(const struct viommu_vhu *vhu, unsigned ring)
{
	/* Without protocol features rings cannot be switched off. */
	return vhu->offered >> VHU_F_PROTOCOL_FEATURES & 1 && vhu->rings[ring].enabled != vhu->enabled[ring];
}

static bool this_differs(const struct viommu_vhu *vhu)
{
	return vhu_enable_differs(vhu, vhu->ring);
}

static int fill_enable(struct viommu_vhu *vhu, struct channel_message *message)
{
	vhu->enabled[vhu->ring] = vhu->rings[vhu->ring].enabled;
	return fill_state(vhu, message, vhu->enabled[vhu->ring]);
}

static void started(struct viommu_vhu *vhu)
{
	vhu->running = true;
	lock_take(&vhu->lock);
	vhu->runs = true;
	lock_drop(&vhu->lock);
	if (vhu->config.ops->started)
		vhu->config.ops->started(vhu->config.opaque);
}

static int got_base(struct viommu_vhu *vhu, struct channel_message *message)
{
	if (message->fd_count || message->header.size != sizeof(message->state) || message->state.index != vhu->ring ||
	    message->state.num > UINT16_MAX)
		return vhu_fail(vhu, "malformed answer to request %u", message->header.request);
	vhu->bases[vhu->ring] = (uint16_t)message->state.num;
	vhu->enabled[vhu->ring] = false;
	return 0;
}

static int ask_base(struct viommu_vhu *vhu, struct channel_message *message)
{
	return fill_state(vhu, message, 0);
}

static const struct vhu_step prepare_steps[] = {
	{VHU_SET_FEATURES, .fill = fill_features},
	{VHU_SET_MEM_TABLE, .wanted = vhu_memory_differs, .fill = vhu_fill_memory},
	{VHU_SET_SHARED_TABLE, .wanted = vhu_wants_table, .fill = vhu_fill_table, .answer = vhu_got_table},
	{VHU_NET_SET_MTU, .wanted = has_mtu, .may_refuse = true, .fill = fill_mtu},
	{VHU_GET_INFLIGHT_FD, .wanted = wants_inflight, .fill = ask_inflight, .answer = got_inflight},
	{VHU_SET_INFLIGHT_FD, .wanted = has_inflight, .fill = give_inflight},
};

static const struct vhu_step ring_steps[] = {
	{VHU_SET_VRING_NUM, .fill = fill_num},   {VHU_SET_VRING_BASE, .fill = fill_base},
	{VHU_SET_VRING_ADDR, .fill = fill_addr}, {VHU_SET_VRING_ERR, .wanted = has_err, .fill = fill_err},
	{VHU_SET_VRING_CALL, .fill = fill_call}, {VHU_SET_VRING_KICK, .fill = fill_kick},
};

static const struct vhu_step enable_steps[] = {
	{VHU_SET_VRING_ENABLE, .wanted = this_differs, .fill = fill_enable},
};

static const struct vhu_step stop_steps[] = {
	{VHU_GET_VRING_BASE, .fill = ask_base, .answer = got_base},
};

#define STEPS(array) .steps = (array), .count = sizeof(array) / sizeof((array)[0])

static const struct vhu_script enable_first = {STEPS(enable_steps), .per_ring = true, .end = started};
static const struct vhu_script set_up = {STEPS(ring_steps), .per_ring = true, .next = &enable_first};
const struct vhu_script vhu_start_script = {STEPS(prepare_steps), .next = &set_up};
const struct vhu_script vhu_enable_script = {STEPS(enable_steps), .per_ring = true};
const struct vhu_script vhu_stop_script = {STEPS(stop_steps), .per_ring = true, .end = vhu_finish_stop};
