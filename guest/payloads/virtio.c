/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio.h"

#include "payload.h"
#include "pci.h"

enum {
	PATIENCE = 20000,
	LONG_PATIENCE = 400000,
	PAGE = 4096,
	AVAIL_OFFSET = 0x400,
	USED_OFFSET = 0x800,
	CAP_VENDOR = 9,
	FIRST_MODERN = 0x1040
};
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };
enum {
	DEVICE_SELECT = 0,
	DEVICE_FEATURES = 4,
	DRIVER_SELECT = 8,
	DRIVER_FEATURES = 12,
	NUM_QUEUES = 18,
	DEVICE_STATUS = 20,
	Q_SELECT = 22,
	Q_NOTIFY_OFF = 30,
};

static uint8_t rings[QUEUE_PAGES][PAGE] __attribute__((aligned(4096)));

/* Where a structure lies, section 4.1.4. */
static void read_capability(struct virtio *dev, uint32_t at, uint32_t bar)
{
	const uint32_t address = bar + read32(at + 8);

	switch (read8(at + 3)) {
	case CAP_COMMON:
		dev->common = address;
		break;
	case CAP_NOTIFY:
		dev->notify = address;
		dev->multiplier = read32(at + 16);
		break;
	case CAP_ISR:
		dev->isr = address;
		break;
	case CAP_DEVICE:
		dev->device = address;
		break;
	}
}

bool virtio_open(struct virtio *dev, unsigned slot)
{
	const uint32_t config = ecam(slot);
	uint32_t bar;

	if (read16(config) != VIRTIO_VENDOR)
		return false;
	*dev = (struct virtio){.slot = slot, .id = read16(config + 2) - FIRST_MODERN};
	bar = pci_enable(slot);
	for (unsigned at = read8(config + PCI_CAPABILITIES); at; at = read8(config + at + 1))
		if (read8(config + at) == CAP_VENDOR)
			read_capability(dev, config + at, bar);
	dev->queues = read16(dev->common + NUM_QUEUES);
	return dev->common && dev->notify && dev->isr && dev->device;
}

uint8_t virtio_status(const struct virtio *dev)
{
	return read8(dev->common + DEVICE_STATUS);
}

static void add_status(const struct virtio *dev, uint8_t bits)
{
	write8(dev->common + DEVICE_STATUS, virtio_status(dev) | bits);
}

bool virtio_wait_status(const struct virtio *dev, uint8_t bit)
{
	for (unsigned i = 0; i < PATIENCE && !(virtio_status(dev) & bit); i++)
		breathe(1);
	return virtio_status(dev) & bit;
}

bool virtio_reset(struct virtio *dev)
{
	write8(dev->common + DEVICE_STATUS, 0);
	for (unsigned i = 0; i < PATIENCE && virtio_status(dev); i++)
		breathe(1);
	return !virtio_status(dev);
}

uint64_t virtio_offered(const struct virtio *dev)
{
	uint32_t half[2];

	for (unsigned i = 0; i < 2; i++) {
		write32(dev->common + DEVICE_SELECT, i);
		half[i] = read32(dev->common + DEVICE_FEATURES);
	}
	return half[0] | (uint64_t)half[1] << 32;
}

bool virtio_accept(struct virtio *dev, uint64_t features)
{
	add_status(dev, 1);
	add_status(dev, 2);
	for (unsigned i = 0; i < 2; i++) {
		write32(dev->common + DRIVER_SELECT, i);
		write32(dev->common + DRIVER_FEATURES, (uint32_t)(features >> 32 * i));
	}
	add_status(dev, STATUS_FEATURES_OK);
	dev->features = features;
	return virtio_status(dev) & STATUS_FEATURES_OK;
}

bool virtio_begin(struct virtio *dev, uint64_t without)
{
	return virtio_reset(dev) && virtio_accept(dev, virtio_offered(dev) & ~without);
}

void virtio_run(struct virtio *dev)
{
	add_status(dev, STATUS_DRIVER_OK);
}

