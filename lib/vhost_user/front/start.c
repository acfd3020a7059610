/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting and stopping of rings, in the order of section "Ring states". */
#include <errno.h>
#include <string.h>

#include "lib/vhost_user/front/front.h"
#include "lib/vhost_user/wire/reaper.h"

static int fill_features(struct viommu_vhu *vhu, struct channel_message *message)
{
	uint64_t protocol = vhu->offered & 1ull << VHU_F_PROTOCOL_FEATURES;

	vhu->rings.again = vhu->rings.ran;
	memset(vhu->rings.enabled, 0, sizeof(vhu->rings.enabled));
	/* From now on it may ask, and keep what it is told. */
	front_iotlb_switch(&vhu->iotlb, vhu->rings.features >> FRONT_F_ACCESS_PLATFORM & 1);
	message->u64 = vhu->rings.features | protocol;
	message->header.size = sizeof(message->u64);
	return 0;
}

static bool wants_table(const struct viommu_vhu *vhu)
{
	return front_has(vhu, VHU_PROTOCOL_F_SHARED_TABLE) && !vhu->iotlb.shared;
}

static int fill_table(struct viommu_vhu *vhu, struct channel_message *message)
{
	return front_table_fill(&vhu->iotlb, message);
}

/* A back end that does not take it goes on with messages. */
static int got_table(struct viommu_vhu *vhu, struct channel_message *message)
{
	if (message->fd_count || message->header.size != sizeof(message->u64))
		return front_fail(&vhu->link, "malformed acknowledgement of request %u", message->header.request);
	if (message->u64)
		vhu->protocol &= ~(1ull << VHU_PROTOCOL_F_SHARED_TABLE);
	front_table_answer(&vhu->iotlb, !message->u64);
	return 0;
}

static bool has_mtu(const struct viommu_vhu *vhu)
{
	return front_has(vhu, VHU_PROTOCOL_F_MTU);
}

static int fill_mtu(struct viommu_vhu *vhu, struct channel_message *message)
{
	message->u64 = vhu->config.mtu;
	message->header.size = sizeof(message->u64);
	return 0;
}

static bool wants_inflight(const struct viommu_vhu *vhu)
{
	return front_has(vhu, VHU_PROTOCOL_F_INFLIGHT_SHMFD) && vhu->rings.inflight_fd < 0;
}

static uint16_t start_largest(const struct front_rings *rings)
{
	uint32_t size = 0;

	for (unsigned i = 0; i < rings->count; i++)
		if (rings->ring[i].size > size)
			size = rings->ring[i].size;
	return (uint16_t)size;
}

static int ask_inflight(struct viommu_vhu *vhu, struct channel_message *message)
{
	message->inflight =
		(struct vhu_inflight){.queues = (uint16_t)vhu->rings.count, .queue_size = start_largest(&vhu->rings)};
	message->header.size = sizeof(message->inflight);
	return 0;
}

/* What is in it is the back end's own; it is never mapped here. */
static int got_inflight(struct viommu_vhu *vhu, struct channel_message *message)
{
	if (message->header.size != sizeof(message->inflight) || message->fd_count != 1)
		return front_fail(&vhu->link, "malformed answer to request %u", message->header.request);
	vhu->rings.inflight = message->inflight;
	vhu->rings.inflight_fd = message->fds[0];
	message->fd_count = 0;
	return 0;
}

static bool has_inflight(const struct viommu_vhu *vhu)
{
	return vhu->rings.inflight_fd >= 0;
}

static int give_inflight(struct viommu_vhu *vhu, struct channel_message *message)
{
	message->inflight = vhu->rings.inflight;
	message->inflight.queues = (uint16_t)vhu->rings.count;
	message->inflight.queue_size = start_largest(&vhu->rings);
	message->header.size = sizeof(message->inflight);
	return front_attach_fd(&vhu->link, message, vhu->rings.inflight_fd);
}

static int fill_state(struct viommu_vhu *vhu, struct channel_message *message, uint32_t value)
{
	message->state = (struct vhu_vring_state){vhu->rings.at, value};
	message->header.size = sizeof(message->state);
	return 0;
}

static int fill_num(struct viommu_vhu *vhu, struct channel_message *message)
{
	return fill_state(vhu, message, vhu->rings.ring[vhu->rings.at].size);
}

/* After a back end was lost: what it has used the driver has, all else is served again (or as INFLIGHT_SHMFD says). */
static int fill_base(struct viommu_vhu *vhu, struct channel_message *message)
{
	if (vhu->rings.again && !front_read_base(&vhu->rings, vhu->rings.at, &vhu->config))
		return front_fail(&vhu->link, "ring %u is not in memory any more", vhu->rings.at);
	return fill_state(vhu, message, vhu->rings.bases[vhu->rings.at]);
}

static int fill_addr(struct viommu_vhu *vhu, struct channel_message *message)
{
	const struct viommu_vhu_ring *ring = &vhu->rings.ring[vhu->rings.at];

	message->addr = (struct vhu_vring_addr){
		.index = vhu->rings.at,
		.desc = ring->desc.value,
		.avail = ring->driver.value,
		.used = ring->device.value,
	};
	message->header.size = sizeof(message->addr);
	return 0;
}

