/* SPDX-License-Identifier: BSD-2-Clause */
/* The common configuration structure (virtio 1.2, section 4.1.4.3): one row for each register. */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "vmm/virtio/internal.h"

/*
 * A register. What it holds is kept in `bytes` bytes (as on the host, which is little-endian as the registers are) of
 * struct virtio_dev, or of the selected queue's struct virtio_queue_regs.
 */
struct field {
	uint8_t offset, size;
	bool of_queue, stored; /* stored: a write replaces those bytes */
	uint8_t bytes;
	uint16_t at;
	uint32_t (*get)(struct virtio_dev *dev);             /* in place of those bytes; or NULL */
	void (*set)(struct virtio_dev *dev, uint32_t value); /* what else a write does; or NULL */
};

/* The selected queue, or NULL beyond the last. */
static struct virtio_queue_regs *selected(struct virtio_dev *dev)
{
	return dev->queue_select < dev->queue_count ? &dev->queues[dev->queue_select].regs : NULL;
}

/* What may be changed in it: nothing once it is enabled, or the device runs and cannot reset single queues. */
static struct virtio_queue_regs *selected_open(struct virtio_dev *dev)
{
	struct virtio_queue_regs *regs = selected(dev);
	bool open = !dev->started || virtio_negotiated(dev, VIRTIO_F_RING_RESET);

	return regs && !regs->enabled && open ? regs : NULL;
}

static uint32_t get_device_feature(struct virtio_dev *dev)
{
	return dev->device_select < 2 ? (uint32_t)(virtio_offered(dev) >> (32 * dev->device_select)) : 0;
}

static uint32_t get_driver_feature(struct virtio_dev *dev)
{
	return dev->driver_select < 2 ? (uint32_t)(dev->driver_features >> (32 * dev->driver_select)) : 0;
}

