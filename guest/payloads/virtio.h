/* SPDX-License-Identifier: BSD-2-Clause */
/* A driver for virtio devices over PCI (virtio 1.2), as small as can be: no interrupts. */
#ifndef PAYLOAD_VIRTIO_H
#define PAYLOAD_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

enum { VIRTIO_VENDOR = 0x1af4, VIRTIO_NET = 1, VIRTIO_DISK = 2, VIRTIO_RNG = 4, VIRTIO_IOMMU = 23 };
enum { STATUS_FEATURES_OK = 8, STATUS_DRIVER_OK = 4, STATUS_NEEDS_RESET = 0x40 };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { QUEUE_SIZE = 8, QUEUE_PAGES = 3 };

/* Feature bits. */
enum { F_INDIRECT = 28, F_EVENT_IDX = 29, F_VERSION_1 = 32, F_ACCESS_PLATFORM = 33, F_RING_RESET = 40 };

struct virtio_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct virtio {
	unsigned slot, id, queues;
	uint32_t common, notify, multiplier, isr, device;
	uint64_t features; /* negotiated */
};

/* A queue of at most 16 entries, in a page of its own: table, available ring, used ring. */
struct queue {
	struct virtio *dev;
	unsigned index, size;
	volatile struct virtio_desc *desc;
	volatile uint16_t *avail, *used; /* as they lie in memory: flags, idx, ring */
	uint16_t avail_idx, used_idx;
	bool quiet;    /* chains are offered without a notification: they come with the next one */
	uint32_t back; /* a bit for each head that queue_back() has seen and not told */
};

/* The device at a slot, if there is a virtio device. Memory and bus mastering are on afterwards, MSI-X is off. */
bool virtio_open(struct virtio *dev, unsigned slot);

/* Reset it, and wait for that. */
bool virtio_reset(struct virtio *dev);

uint8_t virtio_status(const struct virtio *dev);
uint64_t virtio_offered(const struct virtio *dev);

/* Up to FEATURES_OK with just these; did it stick? */
bool virtio_accept(struct virtio *dev, uint64_t features);

/* Reset, accept all that is offered but for `without`. */
bool virtio_begin(struct virtio *dev, uint64_t without);

/* The driver is ready. */
void virtio_run(struct virtio *dev);

/* Set up a queue in page 0..QUEUE_PAGES - 1 of the memory for rings, and enable it. */
void queue_prepare(struct queue *queue, struct virtio *dev, unsigned index, unsigned size, unsigned page);
void queue_enable(const struct queue *queue);

/* Registers of the common configuration for this queue. */
uint16_t queue_register(const struct queue *queue, unsigned reg);
void queue_set_register(const struct queue *queue, unsigned reg, uint16_t value);
void queue_set_address(const struct queue *queue, unsigned reg, uint32_t address);
enum { Q_SIZE = 24, Q_ENABLE = 28, Q_DESC = 32, Q_AVAIL = 40, Q_USED = 48, Q_RESET = 58 };

void queue_desc(struct queue *queue, unsigned index, uint32_t addr, uint32_t len, uint16_t flags, uint16_t next);

/* Make a chain available and notify, unless it is to be quiet. */
void queue_offer(struct queue *queue, uint16_t head);
void queue_notify(const struct queue *queue);

/* Wait until one more chain is given back; its length, or -1. */
int queue_wait(struct queue *queue);

/* Offer one chain and wait for it. */
int queue_send(struct queue *queue, uint16_t head);

/*
 * Several chains at a time, then: has the one with this head been given back? It is told once. And wait for it, long
 * enough for a device's deadlines.
 */
bool queue_back(struct queue *queue, uint16_t head);
bool queue_await(struct queue *queue, uint16_t head);

/* Event fields of the two rings. */
volatile uint16_t *queue_used_event(const struct queue *queue);
volatile uint16_t *queue_avail_event(const struct queue *queue);

/* Wait, within reason, for a bit of the status or of a register that reads as 0 afterwards. */
bool virtio_wait_status(const struct virtio *dev, uint8_t bit);

#endif
