/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting and stopping of rings, in the order of section "Ring states". */
#include <string.h>

#include "lib/vhost_user/front/front.h"
#include "lib/vhost_user/wire/reaper.h"

/* Before the rings: what holds for all of them. */
static bool prepare_wanted(const struct viommu_vhu *vhu, uint32_t request)
{
	switch (request) {
	case VHU_SET_MEM_TABLE:
		return front_memory_differs(&vhu->memory, &vhu->config);
	case VHU_SET_SHARED_TABLE:
		return !vhu->iotlb.shared;
	case VHU_GET_INFLIGHT_FD:
		return vhu->rings.inflight_fd < 0;
	case VHU_SET_INFLIGHT_FD:
		return vhu->rings.inflight_fd >= 0;
	default:
		return true;
	}
}

static void prepare_inflight(const struct front_rings *rings, struct channel_message *message)
{
	uint32_t largest = 0;

	for (unsigned i = 0; i < rings->count; i++)
		if (rings->ring[i].size > largest)
			largest = rings->ring[i].size;
	message->inflight.queues = (uint16_t)rings->count;
	message->inflight.queue_size = (uint16_t)largest;
	message->header.size = sizeof(message->inflight);
}

static int prepare_fill(struct viommu_vhu *vhu, struct channel_message *message)
{
	struct front_rings *rings = &vhu->rings;

	switch (message->header.request) {
	case VHU_SET_FEATURES:
		rings->again = rings->ran;
		memset(rings->enabled, 0, sizeof(rings->enabled));
		/* From now on it may ask, and keep what it is told. */
		front_iotlb_switch(&vhu->iotlb, rings->features >> FRONT_F_ACCESS_PLATFORM & 1);
		message->u64 = rings->features | (vhu->offered & 1ull << VHU_F_PROTOCOL_FEATURES);
		message->header.size = sizeof(message->u64);
		return 0;
	case VHU_SET_MEM_TABLE:
		return front_memory_fill(&vhu->memory, &vhu->link, message);
	case VHU_SET_SHARED_TABLE:
		return front_table_fill(&vhu->iotlb, message);
	case VHU_NET_SET_MTU:
		message->u64 = vhu->config.mtu;
		message->header.size = sizeof(message->u64);
		return 0;
	case VHU_GET_INFLIGHT_FD:
		prepare_inflight(rings, message);
		return 0;
	default: /* VHU_SET_INFLIGHT_FD */
		message->inflight = rings->inflight;
		prepare_inflight(rings, message);
		return front_attach_fd(&vhu->link, message, rings->inflight_fd);
	}
}

static int prepare_answer(struct viommu_vhu *vhu, struct channel_message *message)
{
	if (message->header.request == VHU_SET_SHARED_TABLE)
		return front_table_answer(&vhu->iotlb, message);
	if (message->header.size != sizeof(message->inflight) || message->fd_count != 1)
		return front_fail(&vhu->link, "malformed answer to request %u", message->header.request);
	/* What is in it is the back end's own; it is never mapped here. */
	vhu->rings.inflight = message->inflight;
	vhu->rings.inflight_fd = message->fds[0];
	message->fd_count = 0;
	return 0;
}

/* Without protocol features rings cannot be switched off. */
static bool ring_differs(const struct viommu_vhu *vhu, unsigned i)
{
	return vhu->offered >> VHU_F_PROTOCOL_FEATURES & 1 && vhu->rings.ring[i].enabled != vhu->rings.enabled[i];
}

bool front_enable_differs(const struct viommu_vhu *vhu)
{
	for (unsigned i = 0; i < vhu->rings.count; i++)
		if (ring_differs(vhu, i))
			return true;
	return false;
}

/* Of one ring, `at`. */
static bool ring_wanted(const struct viommu_vhu *vhu, uint32_t request)
{
	const unsigned at = vhu->rings.at;

	if (request == VHU_SET_VRING_ENABLE)
		return ring_differs(vhu, at);
	return request != VHU_SET_VRING_ERR || vhu->rings.ring[at].err >= 0;
}

static int ring_fill_event(struct viommu_vhu *vhu, struct channel_message *message, int fd)
{
	message->u64 = vhu->rings.at | (fd < 0 ? VHU_VRING_NO_FD : 0);
	message->header.size = sizeof(message->u64);
	return fd < 0 ? 0 : front_attach_fd(&vhu->link, message, fd);
}

