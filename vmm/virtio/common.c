/* SPDX-License-Identifier: BSD-2-Clause */
/* The common configuration structure (virtio 1.2, section 4.1.4.3): one row for each register. */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "vmm/virtio/internal.h"

struct field {
	uint8_t offset, size;
	uint32_t (*get)(struct virtio_dev *dev);
	void (*set)(struct virtio_dev *dev, uint32_t value); /* NULL: read only */
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

static uint32_t get_device_select(struct virtio_dev *dev)
{
	return dev->device_select;
}

static void set_device_select(struct virtio_dev *dev, uint32_t value)
{
	dev->device_select = value;
}

static uint32_t get_device_feature(struct virtio_dev *dev)
{
	return dev->device_select < 2 ? (uint32_t)(virtio_offered(dev) >> (32 * dev->device_select)) : 0;
}

static uint32_t get_driver_select(struct virtio_dev *dev)
{
	return dev->driver_select;
}

static void set_driver_select(struct virtio_dev *dev, uint32_t value)
{
	dev->driver_select = value;
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

/* A vector that does not exist is answered by NO_VECTOR, section 4.1.5.1.2. */
static uint16_t valid_vector(const struct virtio_dev *dev, uint32_t value)
{
	return value < dev->pci.msix.count ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
}

static uint32_t get_config_vector(struct virtio_dev *dev)
{
	return dev->config_vector;
}

static void set_config_vector(struct virtio_dev *dev, uint32_t value)
{
	dev->config_vector = valid_vector(dev, value);
}

static uint32_t get_queues(struct virtio_dev *dev)
{
	return dev->queue_count;
}

static uint32_t get_status(struct virtio_dev *dev)
{
	return dev->status;
}

static void set_status(struct virtio_dev *dev, uint32_t value)
{
	virtio_set_status(dev, (uint8_t)value);
}

static uint32_t get_generation(struct virtio_dev *dev)
{
	return dev->generation;
}

static uint32_t get_queue_select(struct virtio_dev *dev)
{
	return dev->queue_select;
}

static void set_queue_select(struct virtio_dev *dev, uint32_t value)
{
	dev->queue_select = (uint16_t)value;
}

static uint32_t get_queue_size(struct virtio_dev *dev)
{
	return selected(dev) ? selected(dev)->size : 0;
}

static void set_queue_size(struct virtio_dev *dev, uint32_t value)
{
	struct virtio_queue_regs *regs = selected_open(dev);

	if (regs && value && value <= dev->ops->queue_size && !(value & (value - 1)))
		regs->size = (uint16_t)value;
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

static uint32_t get_queue_enable(struct virtio_dev *dev)
{
	return selected(dev) ? selected(dev)->enabled : 0;
}

/* Alignment is section 2.7's. A queue that breaks it stays off, and the driver can read that. */
static bool aligned(const struct virtio_queue_regs *regs)
{
	return !(regs->desc % 16 || regs->avail % 2 || regs->used % 4);
}

static void set_queue_enable(struct virtio_dev *dev, uint32_t value)
{
	struct virtio_queue_regs *regs = selected_open(dev);

	if (regs && value == 1 && aligned(regs))
		virtio_enable_queue(dev, dev->queue_select);
}

/* There is such a register only where the feature was negotiated, section 4.1.4.3. */
static uint32_t get_queue_reset(struct virtio_dev *dev)
{
	return selected(dev) ? selected(dev)->resetting : 0;
}

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

static uint32_t low(uint64_t value)
{
	return (uint32_t)value;
}

static uint32_t high(uint64_t value)
{
	return (uint32_t)(value >> 32);
}

static void set_low(uint64_t *to, uint32_t value)
{
	*to = (*to & ~(uint64_t)UINT32_MAX) | value;
}

static void set_high(uint64_t *to, uint32_t value)
{
	*to = (*to & UINT32_MAX) | (uint64_t)value << 32;
}

/* Half of an address of the selected queue. */
#define ADDRESS_HALF(name, half)                                                                                       \
	static uint32_t get_##name##_##half(struct virtio_dev *dev)                                                    \
	{                                                                                                              \
		return selected(dev) ? half(selected(dev)->name) : 0;                                                  \
	}                                                                                                              \
	static void set_##name##_##half(struct virtio_dev *dev, uint32_t value)                                        \
	{                                                                                                              \
		if (selected_open(dev))                                                                                \
			set_##half(&selected_open(dev)->name, value);                                                  \
	}

ADDRESS_HALF(desc, low)
ADDRESS_HALF(desc, high)
ADDRESS_HALF(avail, low)
ADDRESS_HALF(avail, high)
ADDRESS_HALF(used, low)
ADDRESS_HALF(used, high)

static const struct field fields[] = {
	{VIRTIO_PCI_COMMON_DFSELECT, 4, get_device_select, set_device_select},
	{VIRTIO_PCI_COMMON_DF, 4, get_device_feature, NULL},
	{VIRTIO_PCI_COMMON_GFSELECT, 4, get_driver_select, set_driver_select},
	{VIRTIO_PCI_COMMON_GF, 4, get_driver_feature, set_driver_feature},
	{VIRTIO_PCI_COMMON_MSIX, 2, get_config_vector, set_config_vector},
	{VIRTIO_PCI_COMMON_NUMQ, 2, get_queues, NULL},
	{VIRTIO_PCI_COMMON_STATUS, 1, get_status, set_status},
	{VIRTIO_PCI_COMMON_CFGGENERATION, 1, get_generation, NULL},
	{VIRTIO_PCI_COMMON_Q_SELECT, 2, get_queue_select, set_queue_select},
	{VIRTIO_PCI_COMMON_Q_SIZE, 2, get_queue_size, set_queue_size},
	{VIRTIO_PCI_COMMON_Q_MSIX, 2, get_queue_vector, set_queue_vector},
	{VIRTIO_PCI_COMMON_Q_ENABLE, 2, get_queue_enable, set_queue_enable},
	{VIRTIO_PCI_COMMON_Q_NOFF, 2, get_notify_off, NULL},
	{VIRTIO_PCI_COMMON_Q_DESCLO, 4, get_desc_low, set_desc_low},
	{VIRTIO_PCI_COMMON_Q_DESCHI, 4, get_desc_high, set_desc_high},
	{VIRTIO_PCI_COMMON_Q_AVAILLO, 4, get_avail_low, set_avail_low},
	{VIRTIO_PCI_COMMON_Q_AVAILHI, 4, get_avail_high, set_avail_high},
	{VIRTIO_PCI_COMMON_Q_USEDLO, 4, get_used_low, set_used_low},
	{VIRTIO_PCI_COMMON_Q_USEDHI, 4, get_used_high, set_used_high},
	{VIRTIO_PCI_COMMON_Q_RESET, 2, get_queue_reset, set_queue_reset},
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

	if (size == 8)
		return virtio_common_read(dev, offset, 4) | virtio_common_read(dev, offset + 4, 4) << 32;
	return field ? field->get(dev) : 0;
}

void virtio_common_write(struct virtio_dev *dev, uint64_t offset, uint64_t value, unsigned size)
{
	const struct field *field = find_field(offset, size);

	if (size == 8) {
		virtio_common_write(dev, offset, low(value), 4);
		virtio_common_write(dev, offset + 4, high(value), 4);
		return;
	}
	/* While a reset is under way the driver has to wait for status 0 (section 4.1.4.3.2). */
	if (field && field->set && !dev->resetting)
		field->set(dev, (uint32_t)value);
}
