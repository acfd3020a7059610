/* SPDX-License-Identifier: BSD-2-Clause */
/* The network device (virtio 1.2, section 5.1) over a tap interface. */
#include "vmm/virtio/net.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/log.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

enum { CLASS_NETWORK = 0x020000, CONTROL_QUEUES = 1 };

/* Section 5.1.4.1: an MTU that the driver is told is at least this. */
enum { MTU_MIN = 68, MTU_MAX = 65535 };

static struct virtio_net *net_of(struct virtio_dev *dev)
{
	return (struct virtio_net *)((char *)dev - offsetof(struct virtio_net, dev));
}

static uint64_t net_features(struct virtio_dev *dev)
{
	const struct virtio_net *net = net_of(dev);
	uint64_t features = BIT(MAC) | BIT(STATUS) | BIT(MRG_RXBUF) | BIT(CTRL_VQ) | BIT(CTRL_RX) | BIT(CTRL_RX_EXTRA) |
			    BIT(CTRL_VLAN) | BIT(CTRL_MAC_ADDR) | net_offload_features(net->card.tap_features);

	if (net_guest_offloads(features))
		features |= BIT(CTRL_GUEST_OFFLOADS);
	if (net->card.mtu >= MTU_MIN && net->card.mtu <= MTU_MAX)
		features |= BIT(MTU);
	if (net->card.pair_count > 1)
		features |= BIT(MQ);
	return features;
}

