/* SPDX-License-Identifier: BSD-2-Clause */
/* What the transport's files share. With dev->pci.lock held unless it says otherwise. */
#ifndef VMM_VIRTIO_INTERNAL_H
#define VMM_VIRTIO_INTERNAL_H

#include "vmm/virtio/virtio.h"

/* The one BAR: a page for each structure, so that nothing shares one with the interrupt table. */
enum {
	VIRTIO_BAR = 0,
	VIRTIO_BAR_SIZE = 0x4000,
	VIRTIO_COMMON = 0x0000,
	VIRTIO_COMMON_SIZE = 0x0800,
	VIRTIO_ISR = 0x0800,
	VIRTIO_ISR_SIZE = 0x0800,
	VIRTIO_DEVICE = 0x1000,
	VIRTIO_DEVICE_SIZE = 0x1000,
	VIRTIO_NOTIFY = 0x2000,
	VIRTIO_NOTIFY_SIZE = 0x1000,
	VIRTIO_NOTIFY_MULTIPLIER = 4,
	VIRTIO_MSIX_TABLE = 0x3000,
	VIRTIO_MSIX_PBA = 0x3800,
};

/* One field of the common configuration. What is not a field, whole and aligned, reads 0 and swallows writes. */
uint64_t virtio_common_read(struct virtio_dev *dev, uint64_t offset, unsigned size);
void virtio_common_write(struct virtio_dev *dev, uint64_t offset, uint64_t value, unsigned size);

/* The driver writes the device status. */
void virtio_set_status(struct virtio_dev *dev, uint32_t value);

/* Every feature bit that the device has. */
uint64_t virtio_offered(struct virtio_dev *dev);

/* True if the device can work with what the driver has accepted. */
bool virtio_features_acceptable(struct virtio_dev *dev);

/* True if the driver has accepted this feature, and the device its choice. */
bool virtio_negotiated(const struct virtio_dev *dev, unsigned feature);

/* The driver enables a queue, or resets an enabled one. */
void virtio_enable_queue(struct virtio_dev *dev, unsigned queue);
void virtio_reset_queue(struct virtio_dev *dev, unsigned queue);

/* All registers, or those of one queue, as after a reset. */
void virtio_clear_registers(struct virtio_dev *dev);
void virtio_clear_queue(struct virtio_dev *dev, unsigned queue);

/* Work of the I/O thread, lock not held: begin to use the queues, stop, and do what the driver asks of single ones. */
void virtio_start_cb(void *opaque);
void virtio_reset_cb(void *opaque);
void virtio_queue_cb(void *opaque);

/* The I/O thread begins to use a queue that is enabled. Lock held. */
void virtio_take_queue(struct virtio_dev *dev, unsigned queue);

/* The driver notified a queue, or may have. I/O thread, lock not held. */
static inline void virtio_kick(struct virtio_dev *dev, unsigned queue)
{
	if (dev->running && dev->queues[queue].vq.enabled)
		dev->ops->kick(dev, queue);
}

/* Where queues can be polled: the device is made, or does not use them any more. I/O thread. */
void virtio_polling_init(struct virtio_dev *dev, enum polling_mode mode);
void virtio_polling_drop(struct virtio_dev *dev);

/* A queue's kick_fd is readable. I/O thread, lock not held. */
void virtio_kick_cb(void *opaque, uint32_t events);

/* As virtio_queue_signal(), for all queues. Any thread, lock held or not. */
void virtio_kick_all(struct virtio_dev *dev);

extern const struct pci_ops virtio_pci_ops;

/* Before pci_bus_add(): BAR, MSI-X and the vendor capabilities, section 4.1.4. -ENOMEM. */
int virtio_pci_setup(struct virtio_dev *dev);

#endif
