/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every queue of every virtio device, with rings that break the rules in each way: the device says DEVICE_NEEDS_RESET
 * and interrupts (virtio 1.2, section 2.1.2), the other devices go on, and after a reset it works again. An edu device
 * at slot 2. kernel=1: Linux's vhost serves the network's queues, of which only that for sending is tested: the other
 * is looked at when frames come.
 */
#include "edu.h"
#include "payload.h"
#include "pci.h"
#include "request.h"

enum { EDU_SLOT = 2, EVENT_QUEUE = 1, ROUNDS = 20, NO_RAM = 0x80000000, SEND_QUEUE = 1 };

enum garbage {
	LOOP,
	HEAD_BEYOND,
	NEXT_BEYOND,
	TOO_MANY,
	WRONG_ORDER,
	TABLE_LENGTH,
	TABLE_EMPTY,
	TABLE_IN_TABLE,
	TABLE_AND_NEXT,
	TABLE_NOWHERE,
	DESC_NOWHERE,
	AVAIL_NOWHERE,
	GARBAGE_KINDS,
};

static const char *const names[GARBAGE_KINDS] = {
	"a loop",
	"a head beyond the table",
	"a next beyond the table",
	"more chains than entries",
	"readable after writable",
	"an indirect table of 17 bytes",
	"an indirect table of 0 bytes",
	"an indirect table in another",
	"an indirect table with more behind it",
	"an indirect table out of reach",
	"descriptors out of reach",
	"an available ring out of reach",
};

static struct virtio_desc table[2] __attribute__((aligned(16)));
static uint32_t edu, seed = 1;

static uint32_t random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* A DMA to where no memory is: a fault, and so an event for the IOMMU's driver. */
static void make_fault(void)
{
	write32(edu + EDU_DMA_SOURCE, EDU_BUFFER);
	write32(edu + EDU_DMA_TARGET, NO_RAM);
	write32(edu + EDU_DMA_COUNT, 16);
	write32(edu + EDU_DMA_COMMAND, EDU_DMA_RUN | EDU_DMA_TO_RAM);
}

static void indirect(struct queue *queue, uint32_t len, uint16_t flags)
{
	queue_desc(queue, 0, (uint32_t)table, len, DESC_INDIRECT | flags, 1);
}

/* Before the queue is enabled: what its registers say. Then what lies in its rings. */
static void write_garbage(struct queue *queue, enum garbage kind)
{
	table[0] = (struct virtio_desc){(uint32_t)table, 16, 0, 0};
	queue_desc(queue, 0, (uint32_t)table, 0, DESC_NEXT, 1);
	queue_desc(queue, 1, (uint32_t)table, 16, 0, 0);
	switch (kind) {
	case LOOP:
		queue_desc(queue, 1, (uint32_t)table, 0, DESC_NEXT, 0);
		break;
	case NEXT_BEYOND:
		queue_desc(queue, 0, (uint32_t)table, 0, DESC_NEXT, QUEUE_SIZE);
		break;
	case WRONG_ORDER:
		queue_desc(queue, 0, (uint32_t)table, 16, DESC_NEXT | DESC_WRITE, 1);
		break;
	case TABLE_LENGTH:
		indirect(queue, 17, 0);
		break;
	case TABLE_EMPTY:
		indirect(queue, 0, 0);
		break;
	case TABLE_IN_TABLE:
		table[0].flags = DESC_INDIRECT;
		indirect(queue, 16, 0);
		break;
	case TABLE_AND_NEXT:
		indirect(queue, 16, DESC_NEXT);
		break;
	case TABLE_NOWHERE:
		queue_desc(queue, 0, NO_RAM, 16, DESC_INDIRECT, 0);
		break;
	case DESC_NOWHERE:
		queue_set_address(queue, Q_DESC, NO_RAM);
		break;
	case AVAIL_NOWHERE:
		queue_set_address(queue, Q_AVAIL, NO_RAM);
		break;
	default:
		break;
	}
	if (kind == TOO_MANY)
		queue->avail_idx = QUEUE_SIZE;
}

static bool start_with(struct virtio *dev, struct queue *queue, unsigned index)
{
	if (!virtio_begin(dev, 0))
		return false;
	queue_prepare(queue, dev, index, QUEUE_SIZE, 0);
	return true;
}

/* The event queue is looked at when there is an event. */
static void poke(struct virtio *dev, unsigned index)
{
	if (dev->id == VIRTIO_IOMMU && index == EVENT_QUEUE)
		make_fault();
}

