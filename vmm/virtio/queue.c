/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/virtio/queue.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

/* Total bytes of a chain, section 2.7.5.2. */
#define CHAIN_BYTES_MAX (1ull << 32)

static_assert(sizeof(struct vring_desc) == 16, "descriptor");
static_assert(sizeof(struct vring_used_elem) == 8, "used element");

/* Find a field of the rings. Aligned to its size, it lies in one page and so in one piece. */
static int field_at(struct viommu_section *section, uint64_t base, uint64_t offset, size_t len, unsigned access,
		    void **host)
{
	struct viommu_span span;
	int ret = viommu_dma_translate(section, (struct viommu_iova){base + offset}, len, access, &span);

	if (ret)
		return ret;
	if (span.len < len)
		return -EFAULT;
	*host = span.host;
	return 0;
}

static int load16(struct viommu_section *section, uint64_t base, uint64_t offset, memory_order order, uint16_t *value)
{
	void *host;
	int ret = field_at(section, base, offset, sizeof(*value), VIOMMU_READ, &host);

	if (!ret)
		*value = le16toh(atomic_load_explicit((_Atomic uint16_t *)host, order));
	return ret;
}

static int store16(struct viommu_section *section, uint64_t base, uint64_t offset, memory_order order, uint16_t value)
{
	void *host;
	int ret = field_at(section, base, offset, sizeof(value), VIOMMU_WRITE, &host);

	if (!ret)
		atomic_store_explicit((_Atomic uint16_t *)host, htole16(value), order);
	return ret;
}

int vq_waiting(struct vq *vq, struct viommu_section *section)
{
	uint16_t index, waiting;
	/* Acquire: entries and descriptors are read after it. Partner: the driver's write barrier before its idx store. */
	int ret = load16(section, vq->avail, offsetof(struct vring_avail, idx), memory_order_acquire, &index);

	if (ret)
		return ret;
	waiting = (uint16_t)(index - vq->next_avail);
	return waiting > vq->size ? -EINVAL : waiting;
}

/* One descriptor, read once: as two words that the compiler must not fetch again. */
static int copy_desc(struct vq *vq, struct viommu_section *section, uint16_t index, struct vring_desc *desc)
{
	uint64_t words[2];
	void *host;
	int ret = field_at(section, vq->desc, (uint64_t)index * sizeof(*desc), sizeof(*desc), VIOMMU_READ, &host);

	if (ret)
		return ret;
	for (unsigned i = 0; i < 2; i++)
		words[i] = atomic_load_explicit((_Atomic uint64_t *)host + i, memory_order_relaxed);
	memcpy(desc, words, sizeof(*desc));
	desc->addr = le64toh(desc->addr);
	desc->len = le32toh(desc->len);
	desc->flags = le16toh(desc->flags);
	desc->next = le16toh(desc->next);
	return 0;
}

