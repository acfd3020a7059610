/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every virtio device: features without which it does not work (virtio 1.2, section 6.1), indirect tables, interrupts
 * by event (section 2.7.7), and the reset of a single queue (section 2.6.1). kernel=1: Linux's vhost serves some, which
 * leaves a flag as it was before events were negotiated. behind=MASK: a bit for each slot whose device is behind the
 * IOMMU. polled=MASK: likewise where queues are polled, so that they need no notification and ask for none.
 */
#include "payload.h"
#include "pci.h"
#include "request.h"

enum { PATIENCE = 20000, OTHER_SIZE = 4 };

#define BIT(n) (1ull << (n))

static void result(const struct virtio *dev, const char *what, bool good)
{
	print("%s %s %u: %s\n", check_quietly(good) ? "ok" : "not ok", request_device(dev), dev->slot, what);
}

static bool refused(struct virtio *dev, uint64_t features)
{
	bool stuck;

	virtio_reset(dev);
	stuck = virtio_accept(dev, features);
	virtio_run(dev);
	return !stuck && !(virtio_status(dev) & STATUS_DRIVER_OK);
}

static void check_features(struct virtio *dev)
{
	const uint64_t offered = virtio_offered(dev);

	result(dev, "VERSION_1 and ACCESS_PLATFORM are offered",
	       offered & BIT(F_VERSION_1) && offered & BIT(F_ACCESS_PLATFORM));
	result(dev, "without VERSION_1: FEATURES_OK does not stick", refused(dev, offered & ~BIT(F_VERSION_1)));
	result(dev, "with an unknown bit: FEATURES_OK does not stick", refused(dev, offered | BIT(63)));
}

static bool begin(struct virtio *dev, struct queue *queue, uint64_t without)
{
	if (!virtio_begin(dev, without))
		return false;
	queue_prepare(queue, dev, request_queue(dev), QUEUE_SIZE, 0);
	queue_enable(queue);
	virtio_run(dev);
	return true;
}

/*
 * A driver that accepts VERSION_1 alone gives physical addresses, which are good for a device that is not behind the
 * IOMMU. The virtio-iommu is no use without features of its own.
 */
static void check_platform(struct virtio *dev)
{
	const uint64_t offered = virtio_offered(dev);
	const uint64_t least = BIT(F_VERSION_1) | (dev->id == VIRTIO_IOMMU ? offered & (BIT(F_INDIRECT) - 1) : 0);
	struct queue queue;

	if (parameter("behind", 0) >> dev->slot & 1) {
		result(dev, "without ACCESS_PLATFORM: FEATURES_OK does not stick",
		       refused(dev, offered & ~BIT(F_ACCESS_PLATFORM)));
		result(dev, "nor with VERSION_1 alone", refused(dev, BIT(F_VERSION_1)));
		return;
	}
	result(dev, "with VERSION_1 alone: a request works",
	       begin(dev, &queue, ~least) && dev->features == least && request_works(&queue, false));
}

/* Every other request lies in an indirect table, where there may be any. */
static bool many_work(const struct virtio *dev, struct queue *queue, unsigned count)
{
	bool good = true;

	for (unsigned i = 0; i < count && good; i++)
		good = request_works(queue, dev->features & BIT(F_INDIRECT) && i & 1);
	return good;
}

/* Behind the IOMMU a device has no indirect tables unless it is told to. */
static void check_indirect(struct virtio *dev)
{
	const bool wanted = parameter("indirect", 0) >> dev->slot & 1 || !(parameter("behind", 0) >> dev->slot & 1);
	struct queue queue;
	bool good = begin(dev, &queue, 0) && many_work(dev, &queue, 3 * QUEUE_SIZE);

	result(dev, "requests in both tables in turn", good);
	result(dev, wanted ? "INDIRECT_DESC is offered" : "INDIRECT_DESC is not offered",
	       !(virtio_offered(dev) & BIT(F_INDIRECT)) == !wanted);
	good = begin(dev, &queue, BIT(F_INDIRECT));
	result(dev, "without INDIRECT_DESC: one table", good && request_works(&queue, false));
	queue_desc(&queue, 0, (uint32_t)&queue, 16, DESC_INDIRECT, 0);
	queue_offer(&queue, 0);
	result(dev, "without INDIRECT_DESC: no other", virtio_wait_status(dev, STATUS_NEEDS_RESET));
}

static bool interrupted(const struct virtio *dev, bool wanted)
{
	for (unsigned i = 0; i < (wanted ? PATIENCE : 100); i++) {
		if (read8(dev->isr) & ISR_QUEUE)
			return true;
		breathe(1);
	}
	return false;
}

