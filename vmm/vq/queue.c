/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vq/queue.h"

#include <assert.h>
#include <endian.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>

#include "vmm/vq/ring.h"

static_assert(sizeof(struct vring_used_elem) == 8, "used element");

static int queue_load16(const struct vq *vq, struct viommu_section *section, uint64_t base, uint64_t offset,
			memory_order order, uint16_t *value)
{
	void *host;
	int ret = ring_field(vq, section, base, offset, sizeof(*value), VIOMMU_READ, &host);

	if (!ret)
		*value = le16toh(atomic_load_explicit((_Atomic uint16_t *)host, order));
	return ret;
}

static int queue_store16(const struct vq *vq, struct viommu_section *section, uint64_t base, uint64_t offset,
			 memory_order order, uint16_t value)
{
	void *host;
	int ret = ring_field(vq, section, base, offset, sizeof(value), VIOMMU_WRITE, &host);

	if (!ret)
		atomic_store_explicit((_Atomic uint16_t *)host, htole16(value), order);
	return ret;
}

int vq_waiting(struct vq *vq, struct viommu_section *section)
{
	uint16_t index, waiting;
	/*
	 * Acquire: entries and descriptors are read after it. Partner: the driver's write barrier before its idx store.
	 */
	int ret = queue_load16(vq, section, vq->avail, offsetof(struct vring_avail, idx), memory_order_acquire, &index);

	if (ret)
		return ret;
	waiting = (uint16_t)(index - vq->next_avail);
	return waiting > vq->size ? -EINVAL : waiting;
}

/* Where the driver says after which used entry it wants an interrupt, section 2.7.7: behind the available ring. */
static uint64_t used_event_at(const struct vq *vq)
{
	return offsetof(struct vring_avail, ring) + sizeof(uint16_t) * (uint64_t)vq->size;
}

/* Where we say from which available entry on we want to be notified, section 2.7.9: behind the used ring. */
static uint64_t avail_event_at(const struct vq *vq)
{
	return offsetof(struct vring_used, ring) + sizeof(struct vring_used_elem) * (uint64_t)vq->size;
}