/* Add a descriptor to the chain. Unknown flags are reserved and mean nothing; INDIRECT was not offered. */
static int add_segment(struct vq_chain *chain, const struct vring_desc *desc, bool *writable)
{
	if (desc->flags & VRING_DESC_F_INDIRECT)
		return -EINVAL;
	if (desc->flags & VRING_DESC_F_WRITE)
		*writable = true;
	else if (*writable)
		return -EINVAL; /* section 2.7.4.2: readable ones come first */
	/* Section 2.7 does not forbid empty ones; there is nothing to translate in them. */
	if (!desc->len)
		return 0;
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

/* A chain visits no descriptor twice, so one that is longer than the table has a loop. */
static int walk_chain(struct vq *vq, struct viommu_section *section, struct vq_chain *chain)
{
	uint16_t index = chain->head;
	bool writable = false;

	for (unsigned i = 0; i < vq->size && i < VQ_MAX_SEGMENTS; i++) {
		struct vring_desc desc;
		int ret;

		if (index >= vq->size)
			return -EINVAL;
		ret = copy_desc(vq, section, index, &desc);
		if (!ret)
			ret = add_segment(chain, &desc, &writable);
		if (ret)
			return ret;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		index = desc.next;
	}
	return -EINVAL;
}

int vq_pop(struct vq *vq, struct viommu_section *section, struct vq_chain *chain)
{
	uint64_t entry = offsetof(struct vring_avail, ring) + 2ull * (vq->next_avail & (vq->size - 1));
	int ret = vq_waiting(vq, section);

	if (ret <= 0)
		return ret;
	chain->readable = chain->writable = 0;
	chain->readable_bytes = chain->writable_bytes = 0;
	ret = load16(section, vq->avail, entry, memory_order_relaxed, &chain->head);
	if (!ret)
		ret = walk_chain(vq, section, chain);
	if (ret)
		return ret;
	vq->next_avail++;
	return 1;
}

void vq_unpop(struct vq *vq)
{
	vq->next_avail--;
}

int vq_push(struct vq *vq, struct viommu_section *section, uint16_t head, uint32_t written)
{
	uint64_t entry = offsetof(struct vring_used, ring) +
			 sizeof(struct vring_used_elem) * (uint64_t)(vq->next_used & (vq->size - 1));
	uint16_t next = (uint16_t)(vq->next_used + 1);
	_Atomic uint32_t *elem;
	void *host;
	int ret;

	/* The entry is only 4-byte aligned in a ring whose base is: two stores, each in one page. */
	for (unsigned i = 0; i < 2; i++) {
		ret = field_at(section, vq->used, entry + 4 * i, sizeof(*elem), VIOMMU_WRITE, &host);
		if (ret)
			return ret;
		elem = host;
		atomic_store_explicit(elem, htole32(i ? written : head), memory_order_relaxed);
	}
	/* Release: buffers and entry come before the index. Partner: the driver's read barrier after its idx load. */
	ret = store16(section, vq->used, offsetof(struct vring_used, idx), memory_order_release, next);
	if (!ret)
		vq->next_used = next;
	return ret;
}

int vq_wants_interrupt(struct vq *vq, struct viommu_section *section)
{
	uint16_t flags;
	int ret;

	if (vq->signalled_used == vq->next_used)
		return 0;
	vq->signalled_used = vq->next_used;
	/* Our idx store before the flags load. Partner: the driver's barrier between clearing the flag and reading idx. */
	atomic_thread_fence(memory_order_seq_cst);
	ret = load16(section, vq->avail, offsetof(struct vring_avail, flags), memory_order_relaxed, &flags);
	return ret ? ret : !(flags & VRING_AVAIL_F_NO_INTERRUPT);
}

int vq_ask_kicks(struct vq *vq, struct viommu_section *section, bool wanted)
{
	uint16_t flags = wanted ? 0 : VRING_USED_F_NO_NOTIFY;
	int ret;

	if (flags == vq->used_flags)
		return 0;
	ret = store16(section, vq->used, offsetof(struct vring_used, flags), memory_order_relaxed, flags);
	if (ret)
		return ret;
	vq->used_flags = flags;
	/* Our flags store before the caller looks at avail's idx. Partner: the driver's barrier between idx and flags. */
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}

static bool part_has(const struct vq_chain *chain, bool writable, uint64_t offset, uint64_t len)
{
	uint64_t bytes = writable ? chain->writable_bytes : chain->readable_bytes;

	return offset <= bytes && len <= bytes - offset;
}

int vq_translate_part(struct viommu_section *section, const struct vq_chain *chain, bool writable, uint64_t offset,
		      uint64_t len, struct viommu_span *spans, unsigned max, uint64_t *done)
{
	const struct vq_segment *segment = chain->segments + (writable ? chain->readable : 0);
	unsigned access = writable ? VIOMMU_WRITE : VIOMMU_READ;
	unsigned count = 0;

	*done = 0;
	if (!part_has(chain, writable, offset, len))
		return -EINVAL;
	while (*done < len && count < max) {
		uint64_t wanted = len - *done;
		int ret;

		if (offset >= segment->len) {
			offset -= segment->len;
			segment++;
			continue;
		}
		if (wanted > segment->len - offset)
			wanted = segment->len - offset;
		ret = viommu_dma_translate(section, (struct viommu_iova){segment->iova.value + offset}, wanted, access,
					   &spans[count]);
		if (ret)
			return ret;
		*done += spans[count].len;
		offset += spans[count].len;
		count++;
	}
	return (int)count;
}

int vq_translate(struct viommu_section *section, const struct vq_chain *chain, bool writable, uint64_t offset,
		 uint64_t len, struct viommu_span *spans, unsigned max)
{
	uint64_t done;
	int count = vq_translate_part(section, chain, writable, offset, len, spans, max, &done);

	return count >= 0 && done < len ? -E2BIG : count;
}

int vq_copy_in(struct viommu_section *section, const struct vq_chain *chain, uint64_t offset, void *buffer, size_t len)
{
	uint8_t *to = buffer;

	while (len) {
		struct viommu_span span;
		uint64_t done;
		int ret = vq_translate_part(section, chain, false, offset, len, &span, 1, &done);

		if (ret < 0)
			return ret;
		memcpy(to, span.host, done);
		to += done;
		offset += done;
		len -= done;
	}
	return 0;
}

int vq_copy_out(struct viommu_section *section, const struct vq_chain *chain, uint64_t offset, const void *buffer,
		size_t len)
{
	const uint8_t *from = buffer;

	while (len) {
		struct viommu_span span;
		uint64_t done;
		int ret = vq_translate_part(section, chain, true, offset, len, &span, 1, &done);

		if (ret < 0)
			return ret;
		memcpy(span.host, from, done);
		from += done;
		offset += done;
		len -= done;
	}
	return 0;
}
