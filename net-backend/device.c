/* SPDX-License-Identifier: BSD-2-Clause */
#include "net-backend/device.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <viommu/event.h>

#include "vmm/util/log.h"

#define NET_BIT(feature) (1ull << VIRTIO_NET_F_##feature)
#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)

enum { MTU_MIN = 68, MTU_MAX = 65535, POLL_NS = 200000 };

bool net_backend_may_log(void)
{
	static struct log_limit limit;

	return vmm_log_may(&limit);
}

static struct net_backend *device_of(struct net_card *card)
{
	return (struct net_backend *)((char *)card - offsetof(struct net_backend, card));
}

/* The front end has control queue and configuration space: features that QEMU warns of are not offered. */
static uint64_t features_of(const struct net_card *card)
{
	uint64_t features = VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM | 1ull << VIRTIO_RING_F_INDIRECT_DESC |
			    1ull << VIRTIO_RING_F_EVENT_IDX | NET_BIT(MRG_RXBUF) |
			    net_offload_features(card->tap_features);

	if (card->mtu >= MTU_MIN && card->mtu <= MTU_MAX)
		features |= NET_BIT(MTU);
	if (card->pair_count > 1)
		features |= NET_BIT(MQ);
	return features;
}

static void device_set_features(void *opaque, uint64_t features)
{
	struct net_backend *device = opaque;
	struct net_card *card = &device->card;
	/* What needs a control queue has one, in the front end. */
	uint64_t settled = net_settled(features | NET_BIT(CTRL_VQ));

	card->features = card->rx_features = settled;
	if (net_set_offloads(card, net_guest_offloads(settled)) && net_backend_may_log())
		vmm_log("%s: the tap refuses offloads that it had", card->name);
}

/* The front end's user asks for an MTU: it is the tap's or it is refused. */
static int device_set_mtu(void *opaque, uint64_t mtu)
{
	const struct net_backend *device = opaque;

	return mtu <= device->card.mtu && mtu >= MTU_MIN ? 0 : -EINVAL;
}

static unsigned index_of(const struct net_backend_queue *queue)
{
	return (unsigned)(queue - queue->device->queues);
}

static void device_run(struct net_backend_queue *queue)
{
	unsigned index = index_of(queue);

	net_pair_kick(&queue->device->pairs[index / NET_PAIR_QUEUES], index % NET_PAIR_QUEUES);
}

/* What is readable for ever would keep the loop busy: it is not looked at any more. */
static void device_kicked(void *opaque, uint32_t events)
{
	struct net_backend_queue *queue = opaque;
	int err = viommu_event_take(queue->kick.fd);

	if (events & (EPOLLERR | EPOLLHUP) || (err && err != -EAGAIN)) {
		loop_remove(queue->device->card.loop, &queue->kick);
		queue->kick.fd = -1;
	}
	device_run(queue);
}

/*
 * "Polling should be used instead of waiting for the kick" (SET_VRING_KICK): a timer runs while there are such queues.
 */
static void set_poll_timer(const struct net_backend *device)
{
	struct itimerspec when = {.it_value = {0, 0}};

	for (unsigned i = 0; i < NET_PAIR_QUEUES * device->card.pair_count; i++)
		if (device->queues[i].polled)
			when.it_value.tv_nsec = when.it_interval.tv_nsec = POLL_NS;
	timerfd_settime(device->poll.fd, 0, &when, NULL);
}

static void poll_queues(void *opaque, uint32_t events)
{
	struct net_backend *device = opaque;
	uint64_t count;

	(void)events;
	if (read(device->poll.fd, &count, sizeof(count)) != sizeof(count))
		return;
	for (unsigned i = 0; i < NET_PAIR_QUEUES * device->card.pair_count; i++)
		if (device->queues[i].polled)
			device_run(&device->queues[i]);
}

/* Begin to hear of chains, and end it. */
static int listen_to(struct net_backend_queue *queue, int kick_fd)
{
	queue->polled = kick_fd < 0;
	queue->kick = (struct loop_watch){.fd = kick_fd, .ready = device_kicked, .opaque = queue};
	if (!queue->polled)
		return loop_add(queue->device->card.loop, &queue->kick, EPOLLIN);
	set_poll_timer(queue->device);
	return 0;
}

static void listen_no_more(struct net_backend_queue *queue)
{
	if (queue->kick.fd >= 0)
		loop_remove(queue->device->card.loop, &queue->kick);
	queue->kick.fd = -1;
	queue->polled = false;
	set_poll_timer(queue->device);
}