/* Ask to be notified of the next chain. The flags stay 0 where events are in use, section 2.7.10. */
static int want_event(struct vq *vq, struct viommu_section *section)
{
	int ret = 0;

	/* What is written already holds: the driver looks at it after it has made that entry available. */
	if (vq->event_written && vq->avail_event == vq->next_avail)
		return 0;
	if (!vq->event_written)
		ret = queue_store16(vq, section, vq->used, offsetof(struct vring_used, flags), memory_order_relaxed, 0);
	if (!ret)
		ret = queue_store16(vq, section, vq->used, avail_event_at(vq), memory_order_relaxed, vq->next_avail);
	if (ret)
		return ret;
	vq->avail_event = vq->next_avail;
	vq->event_written = true;
	/*
	 * Our event store before the load of avail's idx. Partner: the driver's barrier between its idx store and its
	 * event load.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}

/* Go on behind an error: what else is missing is asked for with it. */
static int resolve_area(struct vq *vq, struct viommu_section *section, uint64_t iova, uint64_t len, unsigned access)
{
	int ret = 0;

	while (len) {
		const uint64_t page = 4096 - iova % 4096;
		struct viommu_span span = {.len = len < page ? len : page};
		int err = viommu_dma_translate(section, (struct viommu_iova){iova}, len, access, &span);

		if (!err && vq->piece_count < VQ_PIECES)
			vq->pieces[vq->piece_count++] = (struct vq_piece){iova, span.len, span.host, access};
		/* What cannot be had by waiting says more than what can. */
		if (err && (!ret || ret == -EAGAIN))
			ret = err;
		iova += span.len;
		len -= span.len;
	}
	return ret;
}

static int worse(int one, int other)
{
	return one && one != -EAGAIN ? one : other ? other : one;
}

int vq_resolve(struct vq *vq, struct viommu_section *section)
{
	const uint64_t size = vq->size;
	int ret;

	vq->piece_count = 0;
	ret = resolve_area(vq, section, vq->desc, sizeof(struct vring_desc) * size, VIOMMU_READ);
	ret = worse(ret, resolve_area(vq, section, vq->avail, used_event_at(vq) + sizeof(uint16_t), VIOMMU_READ));
	ret = worse(ret, resolve_area(vq, section, vq->used, avail_event_at(vq) + sizeof(uint16_t), VIOMMU_WRITE));
	if (!ret && vq->adopt) {
		void *host =
			ring_resolved(vq, vq->used + offsetof(struct vring_used, idx), sizeof(uint16_t), VIOMMU_WRITE);

		/* Relaxed: nobody but devices writes it. */
		vq->next_used = le16toh(atomic_load_explicit((_Atomic uint16_t *)host, memory_order_relaxed));
		vq->signalled_used = vq->next_used;
		vq->adopt = false;
		vq->adopted = true;
	}
	if (ret)
		vq->piece_count = 0;
	return ret;
}

void vq_release(struct vq *vq)
{
	vq->piece_count = 0;
}

/* The ring looks empty. With events nobody would notify us of the next chain unless we ask for it, and look again. */
static int queue_look_again(struct vq *vq, struct viommu_section *section)
{
	int ret;

	if (!vq->event_idx || vq->kicks_refused)
		return 0;
	ret = want_event(vq, section);
	return ret ? ret : vq_waiting(vq, section);
}

int vq_take(struct vq *vq, struct viommu_section *section, struct vq_chain *chain)
{
	uint64_t entry = offsetof(struct vring_avail, ring) + 2ull * (vq->next_avail & (vq->size - 1));
	int ret = queue_load16(vq, section, vq->avail, entry, memory_order_relaxed, &chain->head);

	chain->readable = chain->writable = 0;
	chain->readable_bytes = chain->writable_bytes = 0;
	if (!ret)
		ret = chain_read(vq, section, chain);
	if (!ret)
		vq->next_avail++;
	return ret;
}

int vq_pop(struct vq *vq, struct viommu_section *section, struct vq_chain *chain)
{
	int ret = vq_waiting(vq, section);

	if (!ret)
		ret = queue_look_again(vq, section);
	if (ret <= 0)
		return ret;
	ret = vq_take(vq, section, chain);
	return ret ? ret : 1;
}

void vq_unpop(struct vq *vq)
{
	vq->next_avail--;
}

void vq_skip(struct vq *vq)
{
	vq->next_avail++;
}

/* Fill the entry with this index; the driver does not see it yet. */
static int put_used(struct vq *vq, struct viommu_section *section, uint16_t index, const struct vq_used *used)
{
	uint64_t entry =
		offsetof(struct vring_used, ring) + sizeof(struct vring_used_elem) * (uint64_t)(index & (vq->size - 1));
	_Atomic uint32_t *elem;
	void *host;

	/* The entry is only 4-byte aligned in a ring whose base is: two stores, each in one page. */
	for (unsigned i = 0; i < 2; i++) {
		int ret = ring_field(vq, section, vq->used, entry + 4 * i, sizeof(*elem), VIOMMU_WRITE, &host);

		if (ret)
			return ret;
		elem = host;
		atomic_store_explicit(elem, htole32(i ? used->written : used->head), memory_order_relaxed);
	}
	return 0;
}

int vq_push_all(struct vq *vq, struct viommu_section *section, const struct vq_used *used, unsigned count)
{
	uint16_t next = (uint16_t)(vq->next_used + count);
	int ret = 0;

	for (unsigned i = 0; i < count && !ret; i++)
		ret = put_used(vq, section, (uint16_t)(vq->next_used + i), &used[i]);
	/* Release: buffers and entries come before the index. Partner: the driver's read barrier after its idx load. */
	if (!ret)
		ret = queue_store16(vq, section, vq->used, offsetof(struct vring_used, idx), memory_order_release,
				    next);
	if (!ret)
		vq->next_used = next;
	return ret;
}

int vq_push(struct vq *vq, struct viommu_section *section, uint16_t head, uint32_t written)
{
	const struct vq_used used = {head, written};

	return vq_push_all(vq, section, &used, 1);
}

int vq_wants_interrupt(struct vq *vq, struct viommu_section *section)
{
	uint16_t old = vq->signalled_used, value;
	uint64_t at = vq->event_idx ? used_event_at(vq) : offsetof(struct vring_avail, flags);
	int ret;

	/* A back end that died between the two may have left a driver that waits for it and does nothing else. */
	if (vq->adopted) {
		vq->adopted = false;
		vq->signalled_used = vq->next_used;
		return 1;
	}
	if (old == vq->next_used)
		return 0;
	vq->signalled_used = vq->next_used;
	/*
	 * Our idx store before this load. Partner: the driver's barrier between its flag or event store and its idx
	 * load.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	ret = queue_load16(vq, section, vq->avail, at, memory_order_relaxed, &value);
	if (ret)
		return ret;
	/* Section 2.7.7.2: the entry that the driver waits for is among those since the last time. Modulo 2^16. */
	if (vq->event_idx)
		return (uint16_t)(vq->next_used - value - 1) < (uint16_t)(vq->next_used - old);
	return !(value & VRING_AVAIL_F_NO_INTERRUPT);
}

static int write_flags(struct vq *vq, struct viommu_section *section, uint16_t flags)
{
	int ret;

	if (flags == vq->used_flags)
		return 0;
	ret = queue_store16(vq, section, vq->used, offsetof(struct vring_used, flags), memory_order_relaxed, flags);
	if (ret)
		return ret;
	vq->used_flags = flags;
	/*
	 * Our flags store before the caller looks at avail's idx. Partner: the driver's barrier between idx and flags.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}

int vq_ask_kicks(struct vq *vq, struct viommu_section *section, bool wanted)
{
	vq->kicks_refused = !wanted;
	if (!vq->event_idx)
		return write_flags(vq, section, wanted ? 0 : VRING_USED_F_NO_NOTIFY);
	/* An event that lies behind is as good as none. */
	return wanted ? want_event(vq, section) : 0;
}

int vq_idle(struct vq *vq, struct viommu_section *section)
{
	const int ret = vq_ask_kicks(vq, section, true);

	return ret ? ret : vq_waiting(vq, section);
}
