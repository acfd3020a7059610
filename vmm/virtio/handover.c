/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues that the kernel or another process serves: their notifications go past this process, and so do interrupts
 * where KVM can send them.
 */
#include <errno.h>
#include <linux/virtio_pci.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viommu/event.h>

#include "vmm/virtio/internal.h"

void virtio_queue_hand_over(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_queue *q = &dev->queues[queue];

	if (q->handed_over)
		return;
	loop_remove(dev->loop, &q->watch);
	q->handed_over = true;
}

void virtio_queue_take_back(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_queue *q = &dev->queues[queue];

	if (q->call_fd >= 0) {
		loop_remove(dev->loop, &q->call_watch);
		close(q->call_fd);
		q->call_fd = -1;
	}
	if (!q->handed_over)
		return;
	/* It was watched before, so this fails only where the kernel has no memory: then its notifications are lost. */
	loop_add(dev->loop, &q->watch, EPOLLIN);
	q->handed_over = false;
}

/* A queue without a vector of its own: by INTx, or only by the ISR register. */
static void handover_call_cb(void *opaque, uint32_t events)
{
	struct virtio_queue *queue = opaque;

	(void)events;
	if (!viommu_event_take(queue->call_fd))
		virtio_interrupt_queue(queue->dev, (unsigned)(queue - queue->dev->queues));
}

static int handover_open_call(struct virtio_queue *queue)
{
	if (queue->call_fd >= 0)
		return queue->call_fd;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	queue->call_watch = (struct loop_watch){.fd = fd, .ready = handover_call_cb, .opaque = queue};
	int err = loop_add(queue->dev->loop, &queue->call_watch, EPOLLIN);

	if (err) {
		close(fd);
		return err;
	}
	queue->call_fd = fd;
	return fd;
}

int virtio_queue_call_fd(struct virtio_dev *dev, unsigned queue)
{
	mutex_take(&dev->pci.lock);
	unsigned vector = pci_msix_enabled(&dev->pci) ? dev->queues[queue].regs.vector : VIRTIO_MSI_NO_VECTOR;

	mutex_drop(&dev->pci.lock);
	if (vector == VIRTIO_MSI_NO_VECTOR)
		return handover_open_call(&dev->queues[queue]);
	return pci_msix_fd(&dev->pci, vector, dev->loop);
}

bool virtio_queue_miss_is_fault(struct virtio_dev *dev, unsigned queue, struct viommu_iova iova, unsigned access)
{
	const struct vq *vq = &dev->queues[queue].vq;
	struct viommu_section section;
	int ret = vq->enabled ? virtio_dma_begin(dev, &section) : -ECANCELED;

	if (ret) /* too many sections: it has to be taken for true */
		return ret == -EAGAIN;
	section.quiet = true;
	const bool wanted = vq_miss_is_fault(vq, &section, iova, access);

	viommu_dma_end(&section);
	return wanted;
}