static int fill_event(struct viommu_vhu *vhu, struct channel_message *message, int fd)
{
	message->u64 = vhu->rings.at | (fd < 0 ? VHU_VRING_NO_FD : 0);
	message->header.size = sizeof(message->u64);
	return fd < 0 ? 0 : front_attach_fd(&vhu->link, message, fd);
}

static int fill_kick(struct viommu_vhu *vhu, struct channel_message *message)
{
	vhu->rings.ran = true; /* with this the back end may begin */
	return fill_event(vhu, message, vhu->rings.ring[vhu->rings.at].kick);
}

static int fill_call(struct viommu_vhu *vhu, struct channel_message *message)
{
	return fill_event(vhu, message, vhu->rings.ring[vhu->rings.at].call);
}

static int fill_err(struct viommu_vhu *vhu, struct channel_message *message)
{
	return fill_event(vhu, message, vhu->rings.ring[vhu->rings.at].err);
}

static bool has_err(const struct viommu_vhu *vhu)
{
	return vhu->rings.ring[vhu->rings.at].err >= 0;
}

/* Without protocol features rings cannot be switched off. */
static bool start_differs(const struct viommu_vhu *vhu, unsigned i)
{
	return vhu->offered >> VHU_F_PROTOCOL_FEATURES & 1 && vhu->rings.ring[i].enabled != vhu->rings.enabled[i];
}

bool front_enable_differs(const struct viommu_vhu *vhu)
{
	for (unsigned i = 0; i < vhu->rings.count; i++)
		if (start_differs(vhu, i))
			return true;
	return false;
}

static bool this_differs(const struct viommu_vhu *vhu)
{
	return start_differs(vhu, vhu->rings.at);
}

static int fill_enable(struct viommu_vhu *vhu, struct channel_message *message)
{
	vhu->rings.enabled[vhu->rings.at] = vhu->rings.ring[vhu->rings.at].enabled;
	return fill_state(vhu, message, vhu->rings.enabled[vhu->rings.at]);
}

static void start_end(struct viommu_vhu *vhu)
{
	vhu->rings.running = true;
	front_allow_telling(&vhu->iotlb);
	if (vhu->config.ops->started)
		vhu->config.ops->started(vhu->config.opaque);
}

static int got_base(struct viommu_vhu *vhu, struct channel_message *message)
{
	if (message->fd_count || message->header.size != sizeof(message->state) ||
	    message->state.index != vhu->rings.at || message->state.num > UINT16_MAX)
		return front_fail(&vhu->link, "malformed answer to request %u", message->header.request);
	vhu->rings.bases[vhu->rings.at] = (uint16_t)message->state.num;
	vhu->rings.enabled[vhu->rings.at] = false;
	return 0;
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

static bool start_next_ring(struct viommu_vhu *vhu)
{
	vhu->rings.at = (vhu->rings.at + 1) % vhu->rings.count;
	return vhu->rings.at;
}

static int ask_base(struct viommu_vhu *vhu, struct channel_message *message)
{
	return fill_state(vhu, message, 0);
}

static const struct front_step prepare_steps[] = {
	{VHU_SET_FEATURES, .fill = fill_features},
	{VHU_SET_MEM_TABLE, .wanted = front_step_memory_differs, .fill = front_step_fill_memory},
	{VHU_SET_SHARED_TABLE, .wanted = wants_table, .fill = fill_table, .answer = got_table},
	{VHU_NET_SET_MTU, .wanted = has_mtu, .may_refuse = true, .fill = fill_mtu},
	{VHU_GET_INFLIGHT_FD, .wanted = wants_inflight, .fill = ask_inflight, .answer = got_inflight},
	{VHU_SET_INFLIGHT_FD, .wanted = has_inflight, .fill = give_inflight},
};

static const struct front_step ring_steps[] = {
	{VHU_SET_VRING_NUM, .fill = fill_num},   {VHU_SET_VRING_BASE, .fill = fill_base},
	{VHU_SET_VRING_ADDR, .fill = fill_addr}, {VHU_SET_VRING_ERR, .wanted = has_err, .fill = fill_err},
	{VHU_SET_VRING_CALL, .fill = fill_call}, {VHU_SET_VRING_KICK, .fill = fill_kick},
};

static const struct front_step enable_steps[] = {
	{VHU_SET_VRING_ENABLE, .wanted = this_differs, .fill = fill_enable},
};

static const struct front_step stop_steps[] = {
	{VHU_GET_VRING_BASE, .fill = ask_base, .answer = got_base},
};

#define STEPS(array) .steps = (array), .count = sizeof(array) / sizeof((array)[0])

static const struct front_script enable_first = {STEPS(enable_steps), .again = start_next_ring, .end = start_end};
static const struct front_script set_up = {STEPS(ring_steps), .again = start_next_ring, .next = &enable_first};
const struct front_script front_start_script = {STEPS(prepare_steps), .next = &set_up};
const struct front_script front_enable_script = {STEPS(enable_steps), .again = start_next_ring};
const struct front_script front_stop_script = {STEPS(stop_steps), .again = start_next_ring, .end = front_finish_stop};