static void device_set_ring(const struct net_card *card, struct vq *vq, const struct viommu_backend_ring *ring)
{
	*vq = (struct vq){
		.size = ring->size,
		.enabled = true,
		.desc = ring->desc.value,
		.avail = ring->avail.value,
		.used = ring->used.value,
		.next_avail = ring->base,
		.adopt = true,
		.indirect = card->features >> VIRTIO_RING_F_INDIRECT_DESC & 1,
		.event_idx = card->features >> VIRTIO_RING_F_EVENT_IDX & 1,
	};
}

/* Frames are drawn with the header of virtio 1 and nothing else. */
static int device_start(void *opaque, unsigned index, const struct viommu_backend_ring *ring)
{
	struct net_backend *device = opaque;
	struct net_backend_queue *queue = &device->queues[index];
	struct net_pair *pair = &device->pairs[index / NET_PAIR_QUEUES];
	int ret;

	if (!(device->card.features & VERSION_1))
		return -EOPNOTSUPP;
	device_set_ring(&device->card, &queue->vq, ring);
	queue->broken = queue->unreachable = false;
	ret = listen_to(queue, ring->kick_fd);
	if (!ret && index % NET_PAIR_QUEUES == NET_RX)
		ret = net_pair_use(pair, true);
	if (ret) {
		queue->vq.enabled = false;
		listen_no_more(queue);
		return ret;
	}
	/* The driver may have filled it before. */
	loop_post(device->card.loop, index % NET_PAIR_QUEUES == NET_RX ? &pair->rx_work : &pair->tx_work);
	return 0;
}

static void device_stop(void *opaque, unsigned index)
{
	struct net_backend *device = opaque;
	struct net_backend_queue *queue = &device->queues[index];
	struct net_pair *pair = &device->pairs[index / NET_PAIR_QUEUES];

	listen_no_more(queue);
	net_pair_stop(pair, index % NET_PAIR_QUEUES);
	if (index % NET_PAIR_QUEUES == NET_RX)
		net_pair_use(pair, false);
	queue->vq.enabled = false;
	viommu_backend_stopped(device->connection, index, queue->vq.next_avail);
}

static void device_retry(void *opaque)
{
	net_pairs_retry(&((struct net_backend *)opaque)->card);
}

static void device_log_line(void *opaque, const char *line)
{
	(void)opaque;
	if (net_backend_may_log())
		vmm_log("%s", line);
}

static const struct viommu_backend_ops backend_ops = {
	.size = sizeof(struct viommu_backend_ops),
	.start = device_start,
	.stop = device_stop,
	.retry = device_retry,
	.features = device_set_features,
	.set_mtu = device_set_mtu,
	.log = device_log_line,
};

static void device_look_again(void *opaque, uint32_t events)
{
	struct net_backend *device = opaque;
	uint64_t count;

	(void)events;
	if (read(device->again.fd, &count, sizeof(count)) == sizeof(count))
		net_pairs_retry(&device->card);
}

/* The driver may never kick again, for it has been told not to: so this is not for good. */
static int ring_unreachable(struct net_backend *device, struct net_backend_queue *queue)
{
	const struct itimerspec second = {.it_value = {1, 0}};

	timerfd_settime(device->again.fd, 0, &second, NULL);
	if (!queue->unreachable) {
		viommu_backend_error(device->connection, index_of(queue));
		if (net_backend_may_log())
			vmm_log("queue %u: the ring cannot be reached", index_of(queue));
	}
	queue->unreachable = true;
	return NET_ASKED;
}

/* The one place where a burst begins. */
static int device_burst_begin(struct net_card *card, unsigned index, struct viommu_section *section)
{
	struct net_backend *device = device_of(card);
	struct net_backend_queue *queue = &device->queues[index];
	int ret;

	if (!device->connection || !queue->vq.enabled || queue->broken)
		return NET_EMPTY;
	if (viommu_backend_begin(device->connection, section))
		return NET_MORE; /* too many sections are open */
	ret = vq_resolve(&queue->vq, section);
	if (!ret) {
		queue->unreachable = false;
		return 0;
	}
	viommu_backend_end(device->connection, section);
	if (ret == -EFAULT || ret == -EACCES)
		return ring_unreachable(device, queue);
	return ret == -EAGAIN ? NET_ASKED : ret;
}