static bool needs_reset_after(struct virtio *dev, unsigned index, enum garbage kind)
{
	struct queue queue;

	if (!start_with(dev, &queue, index))
		return false;
	write_garbage(&queue, kind);
	queue_enable(&queue);
	virtio_run(dev);
	queue_offer(&queue, kind == HEAD_BEYOND ? QUEUE_SIZE : 0);
	poke(dev, index);
	return virtio_wait_status(dev, STATUS_NEEDS_RESET) && read8(dev->isr) & ISR_CONFIG;
}

/* Random rings; buffers lie where no memory is. Whether the device takes offence is its affair. */
static void offer_random(struct virtio *dev, unsigned index)
{
	struct queue queue;

	if (!start_with(dev, &queue, index))
		return;
	for (unsigned i = 0; i < QUEUE_SIZE; i++)
		queue_desc(&queue, i, NO_RAM | random(), random() << (random() % 16), (uint16_t)random() & 7,
			   (uint16_t)random() % (QUEUE_SIZE + 1));
	for (unsigned i = 0; i < QUEUE_SIZE; i++)
		queue.avail[2 + i] = (uint16_t)random() % QUEUE_SIZE;
	queue_enable(&queue);
	virtio_run(dev);
	queue.avail[1] = (uint16_t)random() % (QUEUE_SIZE + 2);
	queue_notify(&queue);
	poke(dev, index);
	breathe(20);
}

static bool works(struct virtio *dev, unsigned page)
{
	const bool has_tables = virtio_offered(dev) >> F_INDIRECT & 1;
	struct queue queue;

	if (!virtio_begin(dev, 0))
		return false;
	queue_prepare(&queue, dev, request_queue(dev), QUEUE_SIZE, page);
	queue_enable(&queue);
	virtio_run(dev);
	return request_works(&queue, false) && (!has_tables || request_works(&queue, true)) && virtio_reset(dev);
}

static bool edu_works(void)
{
	static uint32_t from = 0x12345678, to;

	for (unsigned i = 0; i < 20000 && read32(edu + EDU_DMA_COMMAND) & EDU_DMA_RUN; i++)
		breathe(1);
	for (unsigned back = 0; back < 2; back++) {
		write32(edu + EDU_DMA_SOURCE, back ? EDU_BUFFER : (uint32_t)&from);
		write32(edu + EDU_DMA_TARGET, back ? (uint32_t)&to : EDU_BUFFER);
		write32(edu + EDU_DMA_COUNT, 4);
		write32(edu + EDU_DMA_COMMAND, EDU_DMA_RUN | (back ? EDU_DMA_TO_RAM : 0));
		for (unsigned i = 0; i < 20000 && read32(edu + EDU_DMA_COMMAND) & EDU_DMA_RUN; i++)
			breathe(1);
	}
	return *(volatile uint32_t *)&to == from++;
}

static bool others_work(const struct virtio *broken)
{
	bool good = edu_works();

	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct virtio dev;

		if (slot != broken->slot && virtio_open(&dev, slot) && !works(&dev, 1)) {
			print("# the device at slot %u does not work\n", slot);
			good = false;
		}
	}
	return good;
}

static void result(const struct virtio *dev, unsigned index, const char *what, bool good)
{
	print("%s %s %u.%u: %s\n", check_quietly(good) ? "ok" : "not ok", request_device(dev), dev->slot, index, what);
}

/* vhost takes a table that has more behind it, and too many chains at the second look. */
static bool passes_kernel(enum garbage kind)
{
	return kind == TABLE_AND_NEXT || kind == TOO_MANY;
}

static void test_queue(struct virtio *dev, unsigned index, bool by_kernel)
{
	for (enum garbage kind = 0; kind < GARBAGE_KINDS; kind++)
		if (!by_kernel || !passes_kernel(kind))
			result(dev, index, names[kind], needs_reset_after(dev, index, kind));
	/* The device is still broken here. */
	result(dev, index, "the other devices work meanwhile", others_work(dev));
	for (unsigned i = 0; i < ROUNDS; i++)
		offer_random(dev, index);
	result(dev, index, "works again after a reset", works(dev, 0));
}

void payload(void)
{
	const bool by_kernel = parameter("kernel", 0);
	unsigned devices = 0;

	edu = pci_enable(EDU_SLOT);
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct virtio dev;

		if (!virtio_open(&dev, slot))
			continue;
		devices++;
		for (unsigned i = 0; i < dev.queues; i++)
			if (!by_kernel || (dev.id == VIRTIO_NET && i == SEND_QUEUE))
				test_queue(&dev, i, by_kernel);
	}
	check_equal("devices", devices, parameter("devices", 0));
}
