/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device status (virtio 1.2, sections 2.1 and 3.1): vCPUs write the register, the I/O thread starts and stops the
 * queues. Between both only `started` and `resetting` speak, under pci.lock.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "vmm/virtio/internal.h"

void virtio_clear_registers(struct virtio_dev *dev)
{
	dev->driver_features = 0;
	dev->unknown_features = false;
	dev->device_select = dev->driver_select = 0;
	dev->status = dev->isr = 0;
	pci_intx_set_locked(&dev->pci, false);
	dev->queue_select = 0;
	dev->config_vector = VIRTIO_MSI_NO_VECTOR;
	dev->started = dev->resetting = false;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		virtio_clear_queue(dev, i);
}

static void status_reset(struct virtio_dev *dev)
{
	if (!dev->started) {
		virtio_clear_registers(dev);
		return;
	}
	dev->resetting = true;
	loop_post(dev->loop, &dev->reset_work);
}

/* A driver does not clear single bits (section 2.1.1), so they only add up. */
void virtio_set_status(struct virtio_dev *dev, uint32_t value)
{
	const uint8_t written = (uint8_t)value;
	uint8_t added = written & ~dev->status;

	if (!written) {
		status_reset(dev);
		return;
	}
	added &= VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
		 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED;
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !virtio_features_acceptable(dev))
		added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((dev->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	dev->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK) {
		dev->started = true;
		loop_post(dev->loop, &dev->start_work);
	}
}

static void start(struct virtio_dev *dev)
{
	mutex_take(&dev->pci.lock);
	dev->running = dev->started && !dev->resetting;
	for (unsigned i = 0; dev->running && i < dev->queue_count; i++)
		virtio_take_queue(dev, i);
	mutex_drop(&dev->pci.lock);
	if (!dev->running)
		return;
	if (dev->ops->start)
		dev->ops->start(dev);
	/* The driver may have filled queues before DRIVER_OK. */
	for (unsigned i = 0; i < dev->queue_count; i++)
		virtio_kick(dev, i);
	polling_ready(&dev->polling);
}

void virtio_start_cb(void *opaque)
{
	virtio_enter(opaque);
	start(opaque);
	virtio_leave(opaque);
}

void virtio_reset_cb(void *opaque)
{
	struct virtio_dev *dev = opaque;

	loop_cancel(dev->loop, &dev->start_work);
	loop_cancel(dev->loop, &dev->queue_work);
	virtio_enter(dev);
	dev->running = false;
	virtio_polling_drop(dev);
	dev->ops->reset(dev);
	virtio_leave(dev);
}

void virtio_reset_done(struct virtio_dev *dev)
{
	mutex_take(&dev->pci.lock);
	virtio_clear_registers(dev);
	mutex_drop(&dev->pci.lock);
}