static int ring_fill(struct viommu_vhu *vhu, struct channel_message *message)
{
	struct front_rings *rings = &vhu->rings;
	const unsigned at = rings->at;
	const struct viommu_vhu_ring *ring = &rings->ring[at];

	message->state = (struct vhu_vring_state){.index = at};
	message->header.size = sizeof(message->state);
	switch (message->header.request) {
	case VHU_SET_VRING_NUM:
		message->state.num = ring->size;
		return 0;
	case VHU_SET_VRING_BASE:
		/*
		 * After a back end was lost: what it has used the driver has, all else is served again (or as
		 * INFLIGHT_SHMFD says).
		 */
		if (rings->again && !front_read_index(&vhu->config, ring->device, &rings->bases[at]))
			return front_fail(&vhu->link, "ring %u is not in memory any more", at);
		message->state.num = rings->bases[at];
		return 0;
	case VHU_SET_VRING_ADDR:
		message->addr = (struct vhu_vring_addr){
			.index = at, .desc = ring->desc.value, .avail = ring->driver.value, .used = ring->device.value};
		message->header.size = sizeof(message->addr);
		return 0;
	case VHU_SET_VRING_ERR:
		return ring_fill_event(vhu, message, ring->err);
	case VHU_SET_VRING_CALL:
		return ring_fill_event(vhu, message, ring->call);
	case VHU_SET_VRING_KICK:
		rings->ran = true; /* with this the back end may begin */
		return ring_fill_event(vhu, message, ring->kick);
	case VHU_SET_VRING_ENABLE:
		rings->enabled[at] = ring->enabled;
		message->state.num = ring->enabled;
		return 0;
	default: /* VHU_GET_VRING_BASE */
		return 0;
	}
}

/* Where it goes on. */
static int ring_answer(struct viommu_vhu *vhu, struct channel_message *message)
{
	const unsigned at = vhu->rings.at;

	if (message->fd_count || message->header.size != sizeof(message->state) || message->state.index != at ||
	    message->state.num > UINT16_MAX)
		return front_fail(&vhu->link, "malformed answer to request %u", message->header.request);
	vhu->rings.bases[at] = (uint16_t)message->state.num;
	vhu->rings.enabled[at] = false;
	return 0;
}

static bool ring_next(struct viommu_vhu *vhu)
{
	vhu->rings.at = (vhu->rings.at + 1) % vhu->rings.count;
	return vhu->rings.at;
}

static void start_end(struct viommu_vhu *vhu)
{
	vhu->rings.running = true;
	front_allow_telling(&vhu->iotlb);
	if (vhu->config.ops->started)
		vhu->config.ops->started(vhu->config.opaque);
}

void front_finish_stop(struct viommu_vhu *vhu)
{
	struct front_rings *rings = &vhu->rings;

	rings->given = rings->stopping = rings->running = rings->ran = rings->stuck = false;
	vhu->link.late = 0;
	front_forget_parts(&vhu->iotlb);
	if (rings->inflight_fd >= 0)
		reaper_close(vhu->link.account, rings->inflight_fd);
	rings->inflight_fd = -1;
	vhu->config.ops->stopped(vhu->config.opaque, rings->bases, rings->count);
}

static const struct front_step prepare_steps[] = {
	{VHU_SET_FEATURES},
	{VHU_SET_MEM_TABLE},
	{VHU_SET_SHARED_TABLE, .needs = 1ull << VHU_PROTOCOL_F_SHARED_TABLE, .answered = true},
	{VHU_NET_SET_MTU, .needs = 1ull << VHU_PROTOCOL_F_MTU, .may_refuse = true},
	{VHU_GET_INFLIGHT_FD, .needs = 1ull << VHU_PROTOCOL_F_INFLIGHT_SHMFD, .answered = true},
	{VHU_SET_INFLIGHT_FD},
};

static const struct front_step ring_steps[] = {
	{VHU_SET_VRING_NUM}, {VHU_SET_VRING_BASE}, {VHU_SET_VRING_ADDR},
	{VHU_SET_VRING_ERR}, {VHU_SET_VRING_CALL}, {VHU_SET_VRING_KICK},
};

static const struct front_step enable_steps[] = {{VHU_SET_VRING_ENABLE}};
static const struct front_step stop_steps[] = {{VHU_GET_VRING_BASE, .answered = true}};

#define STEPS(array) .steps = (array), .count = sizeof(array) / sizeof((array)[0])
#define EACH_RING .wanted = ring_wanted, .fill = ring_fill, .answer = ring_answer, .again = ring_next

static const struct front_script enable_first = {STEPS(enable_steps), EACH_RING, .end = start_end};
static const struct front_script set_up = {STEPS(ring_steps), EACH_RING, .next = &enable_first};
const struct front_script front_start_script = {STEPS(prepare_steps), .wanted = prepare_wanted, .fill = prepare_fill,
						.answer = prepare_answer, .next = &set_up};
const struct front_script front_enable_script = {STEPS(enable_steps), EACH_RING};
const struct front_script front_stop_script = {STEPS(stop_steps), EACH_RING, .end = front_finish_stop};
