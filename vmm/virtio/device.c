/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtio device is made and unmade: identity, registers, structures in the BAR, and the eventfds of its queues. */
#include "vmm/virtio/virtio.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/virtio/internal.h"

#define RING_FEATURES (1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX)

enum { VENDOR_VIRTIO = 0x1af4, DEVICE_BASE = 0x1040, SUBSYSTEM = 0x1100 };

static int device_init_queue(struct virtio_dev *dev, struct virtio_queue *queue)
{
	int ret;

	queue->dev = dev;
	queue->call_fd = -1;
	queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->kick_fd < 0)
		return -errno;
	queue->watch = (struct loop_watch){.fd = queue->kick_fd, .ready = virtio_kick_cb, .opaque = queue};
	ret = loop_add(dev->loop, &queue->watch, EPOLLIN);
	if (ret)
		close(queue->kick_fd);
	return ret;
}

static void device_fini_queues(struct virtio_dev *dev, unsigned count)
{
	while (count-- > 0) {
		virtio_queue_take_back(dev, count);
		loop_remove(dev->loop, &dev->queues[count].watch);
		close(dev->queues[count].kick_fd);
	}
}

static int device_init_queues(struct virtio_dev *dev)
{
	for (unsigned i = 0; i < dev->queue_count; i++) {
		int ret = device_init_queue(dev, &dev->queues[i]);

		if (ret) {
			device_fini_queues(dev, i);
			return ret;
		}
	}
	return 0;
}

int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops, uint16_t queues, const struct virtio_env *env)
{
	struct pci_ids ids = {
		.vendor = VENDOR_VIRTIO,
		.device = DEVICE_BASE + ops->device_id,
		.subsystem_vendor = VENDOR_VIRTIO,
		.subsystem = SUBSYSTEM,
		.revision = 1, /* section 4.1.2.1: a modern device */
		.class_code = ops->class_code,
	};
	int ret;

	dev->ops = ops;
	dev->queue_count = queues;
	dev->ring_features = RING_FEATURES;
	dev->indirect = env->indirect;
	dev->kvm = env->kvm;
	dev->loop = env->loop;
	dev->start_work = (struct loop_work){.run = virtio_start_cb, .opaque = dev};
	dev->reset_work = (struct loop_work){.run = virtio_reset_cb, .opaque = dev};
	dev->queue_work = (struct loop_work){.run = virtio_queue_cb, .opaque = dev};
	virtio_polling_init(dev, env->poll);
	mutex_init(&dev->entered);
	virtio_clear_registers(dev);
	ret = pci_dev_init(&dev->pci, &virtio_pci_ops, &ids);
	if (ret)
		return ret;
	ret = virtio_pci_setup(dev);
	if (!ret)
		ret = device_init_queues(dev);
	if (ret)
		pci_dev_fini(&dev->pci);
	return ret;
}

void virtio_fini(struct virtio_dev *dev)
{
	polling_fini(&dev->polling);
	loop_cancel(dev->loop, &dev->start_work);
	loop_cancel(dev->loop, &dev->reset_work);
	loop_cancel(dev->loop, &dev->queue_work);
	device_fini_queues(dev, dev->queue_count);
	pci_dev_fini(&dev->pci);
	mutex_fini(&dev->entered);
}
