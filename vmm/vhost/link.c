/* SPDX-License-Identifier: BSD-2-Clause */
/* Queue pairs in the kernel's hands, each with its /dev/vhost-net, its queue of the tap, and its device IOTLB. */
#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/util/log.h"
#include "vmm/vhost/vhost.h"

/*
 * So long the kernel looks for frames, in place of being told of them, when it has found none. It holds the queue
 * meanwhile, which an invalidation waits for.
 */
enum { BUSYLOOP_US = 50 };

/*
 * The kernel asks for translations. Those that the next chains need are missing as well, so they are pushed: in the
 * receive queue after a miss for writing, in the transmit queue after one for reading.
 */
static void miss_ready(void *opaque, uint32_t events)
{
	struct vhost_link *link = opaque;
	unsigned access = 0;
	bool refused;
	int err = viommu_vhost_serve(link->iotlb, &access, &refused);

	(void)events;
	if (err)
		virtio_fail(&link->net->dev, "the kernel's device IOTLB is broken");
	else if (refused)
		virtio_fail(&link->net->dev, "the kernel was refused a DMA");
	if (access & VIOMMU_WRITE && vhost_has_queue(link, VHOST_RX))
		vhost_chains_prefetch(link, VHOST_RX);
	if (access & VIOMMU_READ && vhost_has_queue(link, VHOST_TX))
		vhost_chains_prefetch(link, VHOST_TX);
}

/*
 * A ring has stopped. If the guest allows by now what was refused, the kernel is told to go on; else the device fails.
 */
static void ring_broken(void *opaque, uint32_t events)
{
	struct vhost_link *link = ((struct vhost_link *const *)opaque)[0];
	uint64_t count;

	(void)events;
	for (unsigned i = 0; i < VHOST_LINK_QUEUES; i++) {
		if (read(link->error[i].fd, &count, sizeof(count)) != sizeof(count) || !vhost_has_queue(link, i))
			continue;
		viommu_vhost_restart(link->iotlb);
		if (vhost_chains_replay(link, i)) {
			virtio_fail(&link->net->dev, i == VHOST_RX ? "the kernel cannot go on in a receive queue"
								   : "the kernel cannot go on in a transmit queue");
			return;
		}
		virtio_queue_signal(&link->net->dev, vhost_queue(link, i));
	}
}

static bool link_miss_is_fault(void *opaque, struct viommu_iova iova, unsigned access)
{
	const struct vhost_link *link = opaque;

	for (unsigned i = 0; i < VHOST_LINK_QUEUES; i++)
		if (vhost_has_queue(link, i) &&
		    virtio_queue_miss_is_fault(&link->net->dev, vhost_queue(link, i), iova, access))
			return true;
	return false;
}

static int open_error(struct vhost_link *link, unsigned direction)
{
	struct loop_watch *watch = &link->error[direction].watch;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	link->error[direction].link = link;
	*watch = (struct loop_watch){.fd = fd, .ready = ring_broken, .opaque = &link->error[direction].link};
	int err = loop_add(link->net->dev.loop, watch, EPOLLIN);

	if (err)
		close(fd);
	else
		link->error[direction].fd = fd;
	return err;
}

static int open_iotlb(struct vhost_link *link, bool push_maps)
{
	const struct viommu_vhost_config config = {.size = sizeof(struct viommu_vhost_config),
						   .fd = link->fd,
						   .wants = link_miss_is_fault,
						   .opaque = link,
						   .push_maps = push_maps};
	/* The kernel's table of all memory stays empty: the worker knows only what the device IOTLB tells it. */
	const struct vhost_memory none = {0};

	if (ioctl(link->fd, VHOST_SET_OWNER) || ioctl(link->fd, VHOST_SET_MEM_TABLE, &none))
		return -errno;
	int err = viommu_vhost_create(link->net->dev.pci.endpoint, &config, &link->iotlb);

	if (err)
		return err;
	link->miss_watch = (struct loop_watch){.fd = link->fd, .ready = miss_ready, .opaque = link};
	err = loop_add(link->net->dev.loop, &link->miss_watch, EPOLLIN);
	if (err) {
		viommu_vhost_destroy(link->iotlb);
		link->iotlb = NULL;
	}
	return err;
}

int vhost_link_open(struct vhost_link *link, bool push_maps)
{
	int err = open_iotlb(link, push_maps);

	for (unsigned i = 0; i < VHOST_LINK_QUEUES && !err; i++)
		err = open_error(link, i);
	if (err)
		vmm_log("%s: vhost-net: %s", link->net->dev.pci.name, strerror(-err));
	return err;
}

void vhost_link_close(struct vhost_link *link)
{
	struct loop *loop = link->net->dev.loop;

	vhost_link_stop(link);
	if (link->iotlb)
		loop_remove(loop, &link->miss_watch);
	viommu_vhost_destroy(link->iotlb);
	for (unsigned i = 0; i < VHOST_LINK_QUEUES; i++) {
		if (link->error[i].fd < 0)
			continue;
		loop_remove(loop, &link->error[i].watch);
		close(link->error[i].fd);
	}
	if (link->fd >= 0)
		close(link->fd);
}

static int set_file(const struct vhost_link *link, unsigned long request, unsigned direction, int fd)
{
	struct vhost_vring_file file = {.index = direction, .fd = fd};

	return ioctl(link->fd, request, &file) ? -errno : 0;
}

static int set_state(const struct vhost_link *link, unsigned long request, unsigned direction, unsigned value)
{
	struct vhost_vring_state state = {.index = direction, .num = value};

	return ioctl(link->fd, request, &state) ? -errno : 0;
}