uint16_t queue_register(const struct queue *queue, unsigned reg)
{
	write16(queue->dev->common + Q_SELECT, (uint16_t)queue->index);
	return read16(queue->dev->common + reg);
}

void queue_set_register(const struct queue *queue, unsigned reg, uint16_t value)
{
	write16(queue->dev->common + Q_SELECT, (uint16_t)queue->index);
	write16(queue->dev->common + reg, value);
}

void queue_set_address(const struct queue *queue, unsigned reg, uint32_t address)
{
	write16(queue->dev->common + Q_SELECT, (uint16_t)queue->index);
	write32(queue->dev->common + reg, address);
	write32(queue->dev->common + reg + 4, 0);
}

void queue_prepare(struct queue *queue, struct virtio *dev, unsigned index, unsigned size, unsigned page)
{
	uint8_t *memory = rings[page];

	*queue = (struct queue){
		.dev = dev,
		.index = index,
		.size = size,
		.desc = (volatile struct virtio_desc *)memory,
		.avail = (volatile uint16_t *)(memory + AVAIL_OFFSET),
		.used = (volatile uint16_t *)(memory + USED_OFFSET),
	};
	for (unsigned i = 0; i < PAGE; i += 4)
		*(volatile uint32_t *)(memory + i) = 0;
	queue_set_register(queue, Q_SIZE, (uint16_t)size);
	queue_set_address(queue, Q_DESC, (uint32_t)memory);
	queue_set_address(queue, Q_AVAIL, (uint32_t)memory + AVAIL_OFFSET);
	queue_set_address(queue, Q_USED, (uint32_t)memory + USED_OFFSET);
}

void queue_enable(const struct queue *queue)
{
	queue_set_register(queue, Q_ENABLE, 1);
}

void queue_desc(struct queue *queue, unsigned index, uint32_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	queue->desc[index].addr = addr;
	queue->desc[index].len = len;
	queue->desc[index].flags = flags;
	queue->desc[index].next = next;
}

void queue_notify(const struct queue *queue)
{
	const uint32_t offset = queue_register(queue, Q_NOTIFY_OFF) * queue->dev->multiplier;

	write16(queue->dev->notify + offset, (uint16_t)queue->index);
}

void queue_offer(struct queue *queue, uint16_t head)
{
	queue->avail[2 + queue->avail_idx % queue->size] = head;
	queue->avail[1] = ++queue->avail_idx;
	if (!queue->quiet)
		queue_notify(queue);
}

int queue_wait(struct queue *queue)
{
	const volatile uint32_t *entry;

	for (unsigned i = 0; i < PATIENCE && queue->used[1] == queue->used_idx; i++)
		breathe(1);
	if (queue->used[1] == queue->used_idx)
		return -1;
	entry = (const volatile uint32_t *)(queue->used + 2) + 2 * (queue->used_idx++ % queue->size);
	return (int)entry[1];
}

bool queue_back(struct queue *queue, uint16_t head)
{
	const uint32_t bit = 1u << head;
	bool back;

	for (; queue->used[1] != queue->used_idx; queue->used_idx++) {
		const volatile uint32_t *entry = (const volatile uint32_t *)(queue->used + 2);

		queue->back |= 1u << (entry[2 * (queue->used_idx % queue->size)] & 31);
	}
	back = queue->back & bit;
	queue->back &= ~bit;
	return back;
}

bool queue_await(struct queue *queue, uint16_t head)
{
	for (unsigned i = 0; i < LONG_PATIENCE; i++) {
		if (queue_back(queue, head))
			return true;
		breathe(1);
	}
	return false;
}

int queue_send(struct queue *queue, uint16_t head)
{
	queue_offer(queue, head);
	return queue_wait(queue);
}

volatile uint16_t *queue_used_event(const struct queue *queue)
{
	return queue->avail + 2 + queue->size;
}

volatile uint16_t *queue_avail_event(const struct queue *queue)
{
	return queue->used + 2 + 4 * queue->size;
}