static void set_driver_feature(struct virtio_dev *dev, uint32_t value)
{
	unsigned shift = 32 * (dev->driver_select & 1);

	if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	if (dev->driver_select < 2)
		dev->driver_features = (dev->driver_features & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value
													   << shift;
	else
		dev->unknown_features |= value != 0;
}

static void set_queue_size(struct virtio_dev *dev, uint32_t value)
{
	struct virtio_queue_regs *regs = selected_open(dev);

	if (regs && value && value <= dev->ops->queue_size && !(value & (value - 1)))
		regs->size = (uint16_t)value;
}

/* A vector that does not exist is answered by NO_VECTOR, section 4.1.5.1.2. */
static uint16_t valid_vector(const struct virtio_dev *dev, uint32_t value)
{
	return value < dev->pci.msix.count ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
}

static void set_config_vector(struct virtio_dev *dev, uint32_t value)
{
	dev->config_vector = valid_vector(dev, value);
}

static uint32_t get_queue_vector(struct virtio_dev *dev)
{
	return selected(dev) ? selected(dev)->vector : VIRTIO_MSI_NO_VECTOR;
}

static void set_queue_vector(struct virtio_dev *dev, uint32_t value)
{
	if (selected(dev))
		selected(dev)->vector = valid_vector(dev, value);
}

/* Alignment is section 2.7's. A queue that breaks it stays off, and the driver can read that. */
static void set_queue_enable(struct virtio_dev *dev, uint32_t value)
{
	const struct virtio_queue_regs *regs = selected_open(dev);

	if (regs && value == 1 && !(regs->desc % 16 || regs->avail % 2 || regs->used % 4))
		virtio_enable_queue(dev, dev->queue_select);
}

/* There is such a register only where the feature was negotiated, section 4.1.4.3. */
static void set_queue_reset(struct virtio_dev *dev, uint32_t value)
{
	struct virtio_queue_regs *regs = selected(dev);

	if (regs && value == 1 && virtio_negotiated(dev, VIRTIO_F_RING_RESET) && regs->enabled && !regs->resetting)
		virtio_reset_queue(dev, dev->queue_select);
}

static uint32_t get_notify_off(struct virtio_dev *dev)
{
	return selected(dev) ? dev->queue_select : 0;
}

#define DEVICE(member) .bytes = sizeof(((struct virtio_dev *)0)->member), .at = offsetof(struct virtio_dev, member)
#define QUEUE(member)                                                                                                  \
	.of_queue = true, .bytes = sizeof(((struct virtio_queue_regs *)0)->member),                                    \
	.at = offsetof(struct virtio_queue_regs, member)
#define ADDRESS_HALF(member, high)                                                                                     \
	.of_queue = true, .stored = true, .bytes = 4, .at = offsetof(struct virtio_queue_regs, member) + 4 * (high)

static const struct field fields[] = {
	{VIRTIO_PCI_COMMON_DFSELECT, 4, DEVICE(device_select), .stored = true},
	{VIRTIO_PCI_COMMON_DF, 4, .get = get_device_feature},
	{VIRTIO_PCI_COMMON_GFSELECT, 4, DEVICE(driver_select), .stored = true},
	{VIRTIO_PCI_COMMON_GF, 4, .get = get_driver_feature, .set = set_driver_feature},
	{VIRTIO_PCI_COMMON_MSIX, 2, DEVICE(config_vector), .set = set_config_vector},
	{VIRTIO_PCI_COMMON_NUMQ, 2, DEVICE(queue_count)},
	{VIRTIO_PCI_COMMON_STATUS, 1, DEVICE(status), .set = virtio_set_status},
	{VIRTIO_PCI_COMMON_CFGGENERATION, 1, DEVICE(generation)},
	{VIRTIO_PCI_COMMON_Q_SELECT, 2, DEVICE(queue_select), .stored = true},
	{VIRTIO_PCI_COMMON_Q_SIZE, 2, QUEUE(size), .set = set_queue_size},
	{VIRTIO_PCI_COMMON_Q_MSIX, 2, .get = get_queue_vector, .set = set_queue_vector},
	{VIRTIO_PCI_COMMON_Q_ENABLE, 2, QUEUE(enabled), .set = set_queue_enable},
	{VIRTIO_PCI_COMMON_Q_NOFF, 2, .get = get_notify_off},
	{VIRTIO_PCI_COMMON_Q_DESCLO, 4, ADDRESS_HALF(desc, 0)},
	{VIRTIO_PCI_COMMON_Q_DESCHI, 4, ADDRESS_HALF(desc, 1)},
	{VIRTIO_PCI_COMMON_Q_AVAILLO, 4, ADDRESS_HALF(avail, 0)},
	{VIRTIO_PCI_COMMON_Q_AVAILHI, 4, ADDRESS_HALF(avail, 1)},
	{VIRTIO_PCI_COMMON_Q_USEDLO, 4, ADDRESS_HALF(used, 0)},
	{VIRTIO_PCI_COMMON_Q_USEDHI, 4, ADDRESS_HALF(used, 1)},
	{VIRTIO_PCI_COMMON_Q_RESET, 2, QUEUE(resetting), .set = set_queue_reset},
};

static const struct field *find_field(uint64_t offset, unsigned size)
{
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (fields[i].offset == offset && fields[i].size == size)
			return &fields[i];
	}
	return NULL;
}

uint64_t virtio_common_read(struct virtio_dev *dev, uint64_t offset, unsigned size)
{
	const struct field *field = find_field(offset, size);
	const void *owner = field && field->of_queue ? (const void *)selected(dev) : dev;
	uint32_t value = 0;

	if (size == 8)
		return virtio_common_read(dev, offset, 4) | virtio_common_read(dev, offset + 4, 4) << 32;
	if (field && field->get)
		return field->get(dev);
	if (field && owner)
		memcpy(&value, (const char *)owner + field->at, field->bytes);
	return value;
}

void virtio_common_write(struct virtio_dev *dev, uint64_t offset, uint64_t value, unsigned size)
{
	const struct field *field = find_field(offset, size);
	const uint32_t low = (uint32_t)value;

	if (size == 8) {
		virtio_common_write(dev, offset, low, 4);
		virtio_common_write(dev, offset + 4, value >> 32, 4);
		return;
	}
	/* While a reset is under way the driver has to wait for status 0 (section 4.1.4.3.2). */
	if (!field || dev->resetting)
		return;
	if (field->stored) {
		void *owner = field->of_queue ? (void *)selected_open(dev) : dev;

		if (owner)
			memcpy((char *)owner + field->at, &low, field->bytes);
	}
	if (field->set)
		field->set(dev, low);
}
