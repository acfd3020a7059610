/* SPDX-License-Identifier: BSD-2-Clause */
/* The network device (virtio 1.2, section 5.1) over a tap interface. */
#include "vmm/virtio/net.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/util/log.h"

enum { CLASS_NETWORK = 0x020000 };

static struct virtio_net *net_of(struct virtio_dev *dev)
{
	return (struct virtio_net *)((char *)dev - offsetof(struct virtio_net, dev));
}

static uint64_t net_features(struct virtio_dev *dev)
{
	(void)dev;
	return 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_STATUS;
}

static void net_config_read(struct virtio_dev *dev, uint32_t offset, void *buffer, uint32_t len)
{
	struct virtio_net_config config = {.status = htole16(VIRTIO_NET_S_LINK_UP)};

	memcpy(config.mac, net_of(dev)->mac, sizeof(config.mac));
	if (offset < sizeof(config))
		memcpy(buffer, (char *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

/* Which readiness of the tap is wanted. Level-triggered: what nobody waits for must not wake us. */
static void await_tap(struct virtio_net *net, uint32_t event, bool wanted)
{
	uint32_t events = wanted ? net->tap_events | event : net->tap_events & ~event;

	if (events == net->tap_events || net->tap_gone)
		return;
	net->tap_events = events;
	loop_modify(net->dev.loop, &net->tap_watch, events);
}

void net_tap_lost(struct virtio_net *net, int error)
{
	if (net->tap_gone)
		return;
	net->tap_gone = true;
	loop_remove(net->dev.loop, &net->tap_watch);
	vmm_log("%s: the tap interface is lost: %s", net->dev.pci.name, strerror(error));
}

int net_ring_empty(struct vq *vq, struct viommu_section *section)
{
	int ret = vq_ask_kicks(vq, section, true);

	if (!ret)
		ret = vq_waiting(vq, section);
	return ret > 0 ? NET_MORE : ret < 0 ? ret : NET_EMPTY;
}

/* One burst in one direction, and what follows from how it ended. */
static void run_burst(struct virtio_net *net, unsigned queue,
		      int (*burst)(struct virtio_net *net, struct viommu_section *section), uint32_t event,
		      struct loop_work *again)
{
	struct viommu_section section;
	int end, interrupt;

	if (!net->dev.running || !net->dev.queues[queue].vq.enabled || virtio_dma_begin(&net->dev, &section)) {
		await_tap(net, event, false);
		return;
	}
	end = burst(net, &section);
	interrupt = vq_wants_interrupt(&net->dev.queues[queue].vq, &section);
	viommu_dma_end(&section);
	if (interrupt > 0)
		virtio_interrupt_queue(&net->dev, queue);
	if (end < 0 || interrupt < 0) {
		virtio_fail(&net->dev,
			    queue == NET_RX ? "the receive queue is broken" : "the transmit queue is broken");
		end = NET_EMPTY;
	}
	await_tap(net, event, end == NET_TAP);
	if (end == NET_MORE)
		loop_post(net->dev.loop, again);
}

static void run_rx(void *opaque)
{
	struct virtio_net *net = opaque;

	if (!net->tap_gone)
		run_burst(net, NET_RX, net_rx_burst, EPOLLIN, &net->rx_work);
}

static void run_tx(void *opaque)
{
	struct virtio_net *net = opaque;

	run_burst(net, NET_TX, net_tx_burst, EPOLLOUT, &net->tx_work);
}

/* A tap has an error state only once the interface is gone; which one, reading tells. */
static void tap_ready(void *opaque, uint32_t events)
{
	struct virtio_net *net = opaque;
	uint8_t byte;

	if (events & EPOLLIN & net->tap_events)
		run_rx(net);
	if (events & EPOLLOUT & net->tap_events)
		run_tx(net);
	if ((events & (EPOLLERR | EPOLLHUP)) && !net->tap_gone)
		net_tap_lost(net, read(net->tap_fd, &byte, 0) < 0 ? errno : EIO);
}

static void net_start(struct virtio_dev *dev)
{
	(void)dev;
}

static void net_kick(struct virtio_dev *dev, unsigned queue)
{
	if (queue == NET_RX)
		run_rx(net_of(dev));
	else
		run_tx(net_of(dev));
}

static void net_reset(struct virtio_dev *dev)
{
	struct virtio_net *net = net_of(dev);

	loop_cancel(dev->loop, &net->rx_work);
	loop_cancel(dev->loop, &net->tx_work);
	await_tap(net, EPOLLIN | EPOLLOUT, false);
	virtio_reset_done(dev);
}

static void net_destroy(struct virtio_dev *dev)
{
	struct virtio_net *net = net_of(dev);

	loop_cancel(dev->loop, &net->rx_work);
	loop_cancel(dev->loop, &net->tx_work);
	if (!net->tap_gone)
		loop_remove(dev->loop, &net->tap_watch);
	close(net->tap_fd);
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
	.reset = net_reset,
	.queue_reset = virtio_queue_reset_at_once,
	.destroy = net_destroy,
};

static int net_init(struct virtio_net *net, const struct virtio_env *env, const char *tap)
{
	int ret;

	net->tap_fd = tap_open(tap);
	if (net->tap_fd < 0)
		return net->tap_fd;
	net->rx_work = (struct loop_work){.run = run_rx, .opaque = net};
	net->tx_work = (struct loop_work){.run = run_tx, .opaque = net};
	net->tap_watch = (struct loop_watch){.fd = net->tap_fd, .ready = tap_ready, .opaque = net};
	ret = loop_add(env->loop, &net->tap_watch, 0);
	if (ret)
		goto err_close;
	ret = virtio_init(&net->dev, &net_ops, NET_QUEUES, env);
	if (ret)
		goto err_watch;
	return 0;

err_watch:
	loop_remove(env->loop, &net->tap_watch);
err_close:
	close(net->tap_fd);
	vmm_log("net %s: %s", tap, strerror(-ret));
	return ret;
}

int virtio_net_check(const char *tap)
{
	const int fd = tap_open(tap);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int virtio_net_create(const struct virtio_env *env, const char *tap, const uint8_t mac[6], struct pci_dev **out)
{
	struct virtio_net *net = calloc(1, sizeof(*net));
	int ret;

	if (!net)
		return -ENOMEM;
	memcpy(net->mac, mac, sizeof(net->mac));
	ret = net_init(net, env, tap);
	if (ret) {
		free(net);
		return ret;
	}
	*out = &net->dev.pci;
	return 0;
}
