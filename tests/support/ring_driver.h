/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver's side of a split virtqueue, for tests without a guest: rings and buffers behind a real IOMMU context, in
 * pages that are mapped one by one, in an order of their own, so that nothing is contiguous by accident.
 */
#ifndef TESTS_SUPPORT_RING_DRIVER_H
#define TESTS_SUPPORT_RING_DRIVER_H

#include <linux/virtio_ring.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"
#include "vmm/vq/queue.h"

/* IOVAs; all pages from RING_DESC on are mapped for reading and writing at first. */
enum {
	RING_PAGE = 4096,
	RING_PAGES = 64,
	RING_DESC = 0x10000,
	RING_AVAIL = 0x11000,
	RING_USED = 0x12000,
	RING_TABLE = 0x13000, /* four pages for indirect tables */
	RING_BUFFERS = 0x17000,
	RING_NOWHERE = 0x80000,
};

struct ring {
	uint8_t *memory;
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	struct viommu_section section;
	struct vq vq;
	struct vq_chain chain;
	uint16_t avail_idx;
};

/* A queue of this size, its section open. */
struct ring *ring_create(uint16_t size);
void ring_destroy(struct ring *ring);

/* Host address of an IOVA, with or without its mapping. */
void *ring_at(struct ring *ring, uint64_t iova);

/* Map a page anew with these rights, or take it away (0). Closes the section and opens another. */
void ring_page(struct ring *ring, uint64_t iova, unsigned access);

/* Write descriptor `index` of the table at this IOVA, which may lie at any address. */
void ring_desc(struct ring *ring, uint64_t table, unsigned index, struct vring_desc desc);

/* Make a chain available. */
void ring_offer(struct ring *ring, uint16_t head);

/* Fields of the rings, with the order that a driver needs. */
uint16_t ring_load(struct ring *ring, uint64_t iova);
void ring_store(struct ring *ring, uint64_t iova, uint16_t value);
uint64_t ring_used_event(const struct ring *ring);
uint64_t ring_avail_event(const struct ring *ring);

/* Take the next chain. */
static inline int ring_pop(struct ring *ring)
{
	return vq_pop(&ring->vq, &ring->section, &ring->chain);
}

#endif