/* And the one where it ends. */
static void device_burst_end(struct net_card *card, unsigned index, struct viommu_section *section)
{
	struct net_backend *device = device_of(card);

	vq_release(&device->queues[index].vq);
	viommu_backend_end(device->connection, section);
}

static void device_interrupt(struct net_card *card, unsigned index)
{
	viommu_backend_interrupt(device_of(card)->connection, index);
}

/* A driver that broke the rules has to begin anew. */
static void device_broken(struct net_card *card, unsigned index, int error)
{
	struct net_backend *device = device_of(card);

	device->queues[index].broken = true;
	if (net_backend_may_log())
		vmm_log("queue %u: the ring is broken: %s", index, strerror(-error));
	viommu_backend_error(device->connection, index);
}

static void device_prefetch(struct net_card *card, struct viommu_section *section, const struct vq_segment *segment,
			    unsigned access)
{
	viommu_backend_prefetch(device_of(card)->connection, section, segment->iova, segment->len, access);
}

static const struct net_card_ops card_ops = {
	.begin = device_burst_begin,
	.end = device_burst_end,
	.interrupt = device_interrupt,
	.broken = device_broken,
	.prefetch = device_prefetch,
};

static int add_timer(struct net_backend *device, struct loop_watch *watch, void (*ready)(void *opaque, uint32_t events))
{
	*watch = (struct loop_watch){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), .ready = ready, .opaque = device};
	int err = watch->fd < 0 ? -errno : loop_add(device->card.loop, watch, EPOLLIN);

	if (err)
		vmm_log("timer: %s", strerror(-err));
	return err;
}

int net_backend_init(struct net_backend *device, struct loop *loop, const char *tap, unsigned pairs)
{
	int ret;

	device->card.ops = &card_ops;
	device->card.name = tap;
	device->card.loop = loop;
	device->card.pair_count = pairs;
	device->card.pairs = device->pairs;
	for (unsigned i = 0; i < NET_PAIR_QUEUES * pairs; i++) {
		device->queues[i].device = device;
		device->queues[i].kick.fd = -1;
		device->pairs[i / NET_PAIR_QUEUES].vqs[i % NET_PAIR_QUEUES] = &device->queues[i].vq;
	}
	ret = viommu_backend_peer_create(&device->peer);
	if (!ret)
		ret = add_timer(device, &device->again, device_look_again);
	if (ret)
		return ret;
	ret = add_timer(device, &device->poll, poll_queues);
	return ret ? ret : net_pairs_init(&device->card, tap);
}

void net_backend_fini(struct net_backend *device)
{
	net_backend_disconnect(device);
	net_pairs_fini(&device->card);
	loop_remove(device->card.loop, &device->again);
	close(device->again.fd);
	loop_remove(device->card.loop, &device->poll);
	close(device->poll.fd);
	viommu_backend_peer_destroy(device->peer);
}

static void device_serve(void *opaque, uint32_t events)
{
	struct net_backend *device = opaque;
	int err = viommu_backend_serve(device->connection);

	(void)events;
	if (!err)
		return;
	net_backend_disconnect(device);
	device->over(device->opaque, err == -EPIPE ? 0 : err);
}

int net_backend_connect(struct net_backend *device, int fd)
{
	const struct viommu_backend_config config = {
		.size = sizeof(struct viommu_backend_config),
		.ops = &backend_ops,
		.opaque = device,
		.features = features_of(&device->card),
		.queues = NET_PAIR_QUEUES * device->card.pair_count,
		.queue_number = device->card.pair_count,
		.queue_size = VQ_MAX_SIZE,
		.shared_table = true,
		.dirty_log = true,
		.peer = device->peer,
	};
	int err = viommu_backend_create(fd, &config, &device->connection);

	if (err)
		return err;
	device->watch = (struct loop_watch){
		.fd = viommu_backend_fd(device->connection), .ready = device_serve, .opaque = device};
	err = loop_add(device->card.loop, &device->watch, EPOLLIN);
	if (err) {
		viommu_backend_destroy(device->connection);
		device->connection = NULL;
	}
	return err;
}

void net_backend_disconnect(struct net_backend *device)
{
	if (!device->connection)
		return;
	loop_remove(device->card.loop, &device->watch);
	viommu_backend_destroy(device->connection);
	device->connection = NULL;
	if (!device->card.tap_gone)
		tap_set_offloads(device->pairs[0].tap_fd, 0);
}