/* Addresses are IOVAs; the kernel does not check them. */
static int set_addresses(const struct vhost_link *link, unsigned direction, const struct vq *vq)
{
	struct vhost_vring_addr addr = {.index = direction,
					.desc_user_addr = vq->desc,
					.used_user_addr = vq->used,
					.avail_user_addr = vq->avail};

	return ioctl(link->fd, VHOST_SET_VRING_ADDR, &addr) ? -errno : 0;
}

/*
 * The whole of the ring: starting it writes the used part, which the kernel does not ask for then. Sizes: section 2.7.
 */
static int push_ring(const struct vhost_link *link, const struct vq *vq)
{
	int err =
		viommu_vhost_push(link->iotlb, (struct viommu_iova){vq->used}, 6 + 8ull * vq->size, VIOMMU_WRITE, true);

	if (!err)
		err = viommu_vhost_push(link->iotlb, (struct viommu_iova){vq->avail}, 6 + 2ull * vq->size, VIOMMU_READ,
					true);
	if (!err)
		err = viommu_vhost_push(link->iotlb, (struct viommu_iova){vq->desc}, 16ull * vq->size, VIOMMU_READ,
					true);
	return err;
}

/* Linux before 4.6 cannot, and does without. */
static void link_set_polling(const struct vhost_link *link, unsigned direction)
{
	static bool told;
	const enum polling_mode mode = link->net->poll;
	const bool polled = mode == POLLING_ALWAYS || (mode == POLLING_AUTO && loop_has_spare(link->net->dev.loop));

	if (!set_state(link, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, direction, polled ? BUSYLOOP_US : 0) || !polled || told)
		return;
	told = true;
	vmm_log("%s: this kernel's vhost-net does not poll", link->net->dev.pci.name);
}

static int link_set_ring(struct vhost_link *link, unsigned direction)
{
	struct virtio_dev *dev = &link->net->dev;
	unsigned queue = vhost_queue(link, direction);
	const struct vq *vq = &dev->queues[queue].vq;
	int call, err = set_state(link, VHOST_SET_VRING_NUM, direction, vq->size);

	if (!err)
		err = set_state(link, VHOST_SET_VRING_BASE, direction, vq->next_avail);
	if (!err)
		err = set_addresses(link, direction, vq);
	if (err)
		return err;
	link_set_polling(link, direction);
	call = virtio_queue_call_fd(dev, queue);
	err = call < 0 ? call : set_file(link, VHOST_SET_VRING_CALL, direction, call);
	if (!err)
		err = set_file(link, VHOST_SET_VRING_KICK, direction, dev->queues[queue].kick_fd);
	if (!err)
		err = set_file(link, VHOST_SET_VRING_ERR, direction, link->error[direction].fd);
	return err ? err : push_ring(link, vq);
}

/*
 * Whatever the driver has accepted, the kernel has a device IOTLB and no other way to memory. A device that no IOMMU is
 * in front of gets translations of addresses to themselves.
 */
static int link_set_features(struct vhost_link *link)
{
	uint64_t features = (link->net->features & link->net->kernel_features) | 1ull << VIRTIO_F_ACCESS_PLATFORM;

	if (ioctl(link->fd, VHOST_SET_FEATURES, &features))
		return -errno;
	/* They came with a new device IOTLB. */
	viommu_vhost_restart(link->iotlb);
	return 0;
}

int vhost_link_start(struct vhost_link *link)
{
	struct virtio_dev *dev = &link->net->dev;
	int err = link_set_features(link);

	link->started = !err;
	for (unsigned i = 0; i < VHOST_LINK_QUEUES && !err; i++) {
		if (!dev->queues[vhost_queue(link, i)].vq.enabled)
			continue;
		virtio_queue_hand_over(dev, vhost_queue(link, i));
		err = link_set_ring(link, i);
	}
	for (unsigned i = 0; i < VHOST_LINK_QUEUES && !err; i++)
		if (vhost_has_queue(link, i))
			err = set_file(link, VHOST_NET_SET_BACKEND, i, link->tap_fd);
	if (err)
		vhost_link_stop(link);
	return err;
}

/* Unsetting the back end waits for the round that the worker is in. */
void vhost_link_stop(struct vhost_link *link)
{
	for (unsigned i = 0; i < VHOST_LINK_QUEUES; i++) {
		struct vhost_vring_state base = {.index = i};

		vhost_chains_stop(link, i);
		if (!vhost_has_queue(link, i))
			continue;
		set_file(link, VHOST_NET_SET_BACKEND, i, VHOST_FILE_UNBIND);
		set_file(link, VHOST_SET_VRING_KICK, i, VHOST_FILE_UNBIND);
		set_file(link, VHOST_SET_VRING_CALL, i, VHOST_FILE_UNBIND);
		/* A pair that the driver leaves alone for a while goes on where the kernel is. */
		if (!ioctl(link->fd, VHOST_GET_VRING_BASE, &base))
			link->net->dev.queues[vhost_queue(link, i)].vq.next_avail = (uint16_t)base.num;
		virtio_queue_take_back(&link->net->dev, vhost_queue(link, i));
	}
	link->started = false;
}

int vhost_link_use(struct vhost_link *link, bool use)
{
	int err = 0;

	if (use == link->started)
		return 0;
	if (!use)
		vhost_link_stop(link);
	/* The first queue of the tap is always attached. */
	if (link->index)
		err = tap_attach(link->tap_fd, use);
	return err || !use ? err : vhost_link_start(link);
}

int vhost_links_use(struct vhost_net *net, unsigned count)
{
	int err = 0;

	for (unsigned i = 0; i < net->link_count && !err; i++)
		err = vhost_link_use(&net->links[i], i < count);
	return err;
}
