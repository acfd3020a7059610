/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shadow ring, driver's side (virtio 1.2, section 2.7). The back end may write anything anywhere: each field is
 * read once.
 */
#include "vmm/isolate/shadow_ring.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static uint16_t shadow_ring_load16(const void *at, memory_order order)
{
	return le16toh(atomic_load_explicit((const _Atomic uint16_t *)at, order));
}

static void shadow_ring_store16(void *at, uint16_t value, memory_order order)
{
	atomic_store_explicit((_Atomic uint16_t *)at, htole16(value), order);
}

void shadow_ring_clear(struct shadow *shadow)
{
	const size_t size = shadow->size;

	memset(shadow->desc, 0, size * sizeof(*shadow->desc));
	memset(shadow->avail, 0, sizeof(*shadow->avail) + 2 * size + 2);
	memset(shadow->used, 0, sizeof(*shadow->used) + 8 * size + 2);
	shadow->avail_idx = shadow->seen = shadow->goal = 0;
	shadow->broken = false;
}

void shadow_ring_post(struct shadow *shadow, uint16_t head)
{
	for (uint16_t i = head;; i = shadow->own[i].next) {
		const struct vring_desc *own = &shadow->own[i];

		shadow->desc[i] = (struct vring_desc){htole64(own->addr), htole32(own->len), htole16(own->flags),
						      htole16(own->flags & VRING_DESC_F_NEXT ? own->next : 0)};
		if (i == shadow->requests[head].last)
			break;
	}
	shadow_ring_store16(&shadow->avail->ring[shadow->avail_idx++ & (shadow->size - 1)], head, memory_order_relaxed);
}

bool shadow_ring_publish(struct shadow *shadow, uint16_t old)
{
	const uint16_t now = shadow->avail_idx;
	uint16_t event;

	if (now == old)
		return false;
	/*
	 * Release: data, descriptors and entries come before it. Partner: the back end's read barrier after its idx
	 * load.
	 */
	shadow_ring_store16(&shadow->avail->idx, now, memory_order_release);
	/*
	 * Our idx store before this load. Partner: the back end's barrier between its flag or event store and its idx
	 * load.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (!shadow->config.event_idx)
		return !(shadow_ring_load16(&shadow->used->flags, memory_order_relaxed) & VRING_USED_F_NO_NOTIFY);
	event = shadow_ring_load16(&shadow->used->ring[shadow->size], memory_order_relaxed);
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

int shadow_ring_look(struct shadow *shadow)
{
	/*
	 * Acquire: entries and buffers are read after it. Partner: the back end's write barrier before its idx store.
	 */
	const uint16_t index = shadow_ring_load16(&shadow->used->idx, memory_order_acquire);

	if ((uint16_t)(index - shadow->seen) > shadow->in_flight)
		return -EPROTO;
	shadow->goal = index;
	return 0;
}

int shadow_ring_used(struct shadow *shadow, uint16_t *head, uint32_t *written)
{
	const struct vring_used_elem *at = &shadow->used->ring[shadow->seen & (shadow->size - 1)];
	const uint32_t id = le32toh(atomic_load_explicit((const _Atomic uint32_t *)&at->id, memory_order_relaxed));
	const uint32_t len = le32toh(atomic_load_explicit((const _Atomic uint32_t *)&at->len, memory_order_relaxed));
	const struct shadow_request *request;

	if (id >= shadow->size || !shadow->requests[id].busy)
		return -EPROTO;
	request = &shadow->requests[id];
	*head = (uint16_t)id;
	*written = len;
	if (len > request->chain.writable_bytes) {
		*written = (uint32_t)request->chain.writable_bytes;
		shadow->clamped++;
	}
	return 0;
}

bool shadow_ring_ask(struct shadow *shadow)
{
	/* Without events the flags always ask for calls. */
	if (!shadow->config.event_idx)
		return false;
	shadow_ring_store16(&shadow->avail->ring[shadow->size], shadow->seen, memory_order_relaxed);
	/*
	 * Our event store before this load. Partner: the back end's barrier between its idx store and its event load.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	return shadow_ring_load16(&shadow->used->idx, memory_order_relaxed) != shadow->seen;
}