static void net_config_read(struct virtio_dev *dev, uint32_t offset, void *buffer, uint32_t len)
{
	const struct virtio_net *net = net_of(dev);
	struct virtio_net_config config = {
		.status = htole16(VIRTIO_NET_S_LINK_UP),
		.max_virtqueue_pairs = htole16((uint16_t)net->card.pair_count),
		.mtu = htole16((uint16_t)net->card.mtu),
	};

	memcpy(config.mac, net->card.mac, sizeof(config.mac));
	if (offset < sizeof(config))
		memcpy(buffer, (char *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

static int net_perform(struct virtio_dev *dev, const struct net_command *command)
{
	struct virtio_net *net = net_of(dev);
	struct net_filter *filter = &net->card.filter;

	switch (command->kind) {
	case NET_SET_MODE:
		filter->modes[command->mode.index] = command->mode.on;
		return 0;
	case NET_SET_MACS:
		net_filter_set_macs(&filter->unicast, command->macs.unicast, command->macs.unicasts);
		net_filter_set_macs(&filter->multicast, command->macs.multicast, command->macs.multicasts);
		return 0;
	case NET_SET_MAC:
		/* The configuration space shows it, to any thread. */
		mutex_take(&dev->pci.lock);
		memcpy(net->card.mac, command->mac, MAC_SIZE);
		mutex_drop(&dev->pci.lock);
		return 0;
	case NET_SET_VLAN:
		net_filter_set_vlan(filter, command->vlan.id, command->vlan.pass);
		return 0;
	case NET_SET_PAIRS:
		return net_pairs_use(&net->card, command->pairs);
	case NET_SET_OFFLOADS:
		return net_set_offloads(&net->card, command->offloads);
	}
	return -EINVAL;
}

static void net_start(struct virtio_dev *dev)
{
	static struct log_limit limit; /* the guest may start its driver as often as it likes */
	struct virtio_net *net = net_of(dev);

	net->card.features = net->card.rx_features = net_settled(dev->driver_features);
	net_control_start(&net->control, net->card.features);
	net_filter_init(&net->card.filter, net->card.features & BIT(CTRL_VLAN));
	/* The tap's user can take them away meanwhile. */
	if (net_set_offloads(&net->card, net_guest_offloads(net->card.features)) && vmm_log_may(&limit))
		vmm_log("%s: the tap refuses offloads that it had", dev->pci.name);
}

static void net_kick(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_net *net = net_of(dev);

	if (!net_control_kick(&net->control, queue) && queue < net->control.queue)
		net_pair_kick(&net->pairs[queue / NET_PAIR_QUEUES], queue % NET_PAIR_QUEUES);
}

/* What the driver sends without a tap is dropped at leisure. */
static bool net_set_polled(struct virtio_dev *dev, bool polled)
{
	struct net_card *card = &net_of(dev)->card;

	card->polled = polled && !card->tap_gone;
	return card->polled;
}

static bool net_look(struct virtio_dev *dev)
{
	struct net_card *card = &net_of(dev)->card;
	const bool found = net_pairs_look(card);

	if (card->tap_gone)
		virtio_end_polling(dev);
	return found;
}

static void net_reset(struct virtio_dev *dev)
{
	struct virtio_net *net = net_of(dev);

	net_control_stop(&net->control);
	net_pairs_stop(&net->card);
	if (!net->card.tap_gone)
		tap_set_offloads(net->pairs[0].tap_fd, 0);
	mutex_take(&dev->pci.lock);
	memcpy(net->card.mac, net->home_mac, MAC_SIZE);
	mutex_drop(&dev->pci.lock);
	virtio_reset_done(dev);
}

/* A frame that waits for buffers has some of the queue's. */
static void net_queue_reset(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_net *net = net_of(dev);

	if (queue < net->control.queue && queue % NET_PAIR_QUEUES == NET_RX)
		net_pair_forget_frame(&net->pairs[queue / NET_PAIR_QUEUES]);
	virtio_queue_reset_done(dev, queue);
}

static void net_destroy(struct virtio_dev *dev)
{
	struct virtio_net *net = net_of(dev);

	net_control_stop(&net->control);
	net_pairs_fini(&net->card);
	virtio_fini(dev);
	free(net);
}

static const struct virtio_ops net_ops = {
	.device_id = VIRTIO_ID_NET,
	.class_code = CLASS_NETWORK,
	.queue_size = NET_QUEUE_SIZE,
	.features = net_features,
	.config_read = net_config_read,
	.start = net_start,
	.kick = net_kick,
	.set_polled = net_set_polled,
	.look = net_look,
	.reset = net_reset,
	.queue_reset = net_queue_reset,
	.destroy = net_destroy,
};

static struct virtio_net *net_of_card(struct net_card *card)
{
	return (struct virtio_net *)((char *)card - offsetof(struct virtio_net, card));
}

static int net_burst_begin(struct net_card *card, unsigned queue, struct viommu_section *section)
{
	struct virtio_dev *dev = &net_of_card(card)->dev;

	return !dev->running || !dev->queues[queue].vq.enabled || virtio_dma_begin(dev, section) ? NET_EMPTY : 0;
}

static void net_burst_end(struct net_card *card, unsigned queue, struct viommu_section *section)
{
	(void)card;
	(void)queue;
	viommu_dma_end(section);
}

static void net_interrupt(struct net_card *card, unsigned queue)
{
	virtio_interrupt_queue(&net_of_card(card)->dev, queue);
}

static void net_broken(struct net_card *card, unsigned queue, int error)
{
	(void)error;
	virtio_fail(&net_of_card(card)->dev,
		    queue % NET_PAIR_QUEUES == NET_RX ? "a receive queue is broken" : "a transmit queue is broken");
}

static void net_tap_ready(struct net_card *card)
{
	polling_busy(&net_of_card(card)->dev.polling);
}

static const struct net_card_ops card_ops = {
	.begin = net_burst_begin,
	.end = net_burst_end,
	.interrupt = net_interrupt,
	.broken = net_broken,
	.tap_ready = net_tap_ready,
};

static int net_init(struct virtio_net *net, const struct virtio_env *env, const char *tap)
{
	int ret;

	net->dev.loop = env->loop;
	net->card.ops = &card_ops;
	net->card.name = net->dev.pci.name;
	net->card.loop = env->loop;
	net->card.filtered = true;
	net->card.pairs = net->pairs;
	for (unsigned i = 0; i < NET_PAIR_QUEUES * net->card.pair_count; i++)
		net->pairs[i / NET_PAIR_QUEUES].vqs[i % NET_PAIR_QUEUES] = &net->dev.queues[i].vq;
	net_control_init(&net->control, &net->dev, net->card.pair_count, net_perform);
	ret = net_pairs_init(&net->card, tap);
	if (ret)
		return ret;
	ret = virtio_init(&net->dev, &net_ops, (uint16_t)(NET_PAIR_QUEUES * net->card.pair_count + CONTROL_QUEUES),
			  env);
	if (!ret)
		return 0;
	net_pairs_fini(&net->card);
	vmm_log("net %s: %s", tap, strerror(-ret));
	return ret;
}

int virtio_net_check(const char *tap, unsigned queues)
{
	int fds[NET_MAX_PAIRS], ret = tap_open(tap, queues, fds);

	if (!ret)
		tap_close(fds, queues);
	return ret;
}

int virtio_net_create(const struct virtio_env *env, const char *tap, unsigned queues, const uint8_t mac[6],
		      struct pci_dev **out)
{
	struct virtio_net *net = calloc(1, sizeof(*net) + queues * sizeof(net->pairs[0]));
	int ret;

	if (!net)
		return -ENOMEM;
	net->card.pair_count = queues;
	memcpy(net->home_mac, mac, MAC_SIZE);
	memcpy(net->card.mac, mac, MAC_SIZE);
	ret = net_init(net, env, tap);
	if (ret) {
		free(net);
		return ret;
	}
	*out = &net->dev.pci;
	return 0;
}
