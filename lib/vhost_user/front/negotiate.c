/* SPDX-License-Identifier: BSD-2-Clause */
/* What both sides can do. Section "Protocol features" and the messages' own. */
#include <inttypes.h>

#include "lib/vhost_user/front/front.h"

/* An answer of one number. */
static int negotiate_number(struct viommu_vhu *vhu, const struct channel_message *message, uint64_t *out)
{
	if (message->fd_count || message->header.size != sizeof(message->u64))
		return front_fail(&vhu->link, "malformed answer to request %u", message->header.request);
	*out = message->u64;
	return 0;
}

static int got_features(struct viommu_vhu *vhu, struct channel_message *message)
{
	int err = negotiate_number(vhu, message, &vhu->offered);

	if (err)
		return err;
	if (vhu->config.iommu && !(vhu->offered >> FRONT_F_ACCESS_PLATFORM & 1))
		return front_fail(&vhu->link, "the back end has no device IOTLB (VIRTIO_F_ACCESS_PLATFORM)");
	if (vhu->rings.given && vhu->rings.features & ~vhu->offered)
		return front_fail(&vhu->link, "the back end lacks features that the driver uses: 0x%" PRIx64,
				  vhu->rings.features & ~vhu->offered);
	if (!(vhu->offered >> VHU_F_PROTOCOL_FEATURES & 1) && (vhu->config.iommu || vhu->config.config_size))
		return front_fail(&vhu->link, "the back end has no protocol features");
	vhu->queues = vhu->config.pairs ? 2 : 1;
	return 0;
}

static bool has_protocol_features(const struct viommu_vhu *vhu)
{
	return vhu->offered >> VHU_F_PROTOCOL_FEATURES & 1;
}

static uint64_t negotiate_understood(const struct viommu_vhu *vhu)
{
	uint64_t set =
		1ull << VHU_PROTOCOL_F_MQ | 1ull << VHU_PROTOCOL_F_REPLY_ACK | 1ull << VHU_PROTOCOL_F_BACKEND_REQ;

	if (vhu->config.config_size)
		set |= 1ull << VHU_PROTOCOL_F_CONFIG;
	if (vhu->config.exact)
		set |= 1ull << VHU_PROTOCOL_F_INFLIGHT_SHMFD;
	if (vhu->config.iommu && vhu->config.shared_table)
		set |= 1ull << VHU_PROTOCOL_F_SHARED_TABLE;
	if (vhu->config.mtu)
		set |= 1ull << VHU_PROTOCOL_F_MTU;
	return set;
}

static int got_protocol_features(struct viommu_vhu *vhu, struct channel_message *message)
{
	uint64_t offered = 0;
	int err = negotiate_number(vhu, message, &offered);

	if (err)
		return err;
	vhu->protocol = offered & negotiate_understood(vhu);
	if (vhu->config.iommu &&
	    !(front_has(vhu, VHU_PROTOCOL_F_REPLY_ACK) && front_has(vhu, VHU_PROTOCOL_F_BACKEND_REQ)))
		return front_fail(&vhu->link, "the back end has a device IOTLB without REPLY_ACK and BACKEND_REQ");
	if (vhu->config.config_size && !front_has(vhu, VHU_PROTOCOL_F_CONFIG))
		return front_fail(&vhu->link, "the back end does not give its configuration (CONFIG)");
	if (vhu->rings.inflight_fd >= 0 && !front_has(vhu, VHU_PROTOCOL_F_INFLIGHT_SHMFD))
		return front_fail(&vhu->link, "the back end does not keep track of its requests (INFLIGHT_SHMFD)");
	return 0;
}

static int fill_protocol_features(struct viommu_vhu *vhu, struct channel_message *message)
{
	message->u64 = vhu->protocol;
	message->header.size = sizeof(message->u64);
	return 0;
}

/* From here on the protocol features hold. */
static int fill_owner(struct viommu_vhu *vhu, struct channel_message *message)
{
	(void)message;
	vhu->link.reply_ack = front_has(vhu, VHU_PROTOCOL_F_REPLY_ACK);
	return 0;
}

static bool has_mq(const struct viommu_vhu *vhu)
{
	return front_has(vhu, VHU_PROTOCOL_F_MQ);
}

static int got_queues(struct viommu_vhu *vhu, struct channel_message *message)
{
	uint64_t queues = 0, most = VIOMMU_VHU_RINGS / (vhu->config.pairs ? 2 : 1);
	int err = negotiate_number(vhu, message, &queues);

	if (err)
		return err;
	vhu->queues = (unsigned)(queues < most ? queues : most) * (vhu->config.pairs ? 2 : 1);
	return 0;
}

static bool has_requests(const struct viommu_vhu *vhu)
{
	return front_has(vhu, VHU_PROTOCOL_F_BACKEND_REQ);
}

static int fill_requests(struct viommu_vhu *vhu, struct channel_message *message)
{
	return front_requests_fill(&vhu->requests, message);
}

static bool has_space(const struct viommu_vhu *vhu)
{
	return vhu->config.config_size;
}

static void negotiate_end(struct viommu_vhu *vhu)
{
	if (vhu->queues < vhu->config.queues) {
		front_fail(&vhu->link, "the back end serves %u queues, not %u", vhu->queues, vhu->config.queues);
		return;
	}
	vhu->negotiated = true;
	vhu->link.stats.connections++;
	vhu->config.ops->ready(vhu->config.opaque);
}

static const struct front_step steps[] = {
	{VHU_GET_FEATURES, .answer = got_features},
	{VHU_GET_PROTOCOL_FEATURES, .wanted = has_protocol_features, .answer = got_protocol_features},
	{VHU_SET_PROTOCOL_FEATURES, .wanted = has_protocol_features, .fill = fill_protocol_features},
	{VHU_SET_OWNER, .fill = fill_owner},
	{VHU_GET_QUEUE_NUM, .wanted = has_mq, .answer = got_queues},
	{VHU_SET_BACKEND_REQ_FD, .wanted = has_requests, .fill = fill_requests},
	{VHU_GET_CONFIG, .wanted = has_space, .fill = front_step_fill_space, .answer = front_step_got_space},
};

const struct front_script front_negotiation = {
	.steps = steps,
	.count = sizeof(steps) / sizeof(steps[0]),
	.end = negotiate_end,
};

uint64_t viommu_vhu_features(const struct viommu_vhu *vhu)
{
	return vhu->offered & vhu->config.features;
}

unsigned viommu_vhu_queues(const struct viommu_vhu *vhu)
{
	return vhu->queues;
}
