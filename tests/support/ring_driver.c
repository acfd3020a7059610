/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/ring_driver.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Where a page lies: an odd factor spreads them over all of the memory. */
static uint64_t gpa_of(uint64_t iova)
{
	return (iova - RING_DESC) / RING_PAGE * 5 % RING_PAGES * RING_PAGE;
}

void *ring_at(struct ring *ring, uint64_t iova)
{
	return ring->memory + gpa_of(iova) + iova % RING_PAGE;
}

static void map(struct ring *ring, uint64_t iova, unsigned access)
{
	assert_int_equal(viommu_map(ring->domain, (struct viommu_iova){iova},
				    (struct viommu_iova){iova + RING_PAGE - 1}, (struct viommu_gpa){gpa_of(iova)},
				    access),
			 0);
}

static void complete(struct ring *ring)
{
	viommu_inval_begin(ring->inval);
	while (viommu_inval_poll(ring->inval))
		sched_yield();
}

static void begin(struct ring *ring)
{
	assert_int_equal(viommu_dma_begin(ring->endpoint, &ring->section), 0);
}

static void create_context(struct ring *ring)
{
	const struct viommu_config config = {.size = sizeof(struct viommu_config)};

	assert_int_equal(viommu_create(&config, &ring->v), 0);
	assert_int_equal(viommu_mem_add(ring->v, (struct viommu_gpa){0}, RING_PAGES * RING_PAGE, ring->memory, -1, 0),
			 0);
	assert_int_equal(viommu_domain_create(ring->v, 1, &ring->domain), 0);
	assert_int_equal(viommu_endpoint_add(ring->v, 3 << 3, "0000:00:03.0", &ring->endpoint), 0);
	assert_int_equal(viommu_inval_create(ring->v, &ring->inval), 0);
	assert_int_equal(viommu_attach(ring->endpoint, ring->domain, ring->inval), 0);
}

struct ring *ring_create(uint16_t size)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	ring->memory = aligned_alloc(RING_PAGE, RING_PAGES * RING_PAGE);
	memset(ring->memory, 0, RING_PAGES * RING_PAGE);
	create_context(ring);
	for (unsigned i = 0; i < RING_PAGES; i++)
		map(ring, RING_DESC + i * RING_PAGE, VIOMMU_READ | VIOMMU_WRITE);
	ring->vq =
		(struct vq){.size = size, .enabled = true, .desc = RING_DESC, .avail = RING_AVAIL, .used = RING_USED};
	begin(ring);
	return ring;
}

void ring_destroy(struct ring *ring)
{
	viommu_dma_end(&ring->section);
	assert_int_equal(viommu_detach(ring->endpoint, ring->inval), 0);
	complete(ring);
	assert_int_equal(viommu_endpoint_remove(ring->endpoint), 0);
	viommu_domain_destroy(ring->domain);
	viommu_inval_destroy(ring->inval);
	viommu_destroy(ring->v);
	free(ring->memory);
	free(ring);
}

void ring_page(struct ring *ring, uint64_t iova, unsigned access)
{
	const uint64_t page = iova & ~(uint64_t)(RING_PAGE - 1);

	viommu_dma_end(&ring->section);
	assert_int_equal(viommu_unmap(ring->domain, (struct viommu_iova){page},
				      (struct viommu_iova){page + RING_PAGE - 1}, ring->inval, NULL),
			 0);
	complete(ring);
	if (access)
		map(ring, page, access);
	begin(ring);
}

void ring_desc(struct ring *ring, uint64_t table, unsigned index, struct vring_desc desc)
{
	const uint8_t *bytes = (const uint8_t *)&desc;

	for (unsigned i = 0; i < sizeof(desc); i++)
		*(uint8_t *)ring_at(ring, table + index * sizeof(desc) + i) = bytes[i];
}

uint16_t ring_load(struct ring *ring, uint64_t iova)
{
	return atomic_load_explicit((_Atomic uint16_t *)ring_at(ring, iova), memory_order_acquire);
}

void ring_store(struct ring *ring, uint64_t iova, uint16_t value)
{
	atomic_store_explicit((_Atomic uint16_t *)ring_at(ring, iova), value, memory_order_release);
}

void ring_offer(struct ring *ring, uint16_t head)
{
	const unsigned slot = ring->avail_idx++ % ring->vq.size;

	ring_store(ring, RING_AVAIL + offsetof(struct vring_avail, ring) + 2ull * slot, head);
	ring_store(ring, RING_AVAIL + offsetof(struct vring_avail, idx), ring->avail_idx);
}

uint64_t ring_used_event(const struct ring *ring)
{
	return RING_AVAIL + offsetof(struct vring_avail, ring) + 2ull * ring->vq.size;
}

uint64_t ring_avail_event(const struct ring *ring)
{
	return RING_USED + offsetof(struct vring_used, ring) + 8ull * ring->vq.size;
}
