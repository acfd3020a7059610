/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptor chains, in the queue's table and in indirect ones (virtio 1.2, section 2.7.5). */
#include <assert.h>
#include <endian.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

#include "vmm/vq/ring.h"

/* Total bytes of a chain, section 2.7.5.2. */
#define CHAIN_BYTES_MAX (1ull << 32)

static_assert(sizeof(struct vring_desc) == 16, "descriptor");

/* Where the walk is: in which table, and how many descriptors it may still visit. */
struct walk {
	uint64_t table;
	uint32_t count;
	unsigned left;
	bool may_refer; /* a descriptor may name an indirect table */
	bool writable;  /* a writable descriptor was seen */
};

/* An indirect table may begin anywhere, so a descriptor in it may lie across two pages. Each byte is read once. */
static int copy_unaligned(const struct vq *vq, struct viommu_section *section, uint64_t at, uint8_t *to)
{
	for (unsigned i = 0; i < sizeof(struct vring_desc); i++) {
		void *host;
		int ret = ring_field(vq, section, at, i, 1, VIOMMU_READ, &host);

		if (ret)
			return ret;
		to[i] = atomic_load_explicit((_Atomic uint8_t *)host, memory_order_relaxed);
	}
	return 0;
}

/* Read once, as two words that the compiler must not fetch again. */
static inline int copy_aligned(const struct vq *vq, struct viommu_section *section, uint64_t at, uint64_t words[2])
{
	void *host;
	int ret = ring_field(vq, section, at, 0, sizeof(struct vring_desc), VIOMMU_READ, &host);

	for (unsigned i = 0; i < 2 && !ret; i++)
		words[i] = atomic_load_explicit((_Atomic uint64_t *)host + i, memory_order_relaxed);
	return ret;
}

static inline int copy_desc(const struct vq *vq, struct viommu_section *section, uint64_t at, struct vring_desc *desc)
{
	uint64_t words[2];
	int ret = at % sizeof(*desc) ? copy_unaligned(vq, section, at, (uint8_t *)words)
				     : copy_aligned(vq, section, at, words);

	if (ret)
		return ret;
	memcpy(desc, words, sizeof(*desc));
	desc->addr = le64toh(desc->addr);
	desc->len = le32toh(desc->len);
	desc->flags = le16toh(desc->flags);
	desc->next = le16toh(desc->next);
	return 0;
}

/*
 * A buffer or table that goes on behind the last address: what comes first there is not what the driver has mapped for
 * it.
 */
static bool chain_wraps(const struct vring_desc *desc)
{
	return desc->len && desc->len - 1 > UINT64_MAX - desc->addr;
}

/* Add a descriptor to the chain. Unknown flags are reserved and mean nothing. */
static int chain_add_segment(struct vq_chain *chain, const struct vring_desc *desc, bool *writable)
{
	if (desc->flags & VRING_DESC_F_WRITE)
		*writable = true;
	else if (*writable)
		return -EINVAL; /* section 2.7.4.2: readable ones come first */
	/* Section 2.7 does not forbid empty ones; there is nothing to translate in them. */
	if (!desc->len)
		return 0;
	if (chain_wraps(desc))
		return -EINVAL;
	chain->segments[chain->readable + chain->writable] = (struct vq_segment){{desc->addr}, desc->len};
	if (*writable) {
		chain->writable++;
		chain->writable_bytes += desc->len;
	} else {
		chain->readable++;
		chain->readable_bytes += desc->len;
	}
	return chain->readable_bytes + chain->writable_bytes > CHAIN_BYTES_MAX ? -EINVAL : 0;
}

/*
 * Go on in an indirect table, section 2.7.5.3: its WRITE flag is ignored, nothing follows it, and it refers to no other
 * one. The driver chooses the table's length; of all tables together no more than VQ_MAX_SEGMENTS descriptors are
 * read.
 */
static int enter_table(struct walk *walk, const struct vring_desc *desc, unsigned visited)
{
	if (!walk->may_refer || desc->flags & VRING_DESC_F_NEXT || !desc->len || desc->len % sizeof(*desc) ||
	    chain_wraps(desc))
		return -EINVAL;
	walk->may_refer = false;
	walk->table = desc->addr;
	walk->count = desc->len / sizeof(*desc);
	walk->left = VQ_MAX_SEGMENTS - visited;
	if (walk->left > walk->count)
		walk->left = walk->count;
	return 0;
}

/* A chain visits no descriptor twice, so one that is longer than its table has a loop. */
int chain_read(const struct vq *vq, struct viommu_section *section, struct vq_chain *chain)
{
	struct walk walk = {.table = vq->desc, .count = vq->size, .left = vq->size, .may_refer = vq->indirect};
	uint32_t index = chain->head;
	unsigned visited = 0;

	if (walk.left > VQ_MAX_SEGMENTS)
		walk.left = VQ_MAX_SEGMENTS;
	while (walk.left && index < walk.count) {
		struct vring_desc desc;
		int ret = copy_desc(vq, section, walk.table + (uint64_t)index * sizeof(desc), &desc);

		if (ret)
			return ret;
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			ret = enter_table(&walk, &desc, visited);
			index = 0;
		} else {
			ret = chain_add_segment(chain, &desc, &walk.writable);
			index = desc.next;
			walk.left--;
			visited++;
			if (!ret && !(desc.flags & VRING_DESC_F_NEXT))
				return 0;
		}
		if (ret)
			return ret;
	}
	return -EINVAL;
}