static bool reset_queue(const struct queue *queue)
{
	queue_set_register(queue, Q_RESET, 1);
	for (unsigned i = 0; i < PATIENCE && queue_register(queue, Q_RESET); i++)
		breathe(1);
	return !queue_register(queue, Q_RESET) && !queue_register(queue, Q_ENABLE);
}

static bool is_polled(const struct virtio *dev)
{
	return parameter("polled", 0) >> dev->slot & 1;
}

static void check_polled(struct virtio *dev)
{
	struct queue queue;
	bool good = begin(dev, &queue, 0);

	queue.quiet = true;
	good = good && many_work(dev, &queue, 3 * QUEUE_SIZE);
	result(dev, "polled: requests need no notification", good);
	good = begin(dev, &queue, BIT(F_EVENT_IDX));
	queue.quiet = true;
	good = good && request_works(&queue, false);
	result(dev, "polled, without EVENT_IDX: none either, and the flag says so", good && queue.used[0] == 1);
	if (virtio_offered(dev) & BIT(F_RING_RESET)) {
		good = reset_queue(&queue);
		queue_prepare(&queue, dev, request_queue(dev), QUEUE_SIZE, 0);
		queue_enable(&queue);
		queue.quiet = true;
		result(dev, "polled: nor after the queue's reset", good && request_works(&queue, false));
	}
}

static void check_events(struct virtio *dev)
{
	struct queue queue;
	bool good = begin(dev, &queue, 0);

	read8(dev->isr);
	queue.avail[0] = 1; /* "no interrupt": without meaning here */
	good &= request_works(&queue, false);
	result(dev, "interrupt for entry 0", good && interrupted(dev, true));
	*queue_used_event(&queue) = 3;
	good = request_works(&queue, false) && request_works(&queue, false);
	result(dev, "none for entries 1 and 2", good && !interrupted(dev, false));
	good = request_works(&queue, false);
	result(dev, "one for entry 3", good && interrupted(dev, true));
	for (unsigned i = 0; i < PATIENCE && *queue_avail_event(&queue) != 4 && !is_polled(dev); i++)
		breathe(1);
	if (!is_polled(dev))
		result(dev, "the device asks for chain 4, by event alone",
		       *queue_avail_event(&queue) == 4 && (!queue.used[0] || parameter("kernel", 0)));
	good = begin(dev, &queue, BIT(F_EVENT_IDX));
	read8(dev->isr);
	queue.avail[0] = 1;
	good &= request_works(&queue, false);
	result(dev, "without EVENT_IDX the flag counts", good && !interrupted(dev, false));
	queue.avail[0] = 0;
	good = request_works(&queue, false);
	result(dev, "and so it does the other way", good && interrupted(dev, true));
}

static void check_reset(struct virtio *dev)
{
	struct queue queue, other;
	uint16_t size;
	bool good;

	virtio_reset(dev);
	queue_prepare(&queue, dev, request_queue(dev), QUEUE_SIZE, 0);
	virtio_reset(dev);
	size = queue_register(&queue, Q_SIZE);
	good = begin(dev, &queue, 0) && request_works(&queue, false);
	result(dev, "queue reset is complete", good && reset_queue(&queue));
	result(dev, "its registers are as at first",
	       queue_register(&queue, Q_SIZE) == size && !queue_register(&queue, Q_DESC) &&
		       !queue_register(&queue, Q_USED));
	queue_desc(&queue, 0, (uint32_t)&queue, 16, DESC_INDIRECT | DESC_NEXT, 0);
	queue_offer(&queue, 0);
	breathe(50);
	result(dev, "a queue that is off is not looked at", !(virtio_status(dev) & STATUS_NEEDS_RESET));
	queue_prepare(&other, dev, request_queue(dev), OTHER_SIZE, 1);
	queue_enable(&other);
	good = queue_register(&other, Q_ENABLE) == 1 && queue_register(&other, Q_SIZE) == OTHER_SIZE;
	good = good && many_work(dev, &other, 3 * OTHER_SIZE);
	result(dev, "it works elsewhere, with another size", good);
	good = begin(dev, &queue, BIT(F_RING_RESET));
	queue_set_register(&queue, Q_RESET, 1);
	result(dev, "without RING_RESET there is no such register",
	       good && !queue_register(&queue, Q_RESET) && request_works(&queue, false));
}

void payload(void)
{
	unsigned devices = 0;

	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct virtio dev;

		if (!virtio_open(&dev, slot))
			continue;
		devices++;
		check_features(&dev);
		check_platform(&dev);
		check_indirect(&dev);
		check_events(&dev);
		if (is_polled(&dev))
			check_polled(&dev);
		if (virtio_offered(&dev) & BIT(F_RING_RESET))
			check_reset(&dev);
		virtio_reset(&dev);
	}
	check_equal("devices", devices, parameter("devices", 0));
}
