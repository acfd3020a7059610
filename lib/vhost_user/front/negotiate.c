/* SPDX-License-Identifier: BSD-2-Clause */
/* What both sides can do. Section "Protocol features" and the messages' own. */
#include <inttypes.h>

#include "lib/vhost_user/front/front.h"

/* An answer of one number. */
static int negotiate_number(struct front_link *link, const struct channel_message *message, uint64_t *out)
{
	if (message->fd_count || message->header.size != sizeof(message->u64))
		return front_fail(link, "malformed answer to request %u", message->header.request);
	*out = message->u64;
	return 0;
}

static int negotiate_features(struct viommu_vhu *vhu, const struct channel_message *message)
{
	int err = negotiate_number(&vhu->link, message, &vhu->offered);

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

static uint64_t negotiate_understood(const struct viommu_vhu_config *config)
{
	uint64_t set =
		1ull << VHU_PROTOCOL_F_MQ | 1ull << VHU_PROTOCOL_F_REPLY_ACK | 1ull << VHU_PROTOCOL_F_BACKEND_REQ;

	if (config->config_size)
		set |= 1ull << VHU_PROTOCOL_F_CONFIG;
	if (config->exact)
		set |= 1ull << VHU_PROTOCOL_F_INFLIGHT_SHMFD;
	if (config->iommu && config->shared_table)
		set |= 1ull << VHU_PROTOCOL_F_SHARED_TABLE;
	if (config->mtu)
		set |= 1ull << VHU_PROTOCOL_F_MTU;
	return set;
}

static int negotiate_protocol(struct viommu_vhu *vhu, const struct channel_message *message)
{
	const uint64_t for_iommu = 1ull << VHU_PROTOCOL_F_REPLY_ACK | 1ull << VHU_PROTOCOL_F_BACKEND_REQ;
	struct front_link *link = &vhu->link;
	uint64_t offered = 0;
	int err = negotiate_number(link, message, &offered);

	if (err)
		return err;
	link->protocol = offered & negotiate_understood(&vhu->config);
	if (vhu->config.iommu && (link->protocol & for_iommu) != for_iommu)
		return front_fail(link, "the back end has a device IOTLB without REPLY_ACK and BACKEND_REQ");
	if (vhu->config.config_size && !(link->protocol >> VHU_PROTOCOL_F_CONFIG & 1))
		return front_fail(link, "the back end does not give its configuration (CONFIG)");
	if (vhu->rings.inflight_fd >= 0 && !(link->protocol >> VHU_PROTOCOL_F_INFLIGHT_SHMFD & 1))
		return front_fail(link, "the back end does not keep track of its requests (INFLIGHT_SHMFD)");
	return 0;
}

static bool negotiate_wanted(const struct viommu_vhu *vhu, uint32_t request)
{
	if (request != VHU_GET_PROTOCOL_FEATURES && request != VHU_SET_PROTOCOL_FEATURES)
		return true;
	return vhu->offered >> VHU_F_PROTOCOL_FEATURES & 1;
}

static int negotiate_fill(struct viommu_vhu *vhu, struct channel_message *message)
{
	switch (message->header.request) {
	case VHU_SET_PROTOCOL_FEATURES:
		message->u64 = vhu->link.protocol;
		message->header.size = sizeof(message->u64);
		return 0;
	case VHU_SET_OWNER: /* from here on the protocol features hold */
		vhu->link.reply_ack = vhu->link.protocol >> VHU_PROTOCOL_F_REPLY_ACK & 1;
		return 0;
	case VHU_SET_BACKEND_REQ_FD:
		return front_requests_fill(&vhu->requests, message);
	case VHU_GET_CONFIG:
		return front_space_fill(&vhu->space, message);
	default:
		return 0;
	}
}

static int negotiate_answer(struct viommu_vhu *vhu, struct channel_message *message)
{
	const unsigned each = vhu->config.pairs ? 2 : 1;
	uint64_t queues = 0;
	int err;

	switch (message->header.request) {
	case VHU_GET_FEATURES:
		return negotiate_features(vhu, message);
	case VHU_GET_PROTOCOL_FEATURES:
		return negotiate_protocol(vhu, message);
	case VHU_GET_QUEUE_NUM:
		err = negotiate_number(&vhu->link, message, &queues);
		if (queues > VIOMMU_VHU_RINGS / each)
			queues = VIOMMU_VHU_RINGS / each;
		if (!err)
			vhu->queues = (unsigned)queues * each;
		return err;
	default:
		return front_space_answer(&vhu->space, message);
	}
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
	{VHU_GET_FEATURES, .answered = true},
	{VHU_GET_PROTOCOL_FEATURES, .answered = true},
	{VHU_SET_PROTOCOL_FEATURES},
	{VHU_SET_OWNER},
	{VHU_GET_QUEUE_NUM, .needs = 1ull << VHU_PROTOCOL_F_MQ, .answered = true},
	{VHU_SET_BACKEND_REQ_FD, .needs = 1ull << VHU_PROTOCOL_F_BACKEND_REQ},
	{VHU_GET_CONFIG, .needs = 1ull << VHU_PROTOCOL_F_CONFIG, .answered = true},
};

const struct front_script front_negotiation = {
	.steps = steps,
	.count = sizeof(steps) / sizeof(steps[0]),
	.wanted = negotiate_wanted,
	.fill = negotiate_fill,
	.answer = negotiate_answer,
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
