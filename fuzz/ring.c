/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/ring.h"

#include <errno.h>

enum {
	HIDDEN = RING_DESC + (RING_PAGES - 1) * RING_PAGE,
	FROZEN = RING_DESC + (RING_PAGES - 2) * RING_PAGE,
	PATTERN = 0x5a,
	BUFFER = 1024,
	BUFFERS = (RING_DESC + RING_PAGES * RING_PAGE - RING_BUFFERS) / BUFFER, /* guarded pages, too */
};

bool ring_error_is_known(int ret)
{
	return ret == -EFAULT || ret == -EACCES || ret == -EINVAL;
}

/* An address in the rings' and buffers' pages more often than not. */
uint64_t ring_draw_iova(struct tape *tape)
{
	const uint8_t page = tape_u8(tape);

	if (page >= 250) /* so that what begins there wraps */
		return UINT64_MAX - tape_u8(tape);
	if (page >= 2 * RING_PAGES)
		return page & 1 ? tape_u64(tape) : RING_NOWHERE;
	return RING_DESC + (uint64_t)(page % RING_PAGES) * RING_PAGE + tape_u16(tape) % RING_PAGE;
}

struct ring *ring_draw(struct tape *tape)
{
	struct ring *ring = ring_create((uint16_t)(1u << tape_below(tape, 8)));
	const uint8_t flags = tape_u8(tape);

	ring->vq.indirect = flags & 1;
	ring->vq.event_idx = flags & 2;
	if (flags & 4) { /* as aligned as a transport lets them be */
		ring->vq.desc = ring_draw_iova(tape) & ~15ull;
		ring->vq.avail = ring_draw_iova(tape) & ~1ull;
		ring->vq.used = ring_draw_iova(tape) & ~3ull;
	}
	ring_page(ring, HIDDEN, 0);
	ring_page(ring, FROZEN, VIOMMU_READ);
	memset(ring_at(ring, HIDDEN), PATTERN, RING_PAGE);
	memset(ring_at(ring, FROZEN), PATTERN, RING_PAGE);
	return ring;
}

void ring_draw_desc(struct ring *ring, struct tape *tape)
{
	const unsigned index = tape_u8(tape), page = tape_below(tape, 5);
	const struct vring_desc desc = {ring_draw_iova(tape), tape_u8(tape) & 1 ? tape_u32(tape) : tape_u16(tape),
					tape_u8(tape) & 7, tape_u8(tape)};

	ring_desc(ring, page ? RING_TABLE + (page - 1ull) * RING_PAGE : RING_DESC, index % 256, desc);
}

void ring_draw_chain(struct ring *ring, struct tape *tape)
{
	const uint8_t shape = tape_u8(tape);
	const unsigned head = shape >> 4, readable = shape & 3, count = readable + (shape >> 2 & 3);

	for (unsigned i = 0; i < count; i++) {
		const struct vring_desc desc = {
			RING_BUFFERS + tape_u8(tape) % BUFFERS * (uint64_t)BUFFER, 1 + tape_u8(tape) * 16u,
			(uint16_t)((i >= readable ? VRING_DESC_F_WRITE : 0) | (i + 1 < count ? VRING_DESC_F_NEXT : 0)),
			(uint16_t)(head + i + 1)};

		ring_desc(ring, RING_DESC, head + i, desc);
	}
	ring_offer(ring, (uint16_t)head);
}

void ring_draw_long(struct ring *ring, struct tape *tape)
{
	const unsigned direct = tape_u8(tape), count = 1 + tape_u8(tape) * 4u;

	for (unsigned i = 0; i < direct; i++)
		ring_desc(ring, RING_DESC, i,
			  (struct vring_desc){RING_BUFFERS, 1, VRING_DESC_F_NEXT, (uint16_t)(i + 1)});
	ring_desc(ring, RING_DESC, direct,
		  (struct vring_desc){RING_TABLE, count * sizeof(struct vring_desc), VRING_DESC_F_INDIRECT, 0});
	for (unsigned i = 0; i < count && i < 4 * RING_PAGE / sizeof(struct vring_desc); i++)
		ring_desc(ring, RING_TABLE, i,
			  (struct vring_desc){RING_BUFFERS + i, 1, i + 1 < count ? VRING_DESC_F_NEXT : 0,
					      (uint16_t)(i + 1)});
	ring_offer(ring, 0);
}

void ring_draw_bytes(struct ring *ring, struct tape *tape)
{
	const uint64_t at = RING_DESC + (uint64_t)tape_below(tape, RING_PAGES - 2) * RING_PAGE;
	const unsigned offset = tape_u16(tape) % (RING_PAGE - 8);

	tape_copy(tape, (uint8_t *)ring_at(ring, at) + offset, 8);
}

void ring_draw_page(struct ring *ring, struct tape *tape)
{
	ring_page(ring, RING_DESC + (uint64_t)tape_below(tape, RING_PAGES - 2) * RING_PAGE, tape_below(tape, 4));
}

static void check_page(struct ring *ring, uint64_t page)
{
	const uint8_t *bytes = ring_at(ring, page);

	CHECK(bytes[0] == PATTERN && !memcmp(bytes, bytes + 1, RING_PAGE - 1), "page 0x%llx", (unsigned long long)page);
}

void ring_check_guards(struct ring *ring)
{
	check_page(ring, HIDDEN);
	check_page(ring, FROZEN);
}
