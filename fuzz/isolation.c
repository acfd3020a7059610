/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest and a back end that both write what they like, the one into its queue, the other into the bounce memory, with
 * the shadow queue between them. The back end never sees what the guest has not sent, no more is given back to the
 * guest than it has offered, and pages that it did not map for writing stay as they are.
 */
#include <errno.h>

#include "fuzz/ring.h"
#include "tests/support/shadow_peer.h"

enum { PAGES = 16, SHADOW_SIZE = 8, SECRET_PAGE = RING_DESC + (RING_PAGES - 1) * RING_PAGE, SECRET_AT = 100 };

static bool failed; /* the guest's queue cannot go on, so the device does not */

static void check_return(const struct peer *peer, int ret)
{
	failed = ret < 0 && ret != -EPROTO;
	CHECK(ret >= 0 ? ret < 16 : ring_error_is_known(ret) || ret == -EPROTO, "%d", ret);
	CHECK(peer->shadow.in_flight <= SHADOW_SIZE, "%u requests", peer->shadow.in_flight);
	CHECK(peer->shadow.free_descs <= SHADOW_SIZE && peer->shadow.free_pages <= PAGES, "more than all is free");
	CHECK(failed || (uint16_t)(peer->ring->vq.next_avail - peer->ring->vq.next_used) ==
				peer->shadow.in_flight + peer->shadow.pending_count,
	      "%u taken, %u given back, %u under way", peer->ring->vq.next_avail, peer->ring->vq.next_used,
	      peer->shadow.in_flight);
}

/* A used entry: of the request that is next, of one that there may be, or of anything. */
static void claim(struct peer *peer, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	const uint32_t id = kind & 8    ? peer->avail->ring[peer->next_used % SHADOW_SIZE]
			    : kind & 16 ? tape_u32(tape)
					: kind % SHADOW_SIZE;

	peer_claim(peer, id, kind & 0x40 ? tape_u32(tape) : tape_u8(tape));
	if (kind & 0x80)
		peer_publish(peer);
}

/* Eight bytes of the bounce memory: rings, descriptors, pages. */
static void scribble(struct peer *peer, struct tape *tape)
{
	const uint32_t at = tape_u8(tape) & 1
				    ? tape_u32(tape)
				    : tape_u16(tape) % 4096 + (uint32_t)((uint8_t *)peer->desc - peer->memory);

	tape_copy(tape, peer->memory + at % (peer->bounce.size - 8), 8);
}

/* Somebody else's process from here on. */
static void restart(struct peer *peer, struct tape *tape)
{
	const bool dma = tape_u8(tape) & 1;

	if (tape_u8(tape) & 1) {
		const int ret = shadow_restart(&peer->shadow, &peer->ring->vq, dma ? &peer->ring->section : NULL);

		CHECK(ret >= 0 || ring_error_is_known(ret), "%d", ret);
		failed = ret < 0;
	} else {
		shadow_reset(&peer->shadow);
		peer->ring->vq.next_used = peer->ring->vq.next_avail;
	}
	peer_begin(peer);
}

static void step(struct peer *peer, struct tape *tape)
{
	switch (tape_below(tape, 12)) {
	case 0:
	case 1:
		ring_draw_desc(peer->ring, tape);
		break;
	case 2:
		ring_offer(peer->ring, tape_u8(tape));
		break;
	case 3:
		ring_draw_bytes(peer->ring, tape);
		break;
	case 4:
		ring_draw_page(peer->ring, tape);
		break;
	case 5:
		check_return(peer, shadow_take(&peer->shadow, &peer->ring->vq, &peer->ring->section));
		break;
	case 6:
		check_return(peer, shadow_give(&peer->shadow, &peer->ring->vq, &peer->ring->section));
		break;
	case 7:
		claim(peer, tape);
		break;
	case 8:
		scribble(peer, tape);
		break;
	case 9:
	case 10:
		ring_draw_chain(peer->ring, tape);
		break;
	default:
		restart(peer, tape);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	const uint8_t kind = tape_u8(&tape);
	const struct shadow_config config = {kind & 1, kind & 2, kind & 4 ? 1 : -1};
	struct peer *peer = peer_create(1, SHADOW_SIZE, PAGES, config);
	uint8_t *hidden, secret[SECRET_SIZE];

	make_secret(&tape, secret);
	ring_destroy(peer->ring);
	peer->ring = ring_draw(&tape);
	hidden = ring_at(peer->ring, SECRET_PAGE);
	memcpy(hidden + SECRET_AT, secret, sizeof(secret));
	failed = false;
	while (tape.left && !failed)
		step(peer, &tape);
	CHECK(!peer_finds(peer, secret, sizeof(secret)), "the back end sees what was not sent");
	CHECK(!memcmp(hidden + SECRET_AT, secret, sizeof(secret)), "the hidden page has changed");
	memset(hidden + SECRET_AT, hidden[0], sizeof(secret));
	ring_check_guards(peer->ring);
	peer_destroy(peer);
	return 0;
}
