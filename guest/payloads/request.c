/* SPDX-License-Identifier: BSD-2-Clause */
#include "request.h"

#include "payload.h"

enum { SECTOR = 512, FRAME = 12 + 60, ATTACH = 1, ATTACH_SIZE = 20, NO_ENTRY = 6, RANDOM_BYTES = 32, UNTOUCHED = 0xa5 };

/* What the device reads; what it writes, the last part being its status. */
static uint32_t out[FRAME / 4] __attribute__((aligned(16)));
static uint8_t in[SECTOR] __attribute__((aligned(16)));
static uint8_t status[4] __attribute__((aligned(16)));
static struct virtio_desc table[3] __attribute__((aligned(16)));

/* How many bytes each part has. */
struct shape {
	uint32_t out, in, status;
};

static struct shape shape_of(const struct virtio *dev)
{
	switch (dev->id) {
	case VIRTIO_IOMMU:
		return (struct shape){ATTACH_SIZE, 0, 4};
	case VIRTIO_DISK:
		return (struct shape){16, SECTOR, 1};
	case VIRTIO_NET:
		return (struct shape){FRAME, 0, 0};
	default:
		return (struct shape){0, RANDOM_BYTES, 0};
	}
}

const char *request_device(const struct virtio *dev)
{
	switch (dev->id) {
	case VIRTIO_IOMMU:
		return "iommu";
	case VIRTIO_DISK:
		return "disk";
	case VIRTIO_NET:
		return "net";
	case VIRTIO_RNG:
		return "rng";
	default:
		return "another device";
	}
}

unsigned request_queue(const struct virtio *dev)
{
	return dev->id == VIRTIO_NET ? 1 : 0;
}

/* An endpoint that does not exist; sector 0; a frame that is nobody's; a few bytes. */
static void write_request(const struct virtio *dev)
{
	for (unsigned i = 0; i < FRAME / 4; i++)
		out[i] = 0;
	if (dev->id == VIRTIO_IOMMU) {
		out[0] = ATTACH;
		out[1] = 1;
		out[2] = 0xfff8;
	}
	for (unsigned i = 0; i < SECTOR; i++)
		in[i] = UNTOUCHED;
	for (unsigned i = 0; i < 4; i++)
		status[i] = UNTOUCHED;
}

static bool answered(const struct virtio *dev, int len)
{
	const volatile uint8_t *bytes = in, *result = status;
	unsigned untouched = 0;

	for (unsigned i = 0; i < RANDOM_BYTES; i++)
		untouched += bytes[i] == UNTOUCHED;
	switch (dev->id) {
	case VIRTIO_IOMMU:
		return len == 4 && *result == NO_ENTRY;
	case VIRTIO_DISK:
		return len == SECTOR + 1 && !*result && !untouched;
	case VIRTIO_NET:
		return len == 0;
	default:
		return len > 0 && untouched < RANDOM_BYTES;
	}
}

/* The parts that are there, as a chain from index 0 of `to`; how many. */
static unsigned write_table(const struct shape *shape, volatile struct virtio_desc *to)
{
	const struct virtio_desc parts[3] = {
		{(uint32_t)out, shape->out, 0, 0},
		{(uint32_t)in, shape->in, DESC_WRITE, 0},
		{(uint32_t)status, shape->status, DESC_WRITE, 0},
	};
	unsigned count = 0;

	for (unsigned i = 0; i < 3; i++) {
		if (!parts[i].len)
			continue;
		to[count].addr = parts[i].addr;
		to[count].len = parts[i].len;
		to[count].flags = parts[i].flags | DESC_NEXT;
		to[count].next = (uint16_t)(count + 1);
		count++;
	}
	to[count - 1].flags &= (uint16_t)~DESC_NEXT;
	return count;
}

bool request_works(struct queue *queue, bool indirect)
{
	const struct shape shape = shape_of(queue->dev);
	unsigned count;

	write_request(queue->dev);
	count = write_table(&shape, indirect ? table : queue->desc);
	if (indirect)
		queue_desc(queue, 0, (uint32_t)table, count * sizeof(table[0]), DESC_INDIRECT, 0);
	return answered(queue->dev, queue_send(queue, 0));
}
