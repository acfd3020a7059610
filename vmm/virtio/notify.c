/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What driver and device tell each other (virtio 1.2, sections 2.3 and 4.1.5): kicks one way, interrupts the other, and
 * that the device needs a reset.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include <viommu/event.h>

#include "vmm/util/log.h"
#include "vmm/virtio/internal.h"

enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

void virtio_queue_signal(struct virtio_dev *dev, unsigned queue)
{
	viommu_event_signal(dev->queues[queue].kick_fd);
}

void virtio_kick_all(struct virtio_dev *dev)
{
	for (unsigned i = 0; i < dev->queue_count; i++)
		virtio_queue_signal(dev, i);
}

void virtio_kick_cb(void *opaque, uint32_t events)
{
	struct virtio_queue *queue = opaque;
	struct virtio_dev *dev = queue->dev;

	(void)events;
	if (viommu_event_take(queue->kick_fd))
		return;
	dev->notifications++;
	polling_busy(&dev->polling);
	virtio_enter(dev);
	virtio_kick(dev, (unsigned)(queue - dev->queues));
	virtio_leave(dev);
}

int virtio_dma_begin(struct virtio_dev *dev, struct viommu_section *section)
{
	int ret = viommu_dma_begin(dev->pci.endpoint, section);

	/* Too many sections are open now; come back when the others had their turn. */
	if (ret == -EAGAIN)
		virtio_kick_all(dev);
	return ret;
}

/* Without MSI-X there are the status byte, and the pin while it is not zero (section 4.1.4.5). */
static void notify_interrupt_locked(struct virtio_dev *dev, uint16_t vector, uint8_t isr)
{
	if (!pci_msix_enabled(&dev->pci)) {
		dev->isr |= isr;
		pci_intx_set_locked(&dev->pci, true);
	} else if (vector != VIRTIO_MSI_NO_VECTOR) {
		pci_msix_raise_locked(&dev->pci, vector);
	}
}

void virtio_interrupt_queue(struct virtio_dev *dev, unsigned queue)
{
	mutex_take(&dev->pci.lock);
	notify_interrupt_locked(dev, dev->queues[queue].regs.vector, ISR_QUEUE);
	mutex_drop(&dev->pci.lock);
}

void virtio_config_changed(struct virtio_dev *dev)
{
	mutex_take(&dev->pci.lock);
	dev->generation++;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		notify_interrupt_locked(dev, dev->config_vector, ISR_CONFIG);
	mutex_drop(&dev->pci.lock);
}

void virtio_fail(struct virtio_dev *dev, const char *why)
{
	static struct log_limit limit; /* of all devices, and of all guests one after the other */

	if (!dev->running)
		return;
	dev->running = false;
	virtio_polling_drop(dev);
	if (vmm_log_may(&limit))
		vmm_log("%s: %s; the device needs a reset", dev->pci.name, why);
	mutex_take(&dev->pci.lock);
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	notify_interrupt_locked(dev, dev->config_vector, ISR_CONFIG);
	mutex_drop(&dev->pci.lock);
	if (dev->ops->failed)
		dev->ops->failed(dev);
}
