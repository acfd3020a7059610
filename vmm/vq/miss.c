/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A miss is a fault if a chain that the driver still waits for needs the address. A kernel or a process that serves a
 * queue may ask for a translation late, or twice: when the question is read the buffer may have been used, given back
 * and unmapped, and then there is no fault. This is for queues whose chains are used in the order in which they were
 * made available (network cards): what lies behind the used index is the device's, and a driver that keeps the rules
 * leaves it mapped.
 */
#include <endian.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>

#include "vmm/vq/ring.h"

enum { PAGE_SHIFT = 12 };

static bool miss_same_page(uint64_t iova, uint64_t first, uint64_t len)
{
	return len && iova >> PAGE_SHIFT >= first >> PAGE_SHIFT &&
	       iova >> PAGE_SHIFT <= (first + len - 1) >> PAGE_SHIFT;
}

/* Sizes: section 2.7, with the event fields. */
static bool in_ring(const struct vq *vq, uint64_t iova)
{
	return miss_same_page(iova, vq->desc, 16ull * vq->size) ||
	       miss_same_page(iova, vq->avail, 6 + 2ull * vq->size) ||
	       miss_same_page(iova, vq->used, 6 + 8ull * vq->size);
}

static bool in_chain(const struct vq_chain *chain, uint64_t iova, unsigned access)
{
	for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
		const unsigned part = i < chain->readable ? VIOMMU_READ : VIOMMU_WRITE;

		if (access & part && miss_same_page(iova, chain->segments[i].iova.value, chain->segments[i].len))
			return true;
	}
	return false;
}

/* How many chains were given back in all, modulo 2^16. False: a device could not write it, either. */
static bool used_index(const struct vq *vq, struct viommu_section *section, uint16_t *index)
{
	void *host;

	if (ring_field(vq, section, vq->used, offsetof(struct vring_used, idx), sizeof(*index), VIOMMU_WRITE, &host))
		return false;
	/* Acquire: what we have read of a chain before was read while it was not given back, if it is not now. */
	atomic_thread_fence(memory_order_acquire);
	*index = le16toh(atomic_load_explicit((_Atomic uint16_t *)host, memory_order_acquire));
	return true;
}

static bool miss_is_over(const struct vq *vq, struct viommu_section *section, uint16_t position)
{
	uint16_t used;

	return used_index(vq, section, &used) && (int16_t)(used - position) > 0;
}

/* The translation is tried while the chain is known to be the device's. */
static bool lacks(struct viommu_section *section, uint64_t iova, unsigned access)
{
	struct viommu_span span;

	return viommu_dma_translate(section, (struct viommu_iova){iova}, 1, access, &span) != 0;
}

bool vq_miss_is_fault(const struct vq *of, struct viommu_section *section, struct viommu_iova iova, unsigned access)
{
	const uint64_t at = iova.value;
	struct vq_chain chain;
	struct vq vq = *of;

	vq.event_idx = false; /* nothing is written for the driver */
	vq.piece_count = 0;
	if (in_ring(&vq, at) || !used_index(&vq, section, &vq.next_avail))
		return lacks(section, at, access);
	for (unsigned i = 0; i < vq.size; i++) {
		const uint16_t position = vq.next_avail;
		int got = vq_pop(&vq, section, &chain);

		if (!got)
			return false;
		if (miss_is_over(&vq, section, position)) {
			vq.next_avail = (uint16_t)(position + 1);
			continue;
		}
		if (got < 0) /* what the device has is no chain: whatever it asks for then */
			return lacks(section, at, access);
		if (in_chain(&chain, at, access) && lacks(section, at, access) && !miss_is_over(&vq, section, position))
			return true;
	}
	return false;
}
