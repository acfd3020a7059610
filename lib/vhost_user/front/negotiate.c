/* SPDX-License-Identifier: BSD-2-Clause */
/* What both sides can do. Section "Protocol features" and the messages' own. */
#include <inttypes.h>

#include "lib/vhost_user/front/front.h"

static bool bit(uint64_t set, unsigned number)
{
	return set >> number & 1;
}

bool vhu_has(const struct viommu_vhu *vhu, unsigned protocol_feature)
{
	return bit(vhu->protocol, protocol_feature);
}

/* An answer of one number. */
static int number(struct viommu_vhu *vhu, const struct channel_message *message, uint64_t *out)
{
	if (message->fd_count || message->header.size != sizeof(message->u64))
		return vhu_fail(vhu, "malformed answer to request %u", message->header.request);
	*out = message->u64;
	return 0;
}

static int got_features(struct viommu_vhu *vhu, struct channel_message *message)
{
	int err = number(vhu, message, &vhu->offered);

	if (err)
		return err;
	if (vhu->config.iommu && !bit(vhu->offered, VHU_F_ACCESS_PLATFORM))
		return vhu_fail(vhu, "the back end has no device IOTLB (VIRTIO_F_ACCESS_PLATFORM)");
	if (vhu->given && vhu->features & ~vhu->offered)
		return vhu_fail(vhu, "the back end lacks features that the driver uses: 0x%" PRIx64,
				vhu->features & ~vhu->offered);
	if (!bit(vhu->offered, VHU_F_PROTOCOL_FEATURES) && (vhu->config.iommu || vhu->config.config_size))
		return vhu_fail(vhu, "the back end has no protocol features");
	vhu->queues = vhu->config.pairs ? 2 : 1;
	return 0;
}

static bool has_protocol_features(const struct viommu_vhu *vhu)
{
	return bit(vhu->offered, VHU_F_PROTOCOL_FEATURES);
}

static uint64_t understood(const struct viommu_vhu *vhu)
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
	int err = number(vhu, message, &offered);

	if (err)
		return err;
	vhu->protocol = offered & understood(vhu);
	if (vhu->config.iommu && !(vhu_has(vhu, VHU_PROTOCOL_F_REPLY_ACK) && vhu_has(vhu, VHU_PROTOCOL_F_BACKEND_REQ)))
		return vhu_fail(vhu, "the back end has a device IOTLB without REPLY_ACK and BACKEND_REQ");
	if (vhu->config.config_size && !vhu_has(vhu, VHU_PROTOCOL_F_CONFIG))
		return vhu_fail(vhu, "the back end does not give its configuration (CONFIG)");
	if (vhu->inflight_fd >= 0 && !vhu_has(vhu, VHU_PROTOCOL_F_INFLIGHT_SHMFD))
		return vhu_fail(vhu, "the back end does not keep track of its requests (INFLIGHT_SHMFD)");
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
	vhu->reply_ack = vhu_has(vhu, VHU_PROTOCOL_F_REPLY_ACK);
	return 0;
}

static bool has_mq(const struct viommu_vhu *vhu)
{
	return vhu_has(vhu, VHU_PROTOCOL_F_MQ);
}

static int got_queues(struct viommu_vhu *vhu, struct channel_message *message)
{
	uint64_t queues = 0, most = VIOMMU_VHU_RINGS / (vhu->config.pairs ? 2 : 1);
	int err = number(vhu, message, &queues);

	if (err)
		return err;
	vhu->queues = (unsigned)(queues < most ? queues : most) * (vhu->config.pairs ? 2 : 1);
	return 0;
}

static bool has_requests(const struct viommu_vhu *vhu)
{
	return vhu_has(vhu, VHU_PROTOCOL_F_BACKEND_REQ);
}

static bool has_space(const struct viommu_vhu *vhu)
{
	return vhu->config.config_size;
}

static void end(struct viommu_vhu *vhu)
{
	if (vhu->queues < vhu->config.queues) {
		vhu_fail(vhu, "the back end serves %u queues, not %u", vhu->queues, vhu->config.queues);
		return;
	}
	vhu->negotiated = true;
	lock_take(&vhu->lock);
	vhu->stats.connections++;
	lock_drop(&vhu->lock);
	vhu->config.ops->ready(vhu->config.opaque);
}

static const struct vhu_step steps[] = {
	{VHU_GET_FEATURES, .answer = got_features},
	{VHU_GET_PROTOCOL_FEATURES, .wanted = has_protocol_features, .answer = got_protocol_features},
	{VHU_SET_PROTOCOL_FEATURES, .wanted = has_protocol_features, .fill = fill_protocol_features},
	{VHU_SET_OWNER, .fill = fill_owner},
	{VHU_GET_QUEUE_NUM, .wanted = has_mq, .answer = got_queues},
	{VHU_SET_BACKEND_REQ_FD, .wanted = has_requests, .fill = vhu_fill_requests_fd},
	{VHU_GET_CONFIG, .wanted = has_space, .fill = vhu_fill_space, .answer = vhu_got_space},
};

const struct vhu_script vhu_negotiation = {
	.steps = steps,
	.count = sizeof(steps) / sizeof(steps[0]),
	.end = end,
};

uint64_t viommu_vhu_features(const struct viommu_vhu *vhu)
{
	return vhu->offered & vhu->config.features;
}

unsigned viommu_vhu_queues(const struct viommu_vhu *vhu)
{
	return vhu->queues;
}
