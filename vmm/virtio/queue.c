/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of one queue (virtio 1.2, sections 2.6.1 and 4.1.4.3): the driver enables and resets it, the I/O thread
 * begins and ends to use it. Before DRIVER_OK only the registers are concerned.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "vmm/virtio/internal.h"

void virtio_clear_queue(struct virtio_dev *dev, unsigned queue)
{
	dev->queues[queue].regs = (struct virtio_queue_regs){
		.size = dev->ops->queue_size,
		.vector = VIRTIO_MSI_NO_VECTOR,
	};
}

static void queue_ask(struct virtio_dev *dev, unsigned queue, enum virtio_queue_wish wish)
{
	dev->queues[queue].regs.wish = wish;
	loop_post(dev->loop, &dev->queue_work);
}

void virtio_enable_queue(struct virtio_dev *dev, unsigned queue)
{
	dev->queues[queue].regs.enabled = true;
	if (dev->started)
		queue_ask(dev, queue, QUEUE_ENABLE);
}

void virtio_reset_queue(struct virtio_dev *dev, unsigned queue)
{
	if (!dev->started) {
		virtio_clear_queue(dev, queue);
		return;
	}
	dev->queues[queue].regs.resetting = true;
	queue_ask(dev, queue, QUEUE_RESET);
}

/* The registers do not change any more before the next reset; from here on the I/O thread has its own copy. */
void virtio_take_queue(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_queue_regs *regs = &dev->queues[queue].regs;

	dev->queues[queue].vq = (struct vq){
		.size = regs->size,
		.enabled = regs->enabled && !regs->resetting,
		.desc = regs->desc,
		.avail = regs->avail,
		.used = regs->used,
		.indirect = virtio_negotiated(dev, VIRTIO_RING_F_INDIRECT_DESC),
		.event_idx = virtio_negotiated(dev, VIRTIO_RING_F_EVENT_IDX),
	};
	/* Taking it twice would begin its rings anew. */
	if (regs->wish == QUEUE_ENABLE)
		regs->wish = QUEUE_NOTHING;
}

static enum virtio_queue_wish queue_take_wish(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_queue_regs *regs = &dev->queues[queue].regs;
	enum virtio_queue_wish wish;

	mutex_take(&dev->pci.lock);
	wish = regs->wish;
	regs->wish = QUEUE_NOTHING;
	if (wish == QUEUE_ENABLE && dev->running)
		virtio_take_queue(dev, queue);
	mutex_drop(&dev->pci.lock);
	return wish;
}

void virtio_queue_cb(void *opaque)
{
	struct virtio_dev *dev = opaque;

	virtio_enter(dev);
	for (unsigned i = 0; i < dev->queue_count; i++) {
		enum virtio_queue_wish wish = queue_take_wish(dev, i);

		if (wish == QUEUE_RESET) {
			dev->queues[i].vq.enabled = false;
			dev->ops->queue_reset(dev, i);
		} else if (wish == QUEUE_ENABLE) {
			virtio_kick(dev, i);
		}
	}
	virtio_leave(dev);
}

void virtio_queue_reset_done(struct virtio_dev *dev, unsigned queue)
{
	mutex_take(&dev->pci.lock);
	if (dev->queues[queue].regs.resetting)
		virtio_clear_queue(dev, queue);
	mutex_drop(&dev->pci.lock);
}
