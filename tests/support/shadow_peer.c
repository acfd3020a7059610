/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/shadow_peer.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct peer *peer_create(uint16_t guest_size, uint16_t shadow_size, unsigned pages, struct shadow_config config)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct bounce_region region;
	struct bounce_queue at;

	peer->ring = ring_create(guest_size);
	peer->size = shadow_size;
	assert_int_equal(bounce_init(&peer->bounce, 2, shadow_size, pages), 0);
	/* The second queue: what lies before it is the first one's. */
	assert_int_equal(shadow_init(&peer->shadow, &peer->bounce, 1, &config), 0);
	region = bounce_region(&peer->bounce);
	peer->memory = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, region.fd, 0);
	assert_ptr_not_equal(peer->memory, MAP_FAILED);
	at = bounce_queue(&peer->bounce, 1);
	peer->desc = (struct vring_desc *)(peer->memory + at.desc);
	peer->avail = (struct vring_avail *)(peer->memory + at.avail);
	peer->used = (struct vring_used *)(peer->memory + at.used);
	return peer;
}

void peer_destroy(struct peer *peer)
{
	munmap(peer->memory, peer->bounce.size);
	shadow_fini(&peer->shadow);
	bounce_fini(&peer->bounce);
	ring_destroy(peer->ring);
	free(peer);
}

void peer_begin(struct peer *peer)
{
	peer->next_avail = peer->next_used = 0;
}

/* Go through a request: read what is readable, or write `len` bytes of data. */
static void walk(struct peer *peer, uint16_t head, const uint8_t *data, uint32_t len)
{
	uint16_t index = head;

	peer->descs = peer->readable = peer->writable = 0;
	for (;;) {
		const struct vring_desc desc = peer->desc[index];
		uint8_t *at = peer->memory + (desc.addr - BOUNCE_BASE);

		assert_in_range(desc.addr, BOUNCE_BASE, BOUNCE_BASE + peer->bounce.size - desc.len);
		assert_int_not_equal(desc.len, 0);
		assert_true(++peer->descs <= peer->size);
		if (desc.flags & VRING_DESC_F_WRITE) {
			const uint32_t piece = len < desc.len ? len : desc.len;

			if (piece)
				memcpy(at, data + peer->writable, piece);
			len -= piece;
			peer->writable += desc.len;
		} else {
			assert_int_equal(peer->writable, 0);
			assert_true(peer->readable + desc.len <= PEER_BYTES);
			memcpy(peer->sent + peer->readable, at, desc.len);
			peer->readable += desc.len;
		}
		if (!(desc.flags & VRING_DESC_F_NEXT))
			break;
		index = desc.next;
	}
	assert_int_equal(len, 0);
}

bool peer_take(struct peer *peer)
{
	if (atomic_load((_Atomic uint16_t *)&peer->avail->idx) == peer->next_avail)
		return false;
	peer->head = peer->avail->ring[peer->next_avail++ % peer->size];
	walk(peer, peer->head, NULL, 0);
	return true;
}

void peer_claim(struct peer *peer, uint32_t id, uint32_t len)
{
	peer->used->ring[peer->next_used++ % peer->size] = (struct vring_used_elem){id, len};
}

void peer_publish(struct peer *peer)
{
	atomic_store((_Atomic uint16_t *)&peer->used->idx, peer->next_used);
}

void peer_use(struct peer *peer, uint16_t head, const void *data, uint32_t len)
{
	walk(peer, head, data, len);
	peer_claim(peer, head, len);
}

bool peer_finds(const struct peer *peer, const void *bytes, size_t len)
{
	return memmem(peer->memory, peer->bounce.size, bytes, len);
}

int peer_do_take(struct peer *peer)
{
	int ret = SHADOW_MORE, flags = 0;

	while (ret > 0 && (ret & SHADOW_MORE)) {
		ret = shadow_take(&peer->shadow, &peer->ring->vq, &peer->ring->section);
		flags |= ret;
	}
	return ret < 0 ? ret : flags;
}

int peer_do_give(struct peer *peer)
{
	int ret = SHADOW_MORE, flags = 0;

	while (ret > 0 && (ret & SHADOW_MORE)) {
		ret = shadow_give(&peer->shadow, &peer->ring->vq, &peer->ring->section);
		flags |= ret;
	}
	return ret < 0 ? ret : flags;
}

unsigned guest_offer(struct peer *peer, uint16_t head, uint64_t from, uint32_t readable, uint64_t to, uint32_t writable,
		     uint32_t piece)
{
	unsigned index = head;

	while (readable || writable) {
		uint32_t *left = readable ? &readable : &writable;
		uint64_t *at = readable ? &from : &to;
		const uint32_t len = *left < piece ? *left : piece;
		struct vring_desc desc = {*at, len, readable ? 0 : VRING_DESC_F_WRITE, (uint16_t)(index + 1)};

		*left -= len;
		*at += len;
		if (readable || writable)
			desc.flags |= VRING_DESC_F_NEXT;
		assert_true(index < peer->ring->vq.size);
		ring_desc(peer->ring, RING_DESC, index++, desc);
	}
	ring_offer(peer->ring, head);
	return index - head;
}

bool guest_used(struct peer *peer, struct vring_used_elem *elem)
{
	const uint64_t ring = RING_USED + offsetof(struct vring_used, ring);

	if (ring_load(peer->ring, RING_USED + offsetof(struct vring_used, idx)) == peer->guest_used)
		return false;
	memcpy(elem, ring_at(peer->ring, ring + 8ull * (peer->guest_used++ % peer->ring->vq.size)), sizeof(*elem));
	return true;
}

void guest_write(struct peer *peer, uint64_t iova, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*(uint8_t *)ring_at(peer->ring, iova + i) = ((const uint8_t *)bytes)[i];
}

void guest_read(struct peer *peer, uint64_t iova, void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = *(uint8_t *)ring_at(peer->ring, iova + i);
}
