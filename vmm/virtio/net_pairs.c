/* SPDX-License-Identifier: BSD-2-Clause */
/* Queue pairs (virtio 1.2, section 5.1.6.5.5): which are in use, and when their bursts run. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/util/log.h"
#include "vmm/virtio/net.h"

/* Which readiness of the tap is wanted. Level-triggered: what nobody waits for must not wake us. */
static void await_tap(struct net_pair *pair, uint32_t event, bool wanted)
{
	uint32_t events = wanted ? pair->events | event : pair->events & ~event;

	if (events == pair->events || !pair->active || pair->net->tap_gone)
		return;
	pair->events = events;
	loop_modify(pair->net->dev.loop, &pair->watch, events);
}

void net_tap_lost(struct virtio_net *net, int error)
{
	if (net->tap_gone)
		return;
	net->tap_gone = true;
	for (unsigned i = 0; i < net->pair_count; i++) {
		struct net_pair *pair = &net->pairs[i];

		if (pair->active)
			loop_remove(net->dev.loop, &pair->watch);
		/* Frames that wait for room in the tap: nothing else would see to them any more. */
		loop_post(net->dev.loop, &pair->tx_work);
	}
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
static void run_burst(struct net_pair *pair, unsigned direction)
{
	struct virtio_dev *dev = &pair->net->dev;
	const unsigned queue = net_queue(pair, direction);
	const uint32_t event = direction == NET_RX ? EPOLLIN : EPOLLOUT;
	struct viommu_section section;
	int end, interrupt;

	if (!dev->running || !dev->queues[queue].vq.enabled || virtio_dma_begin(dev, &section)) {
		await_tap(pair, event, false);
		return;
	}
	end = direction == NET_RX ? net_rx_burst(pair, &section) : net_tx_burst(pair, &section);
	interrupt = vq_wants_interrupt(&dev->queues[queue].vq, &section);
	viommu_dma_end(&section);
	if (interrupt > 0)
		virtio_interrupt_queue(dev, queue);
	if (end < 0 || interrupt < 0) {
		virtio_fail(dev, direction == NET_RX ? "a receive queue is broken" : "a transmit queue is broken");
		end = NET_EMPTY;
	}
	await_tap(pair, event, end == NET_TAP);
	if (end == NET_MORE)
		loop_post(dev->loop, direction == NET_RX ? &pair->rx_work : &pair->tx_work);
}

static void run_rx(void *opaque)
{
	struct net_pair *pair = opaque;

	if (pair->active && !pair->net->tap_gone)
		run_burst(pair, NET_RX);
}

static void run_tx(void *opaque)
{
	run_burst(opaque, NET_TX);
}

void net_pair_kick(struct net_pair *pair, unsigned direction)
{
	if (direction == NET_RX)
		run_rx(pair);
	else
		run_tx(pair);
}

/* A tap has an error state only once the interface is gone; which one, reading tells. */
static void tap_ready(void *opaque, uint32_t events)
{
	struct net_pair *pair = opaque;
	uint8_t byte;

	if (events & EPOLLIN & pair->events)
		run_rx(pair);
	if (events & EPOLLOUT & pair->events)
		run_tx(pair);
	if ((events & (EPOLLERR | EPOLLHUP)) && !pair->net->tap_gone)
		net_tap_lost(pair->net, read(pair->tap_fd, &byte, 0) < 0 ? errno : EIO);
}

/* A pair that could not be filled while it was not in use may have buffers by now. */
static int activate(struct net_pair *pair)
{
	struct virtio_net *net = pair->net;
	int ret = tap_attach(pair->tap_fd, true);

	if (!ret)
		ret = loop_add(net->dev.loop, &pair->watch, 0);
	if (ret)
		return ret;
	pair->active = true;
	loop_post(net->dev.loop, &pair->rx_work);
	return 0;
}

void net_pair_forget_frame(struct net_pair *pair)
{
	if (pair->late)
		net_window_undo(&pair->window, net_vq(pair, NET_RX), pair->window.count);
	pair->late = false;
}

static void forget(struct net_pair *pair)
{
	loop_cancel(pair->net->dev.loop, &pair->rx_work);
	loop_cancel(pair->net->dev.loop, &pair->tx_work);
	net_pair_forget_frame(pair);
	pair->likely = 1;
}

/* What the driver left in the transmit queue still goes out. */
static void deactivate(struct net_pair *pair)
{
	struct virtio_net *net = pair->net;

	if (!net->tap_gone)
		loop_remove(net->dev.loop, &pair->watch);
	tap_attach(pair->tap_fd, false);
	forget(pair);
	pair->events = 0;
	pair->active = false;
	loop_post(net->dev.loop, &pair->tx_work);
}

int net_pairs_use(struct virtio_net *net, unsigned count)
{
	int ret = 0;

	for (unsigned i = 1; i < net->pair_count; i++) {
		struct net_pair *pair = &net->pairs[i];

		if (pair->active && i >= count)
			deactivate(pair);
		else if (!pair->active && i < count && !ret)
			ret = net->tap_gone ? -ENODEV : activate(pair);
	}
	return ret;
}

void net_pairs_stop(struct virtio_net *net)
{
	net_pairs_use(net, 1);
	for (unsigned i = 0; i < net->pair_count; i++) {
		forget(&net->pairs[i]);
		await_tap(&net->pairs[i], EPOLLIN | EPOLLOUT, false);
	}
}

static void init_pair(struct virtio_net *net, unsigned index, int fd)
{
	struct net_pair *pair = &net->pairs[index];

	pair->net = net;
	pair->index = index;
	pair->tap_fd = fd;
	pair->likely = 1;
	pair->rx_work = (struct loop_work){.run = run_rx, .opaque = pair};
	pair->tx_work = (struct loop_work){.run = run_tx, .opaque = pair};
	pair->watch = (struct loop_watch){.fd = fd, .ready = tap_ready, .opaque = pair};
}

int net_pairs_init(struct virtio_net *net, const char *tap)
{
	int fds[NET_MAX_PAIRS], ret = tap_open(tap, net->pair_count, fds);

	if (ret)
		return ret;
	for (unsigned i = 0; i < net->pair_count && !ret; i++) {
		init_pair(net, i, fds[i]);
		if (i)
			ret = tap_attach(fds[i], false);
	}
	if (!ret)
		ret = loop_add(net->dev.loop, &net->pairs[0].watch, 0);
	if (ret) {
		tap_close(fds, net->pair_count);
		vmm_log("net %s: %s", tap, strerror(-ret));
	}
	net->pairs[0].active = !ret;
	return ret;
}

void net_pairs_fini(struct virtio_net *net)
{
	net_pairs_stop(net);
	if (!net->tap_gone)
		loop_remove(net->dev.loop, &net->pairs[0].watch);
	for (unsigned i = 0; i < net->pair_count; i++)
		tap_close(&net->pairs[i].tap_fd, 1);
}
