/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network device (virtio 1.2, section 5.1) that a back end serves; address, link and control queue are the monitor's.
 */
#include "vmm/vhost_user/device.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/net/filter.h"
#include "vmm/virtio/net_control.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

enum { CLASS_NETWORK = 0x020000, QUEUE_SIZE = 256 };

struct vhost_user_net {
	struct vhost_user_device device;
	uint8_t mac[MAC_SIZE];
	unsigned pairs;
	struct net_control control;
};

static const uint64_t passed_on = BIT(CSUM) | BIT(GUEST_CSUM) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6) | BIT(GUEST_ECN) |
				  BIT(GUEST_UFO) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(HOST_UFO) |
				  BIT(MRG_RXBUF);

static struct vhost_user_net *net_of(struct virtio_dev *dev)
{
	return (struct vhost_user_net *)vhost_user_device_of(dev);
}

static uint64_t net_features(struct virtio_dev *dev)
{
	const struct vhost_user_net *net = net_of(dev);
	uint64_t features = (net->device.features & passed_on) | BIT(MAC) | BIT(STATUS);

	return net->pairs > 1 ? features | BIT(CTRL_VQ) | BIT(MQ) : features;
}

static void net_config_read(struct virtio_dev *dev, uint32_t offset, void *buffer, uint32_t len)
{
	const struct vhost_user_net *net = net_of(dev);
	struct virtio_net_config config = {
		.status = htole16(VIRTIO_NET_S_LINK_UP),
		.max_virtqueue_pairs = htole16((uint16_t)net->pairs),
	};

	memcpy(config.mac, net->mac, sizeof(config.mac));
	if (offset < sizeof(config))
		memcpy(buffer, (char *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

/* The only command: the back end has the frames. */
static int net_perform(struct virtio_dev *dev, const struct net_command *command)
{
	struct vhost_user_net *net = net_of(dev);

	if (command->kind != NET_SET_PAIRS)
		return -EINVAL;
	for (unsigned i = 0; i < 2 * net->pairs; i++)
		viommu_vhu_enable(net->device.session.front, i, i < 2u * command->pairs);
	return 0;
}

static void net_start(struct virtio_dev *dev)
{
	struct vhost_user_net *net = net_of(dev);

	net_control_start(&net->control, dev->driver_features & (BIT(CTRL_VQ) | BIT(MQ)));
	vhost_user_device_start(&net->device, net->control.queue, 2);
}

static void net_kick(struct virtio_dev *dev, unsigned queue)
{
	if (!net_control_kick(&net_of(dev)->control, queue))
		vhost_user_device_kick(dev, queue);
}

static void net_reset(struct virtio_dev *dev)
{
	struct vhost_user_net *net = net_of(dev);

	net_control_stop(&net->control);
	vhost_user_device_reset(dev);
}

static void net_destroy(struct virtio_dev *dev)
{
	struct vhost_user_net *net = net_of(dev);

	net_control_stop(&net->control);
	vhost_user_device_fini(&net->device);
	free(net);
}

static const struct virtio_ops net_ops = {
	.device_id = VIRTIO_ID_NET,
	.class_code = CLASS_NETWORK,
	.queue_size = QUEUE_SIZE,
	.features = net_features,
	.config_read = net_config_read,
	.start = net_start,
	.kick = net_kick,
	.reset = net_reset,
	.placed = vhost_user_device_placed,
	.failed = vhost_user_device_failed,
	.ats_enabled = vhost_user_device_ats_enabled,
	.drain = vhost_user_device_drain,
	.drain_fd = vhost_user_device_drain_fd,
	.iotlb_stats = vhost_user_device_iotlb_stats,
	.destroy = net_destroy,
};

/* A frame that cannot be sent or received is lost, as on a wire. */
static const struct shadow_config shadow = {.failed_status = -1};

static const struct vhost_user_session_ops session_ops = {
	.started = vhost_user_device_started,
	.stopped = vhost_user_device_stopped,
	.lost = vhost_user_device_lost,
	.broken = vhost_user_device_broken,
	.wants = vhost_user_device_wants,
};

int vhost_user_net_create(const struct virtio_env *env, const struct vhost_user_config *config, const uint8_t mac[6],
			  struct pci_dev **out)
{
	struct vhost_user_net *net = calloc(1, sizeof(*net));
	uint16_t queues = (uint16_t)(2 * config->queues + (config->queues > 1));
	int ret;

	if (!net)
		return -ENOMEM;
	net->pairs = config->queues;
	memcpy(net->mac, mac, sizeof(net->mac));
	net_control_init(&net->control, &net->device.dev, net->pairs, net_perform);
	net->device.session.what = "net";
	net->device.config = (struct viommu_vhu_config){
		.size = sizeof(struct viommu_vhu_config),
		.features = passed_on | 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC |
			    1ull << VIRTIO_RING_F_EVENT_IDX,
		.queues = 2 * config->queues,
		.pairs = true,
	};
	ret = vhost_user_device_init(&net->device, &net_ops, queues, env, config, &session_ops, &shadow);
	if (ret)
		free(net);
	else
		*out = &net->device.dev.pci;
	return ret;
}
