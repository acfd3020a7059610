/* SPDX-License-Identifier: BSD-2-Clause */
/* The shadow queue between a guest's driver and a back end that has only the bounce memory. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/seeds.h"
#include "tests/support/shadow_peer.h"

enum { SIZE = 64, PAGES = 64, FROM = RING_BUFFERS, TO = RING_BUFFERS + 0x18000, FULL = 0x10000 };

static uint8_t pattern[FULL], got[FULL];

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static void fill(uint8_t *bytes, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(next_random(&seed) | 1);
}

static int setup(void **state)
{
	*state = peer_create(SIZE, SIZE, PAGES, (struct shadow_config){.failed_status = -1});
	fill(pattern, FULL, 1);
	return 0;
}

static int teardown(void **state)
{
	peer_destroy(*state);
	return 0;
}

/* The guest has got this back, and nothing else. */
static void expect_used(struct peer *peer, uint32_t id, uint32_t len)
{
	struct vring_used_elem elem;

	assert_true(guest_used(peer, &elem));
	assert_int_equal(elem.id, id);
	assert_int_equal(elem.len, len);
}

static void expect_nothing(struct peer *peer)
{
	struct vring_used_elem elem;

	assert_false(guest_used(peer, &elem));
}

/* One request there and back. */
static void round_trip(struct peer *peer, uint32_t readable, uint32_t writable, uint32_t piece)
{
	guest_write(peer, FROM + 7, pattern, readable);
	guest_offer(peer, 0, FROM + 7, readable, TO + 5, writable, piece);
	assert_true(peer_do_take(peer) & SHADOW_KICK);
	assert_true(peer_take(peer));
	assert_int_equal(peer->readable, readable);
	assert_int_equal(peer->writable, writable);
	assert_memory_equal(peer->sent, pattern, readable);
	fill(got, writable, 2);
	peer_use(peer, peer->head, got, writable);
	peer_publish(peer);
	assert_int_equal(peer_do_give(peer), SHADOW_INTERRUPT);
	expect_used(peer, 0, writable);
	guest_read(peer, TO + 5, pattern, writable);
	assert_memory_equal(pattern, got, writable);
	fill(pattern, FULL, 1);
}

static void test_sizes_both_directions(void **state)
{
	static const uint32_t sizes[] = {1, 2, 16, 4095, 4096, 4097, 9000, 0xffff, FULL};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		round_trip(*state, sizes[i], 0, 4096);
		round_trip(*state, 0, sizes[i], 4096);
		round_trip(*state, sizes[i], sizes[i], 3000);
		round_trip(*state, 3, sizes[i], FULL);
	}
}

/* Header, data and status stay descriptors of their own where there is room, as some back ends need. */
static void test_segments_are_kept(void **state)
{
	struct peer *peer = *state;

	guest_offer(peer, 0, FROM, 32, TO, 16, 16);
	peer_do_take(peer);
	assert_true(peer_take(peer));
	assert_int_equal(peer->descs, 3);
}

static void test_more_segments_than_descriptors(void **state)
{
	struct peer *peer = peer_create(SIZE, 4, PAGES, (struct shadow_config){.failed_status = -1});

	(void)state;
	round_trip(peer, 40, 20, 1);
	assert_true(peer->descs <= 4);
	peer_destroy(peer);
}

static void test_queue_wrap(void **state)
{
	for (unsigned i = 0; i < 70000; i++) {
		struct peer *peer = *state;

		guest_offer(peer, 0, FROM, 4, TO, 4, 4);
		peer_do_take(peer);
		assert_true(peer_take(peer));
		peer_use(peer, peer->head, "abcd", 4);
		peer_publish(peer);
		assert_int_equal(peer_do_give(peer), SHADOW_INTERRUPT);
		expect_used(peer, 0, 4);
	}
}

static void test_pool_exhausted_and_recovers(void **state)
{
	struct peer *peer = *state;
	unsigned taken = 0;

	for (uint16_t i = 0; i < 8; i++)
		guest_offer(peer, i, FROM, FULL, 0, 0, FULL);
	for (unsigned given = 0; given < 8; given++) {
		assert_true(peer_do_take(peer) >= 0);
		while (peer_take(peer)) {
			taken++;
			peer_claim(peer, peer->head, 0);
		}
		/* 16 pages each. */
		assert_true(taken - given <= PAGES / 16);
		atomic_store((_Atomic uint16_t *)&peer->used->idx, (uint16_t)(given + 1));
		assert_int_equal(peer_do_give(peer), given < 4 ? SHADOW_INTERRUPT | SHADOW_ROOM : SHADOW_INTERRUPT);
		expect_used(peer, given, 0);
	}
	assert_int_equal(taken, 8);
	assert_int_equal(peer->shadow.free_pages, PAGES);
	assert_int_equal(peer->shadow.free_descs, SIZE);
}

static void test_too_large_does_not_block(void **state)
{
	struct peer *peer = *state;

	guest_offer(peer, 0, FROM, 4, TO, 0x41000, 0x41000);
	guest_offer(peer, 2, FROM, 4, 0, 0, 4);
	assert_int_equal(peer_do_take(peer), SHADOW_KICK | SHADOW_INTERRUPT);
	expect_used(peer, 0, 0);
	assert_true(peer_take(peer));
	assert_int_equal(peer->readable, 4);
	assert_false(peer_take(peer));
}

static void test_unmapped_at_copy_in(void **state)
{
	struct peer *peer = *state;

	ring_page(peer->ring, FROM + RING_PAGE, 0);
	guest_write(peer, FROM, pattern, RING_PAGE);
	guest_offer(peer, 0, FROM, 2 * RING_PAGE, 0, 0, FULL);
	guest_offer(peer, 1, FROM, 8, 0, 0, 8);
	assert_int_equal(peer_do_take(peer), SHADOW_KICK | SHADOW_INTERRUPT);
	expect_used(peer, 0, 0);
	assert_true(peer_take(peer));
	assert_int_equal(peer->readable, 8);
	/* What was copied before the fault is gone. */
	assert_false(peer_finds(peer, pattern + 100, 16));
}

static void test_unmapped_at_copy_out(void **state)
{
	struct peer *peer = *state;

	memset(ring_at(peer->ring, TO + RING_PAGE), 0, RING_PAGE);
	guest_offer(peer, 0, 0, 0, TO, 2 * RING_PAGE, FULL);
	peer_do_take(peer);
	assert_true(peer_take(peer));
	ring_page(peer->ring, TO + RING_PAGE, VIOMMU_READ);
	peer_use(peer, peer->head, pattern, 2 * RING_PAGE);
	peer_publish(peer);
	assert_int_equal(peer_do_give(peer), SHADOW_INTERRUPT);
	expect_used(peer, 0, 0);
	guest_read(peer, TO + RING_PAGE, got, RING_PAGE);
	for (unsigned i = 0; i < RING_PAGE; i++)
		assert_int_equal(got[i], 0);
	ring_page(peer->ring, TO + RING_PAGE, VIOMMU_READ | VIOMMU_WRITE);
	round_trip(peer, 100, 100, 50);
}

static void test_status_of_failed_request(void **state)
{
	struct peer *peer =
		peer_create(SIZE, SIZE, PAGES, (struct shadow_config){.failed_status = 1, .copy_all = true});
	uint8_t status[2] = {0xff, 0xff};

	(void)state;
	guest_write(peer, TO, status, 2);
	ring_page(peer->ring, FROM, 0);
	guest_offer(peer, 0, FROM, 16, TO, 2, 16);
	assert_int_equal(peer_do_take(peer), SHADOW_INTERRUPT);
	expect_used(peer, 0, 1);
	guest_read(peer, TO, status, 2);
	assert_int_equal(status[0], 0xff);
	assert_int_equal(status[1], 1);
	/* A back end that reports less than it writes. */
	guest_offer(peer, 0, 0, 0, TO, 100, 100);
	peer_do_take(peer);
	assert_true(peer_take(peer));
	peer_use(peer, peer->head, pattern, 100);
	peer->next_used--;
	peer_claim(peer, peer->head, 1);
	peer_publish(peer);
	assert_int_equal(peer_do_give(peer), SHADOW_INTERRUPT);
	expect_used(peer, 0, 1);
	guest_read(peer, TO, got, 100);
	assert_memory_equal(got, pattern, 100);
	peer_destroy(peer);
}

/* Two requests with the back end, which then breaks the rules; the next one gets what it had not answered. */
static void hostile(struct peer *peer, uint32_t first, uint32_t second, uint16_t jump, unsigned answered)
{
	/* Descriptors are taken from 0 on: the requests are 0 and 2 for the back end too. */
	shadow_reset(&peer->shadow);
	peer_begin(peer);
	guest_offer(peer, 0, FROM, 4, TO, 4, 4);
	guest_offer(peer, 2, FROM, 4, TO, 4, 4);
	peer_do_take(peer);
	peer_claim(peer, first, 0);
	peer_claim(peer, second, 0);
	peer->next_used = (uint16_t)(peer->next_used + jump);
	peer_publish(peer);
	assert_int_equal(peer_do_give(peer), -EPROTO);
	assert_int_equal(peer_do_give(peer), -EPROTO);
	expect_nothing(peer);
	assert_true(shadow_restart(&peer->shadow, &peer->ring->vq, &peer->ring->section) >= 0);
	peer_begin(peer);
	for (unsigned i = answered; i < 2; i++) {
		assert_true(peer_take(peer));
		peer_use(peer, peer->head, "abcd", 4);
	}
	assert_false(peer_take(peer));
	peer_publish(peer);
	assert_true(peer_do_give(peer) >= 0);
	expect_used(peer, 0, answered ? 0 : 4);
	expect_used(peer, 2, 4);
	expect_nothing(peer);
}

static void test_hostile_entries(void **state)
{
	hostile(*state, SIZE, 0, 0, 0);
	hostile(*state, 0xffffffff, 0, 0, 0);
	hostile(*state, 0x10000, 0, 0, 0);
	hostile(*state, 0, 0, 0, 1);  /* twice */
	hostile(*state, 1, 0, 0, 0);  /* the middle of a chain */
	hostile(*state, 0, 50, 0, 1); /* not in flight */
	hostile(*state, 0, 2, 1, 0);  /* more entries than requests */
	hostile(*state, 0, 2, 0x7fff, 0);
	hostile(*state, 0, 2, 0xfffd, 0); /* backwards */
}

static void test_length_too_long_is_clamped(void **state)
{
	struct peer *peer = *state;

	guest_write(peer, TO, pattern, 200);
	guest_offer(peer, 0, 0, 0, TO, 100, 100);
	peer_do_take(peer);
	assert_true(peer_take(peer));
	peer_claim(peer, peer->head, 0xffffffff);
	peer_publish(peer);
	assert_true(peer_do_give(peer) >= 0);
	expect_used(peer, 0, 100);
	assert_int_equal(peer->shadow.clamped, 1);
	guest_read(peer, TO + 100, got, 100);
	assert_memory_equal(got, pattern + 100, 100);
}

static void test_restart_keeps_order(void **state)
{
	struct peer *peer = *state;

	for (uint16_t i = 0; i < 10; i++) {
		guest_write(peer, FROM + i, &i, 1);
		guest_offer(peer, i, FROM + i, 1, 0, 0, 1);
	}
	peer_do_take(peer);
	for (unsigned i = 0; i < 10; i++) {
		assert_true(peer_take(peer));
		/* The fourth and the eighth are done, but nobody was called. */
		if (i % 4 == 3)
			peer_claim(peer, peer->head, 0);
	}
	peer_publish(peer);
	memset(peer->desc, 0xff, SIZE * sizeof(*peer->desc));
	assert_true(shadow_restart(&peer->shadow, &peer->ring->vq, &peer->ring->section) & SHADOW_INTERRUPT);
	peer_begin(peer);
	expect_used(peer, 3, 0);
	expect_used(peer, 7, 0);
	for (unsigned i = 0; i < 10; i++) {
		if (i % 4 == 3)
			continue;
		assert_true(peer_take(peer));
		assert_int_equal(peer->sent[0], i);
	}
	assert_false(peer_take(peer));
}

/*
 * A back end is lost while no DMA may be done: the next one finds new rings all the same, and gets what the guest has
 * not heard of. What was copied before, and could not be pushed yet, comes first.
 */
static void test_restart_without_dma(void **state)
{
	struct peer *peer = peer_create(SIZE, SIZE, 512, (struct shadow_config){.failed_status = -1});
	const uint16_t count = 20;
	struct vring_used_elem elem;
	unsigned left = 0;

	(void)state;
	for (uint16_t i = 0; i < count; i++)
		guest_offer(peer, i, 0, 0, TO, FULL, FULL);
	peer_do_take(peer);
	for (unsigned i = 0; i < count; i++) {
		assert_true(peer_take(peer));
		peer_claim(peer, peer->head, FULL);
	}
	peer_publish(peer);
	assert_true(shadow_give(&peer->shadow, &peer->ring->vq, &peer->ring->section) & SHADOW_MORE);
	expect_nothing(peer);
	assert_int_equal(shadow_restart(&peer->shadow, &peer->ring->vq, NULL), 0);
	peer_begin(peer);
	for (; peer_take(peer); left++)
		peer_claim(peer, peer->head, 1);
	assert_in_range(left, 1, count - 1);
	peer_publish(peer);
	assert_true(peer_do_give(peer) & SHADOW_INTERRUPT);
	for (uint16_t i = 0; i < count; i++) {
		assert_true(guest_used(peer, &elem));
		assert_int_equal(elem.id, i);
		assert_int_equal(elem.len, i < count - left ? FULL : 1);
	}
	expect_nothing(peer);
	peer_destroy(peer);
}

/*
 * What the back end publishes at once, the guest sees at once, however many calls that takes: a frame may have several
 * buffers.
 */
static void test_entries_stay_together(void **state)
{
	struct peer *peer = peer_create(SIZE, SIZE, 512, (struct shadow_config){.failed_status = -1});
	unsigned calls = 0;
	int ret;

	(void)state;
	for (uint16_t i = 0; i < 20; i++)
		guest_offer(peer, i, 0, 0, TO, FULL, FULL);
	peer_do_take(peer);
	while (peer_take(peer))
		peer_use(peer, peer->head, pattern, FULL);
	peer_publish(peer);
	do {
		expect_nothing(peer);
		ret = shadow_give(&peer->shadow, &peer->ring->vq, &peer->ring->section);
		calls++;
	} while (ret > 0 && ret & SHADOW_MORE);
	assert_true(calls > 3);
	assert_int_equal(ret, SHADOW_INTERRUPT);
	for (uint16_t i = 0; i < 20; i++)
		expect_used(peer, i, FULL);
	peer_destroy(peer);
}

static void test_kicks_are_asked_for(void **state)
{
	struct peer *peer = *state;

	peer->used->flags = VRING_USED_F_NO_NOTIFY;
	guest_offer(peer, 0, FROM, 4, 0, 0, 4);
	assert_int_equal(peer_do_take(peer), 0);
	assert_true(peer_take(peer));
	peer->shadow.config.event_idx = true;
	*(uint16_t *)&peer->used->ring[SIZE] = 2;
	guest_offer(peer, 1, FROM, 4, 0, 0, 4);
	assert_int_equal(peer_do_take(peer), 0);
	guest_offer(peer, 2, FROM, 4, 0, 0, 4);
	assert_int_equal(peer_do_take(peer), SHADOW_KICK);
	peer_claim(peer, 0, 0);
	peer_publish(peer);
	assert_int_equal(peer_do_give(peer), SHADOW_INTERRUPT);
	assert_int_equal(peer->avail->ring[SIZE], 1);
}

static void test_memory_is_sealed(void **state)
{
	struct peer *peer = *state;

	assert_int_equal(ftruncate(peer->bounce.fd, 4096), -1);
	assert_int_equal(ftruncate(peer->bounce.fd, (off_t)peer->bounce.size + 4096), -1);
	assert_int_equal(fcntl(peer->bounce.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	assert_int_equal(errno, EPERM);
}

/* All pages of the guest are full of a secret, but for what it sends. */
static void test_no_secret_is_found(void **state)
{
	static const uint8_t secret[16] = "secret of guest";
	struct peer *peer = *state;
	uint64_t seed = 3;

	for (uint64_t at = RING_BUFFERS; at < RING_DESC + RING_PAGES * RING_PAGE; at += sizeof(secret))
		guest_write(peer, at, secret, sizeof(secret));
	for (unsigned i = 0; i < 300; i++) {
		const uint32_t len = 1 + next_random(&seed) % 6000;

		guest_write(peer, FROM + 160, pattern, len);
		guest_offer(peer, 0, FROM + 160, len, TO, next_random(&seed) % 6000, 2000);
		peer_do_take(peer);
		assert_true(peer_take(peer));
		for (unsigned from = 0; from < 8; from++)
			assert_false(peer_finds(peer, secret + from, 8));
		assert_true(peer_finds(peer, pattern, len < 16 ? len : 16));
		if (i % 50 == 49) {
			shadow_reset(&peer->shadow);
			peer_begin(peer);
			continue;
		}
		peer_use(peer, peer->head, got, peer->writable);
		peer_publish(peer);
		assert_true(peer_do_give(peer) >= 0);
		/* Nor does what was sent stay. */
		assert_true(len < 16 || !peer_finds(peer, pattern, 16));
		for (size_t at = 0; at < len; at += sizeof(secret))
			guest_write(peer, FROM + 160 + at, secret, sizeof(secret));
	}
	/* The scan can find one. */
	guest_offer(peer, 0, TO + 0x8000, 64, 0, 0, 64);
	peer_do_take(peer);
	assert_true(peer_finds(peer, secret, 16));
}

struct expected {
	uint32_t readable, writable;
	uint64_t seed;
};

/* Random chains, several at a time, answered in random order: everything arrives as it was sent. */
static void test_random_chains(void **state)
{
	struct peer *peer = *state;
	uint64_t seed = seeds_number("VIOMMU_TEST_SEED", 5);

	for (unsigned round = 0; round < 400; round++) {
		struct expected expected[8];
		uint16_t heads[8], guest_heads[8];
		uint16_t at = 0;
		const unsigned count = 1 + next_random(&seed) % 8;
		struct vring_used_elem elem;

		for (unsigned i = 0; i < count; i++) {
			struct expected *e = &expected[i];

			*e = (struct expected){1 + next_random(&seed) % 9000, next_random(&seed) % 9000, round * 8 + i};
			fill(pattern, e->readable, e->seed);
			guest_write(peer, FROM + i * 0x3000, pattern, e->readable);
			guest_heads[i] = at;
			at = (uint16_t)(at + guest_offer(peer, at, FROM + i * 0x3000, e->readable, TO + i * 0x3000,
							 e->writable, 3000 + next_random(&seed) % 7000));
		}
		assert_true(peer_do_take(peer) & SHADOW_KICK);
		for (unsigned i = 0; i < count; i++) {
			assert_true(peer_take(peer));
			heads[i] = peer->head;
			fill(pattern, expected[i].readable, expected[i].seed);
			assert_int_equal(peer->readable, expected[i].readable);
			assert_int_equal(peer->writable, expected[i].writable);
			assert_memory_equal(peer->sent, pattern, expected[i].readable);
		}
		for (unsigned i = 0, turn = next_random(&seed); i < count; i++) {
			const unsigned which = (i + turn) % count;

			fill(pattern, expected[which].writable, ~expected[which].seed);
			peer_use(peer, heads[which], pattern, expected[which].writable);
			guest_heads[which] |= 0x8000;
		}
		peer_publish(peer);
		assert_true(peer_do_give(peer) & SHADOW_INTERRUPT);
		while (guest_used(peer, &elem)) {
			for (unsigned i = 0; i < count; i++) {
				if (guest_heads[i] != (elem.id | 0x8000))
					continue;
				assert_int_equal(elem.len, expected[i].writable);
				fill(pattern, elem.len, ~expected[i].seed);
				guest_read(peer, TO + i * 0x3000, got, elem.len);
				assert_memory_equal(got, pattern, elem.len);
				guest_heads[i] = 0;
			}
		}
		for (unsigned i = 0; i < count; i++)
			assert_int_equal(guest_heads[i], 0);
		assert_int_equal(peer->shadow.free_pages, PAGES);
	}
}

/* Garbage in the rings, seeded: no call may do more than fail, and afterwards a good back end is served. */
static void test_random_garbage(void **state)
{
	struct peer *peer = *state;
	uint64_t seed = 7;
	unsigned broken = 0, waiting = 0;

	for (unsigned round = 0; round < 100000; round++) {
		struct vring_used_elem elem;
		int ret;

		/* Never more than the queue holds, or it would be the guest who breaks the rules. */
		if (waiting < SIZE / 2) {
			guest_offer(peer, (uint16_t)(waiting * 2), FROM, 4, TO, 8, 8);
			waiting++;
		}
		assert_true(peer_do_take(peer) >= 0);
		for (unsigned i = 0; i < 4; i++)
			peer->used->ring[next_random(&seed) % SIZE] =
				(struct vring_used_elem){next_random(&seed) % (SIZE + 2), next_random(&seed) % 16};
		peer->avail->idx = (uint16_t)next_random(&seed);
		peer->desc[next_random(&seed) % SIZE].addr = next_random(&seed);
		peer->used->idx = (uint16_t)(peer->shadow.seen + next_random(&seed) % 4);
		ret = peer_do_give(peer);
		assert_true(ret >= 0 || ret == -EPROTO);
		broken += ret == -EPROTO;
		if (ret == -EPROTO)
			assert_true(shadow_restart(&peer->shadow, &peer->ring->vq, &peer->ring->section) >= 0);
		for (; guest_used(peer, &elem); waiting--)
			assert_in_range(elem.len, 0, 8);
	}
	assert_true(broken > 1000);
	shadow_reset(&peer->shadow);
	peer_begin(peer);
	round_trip(peer, 5000, 5000, 1000);
}

struct scribbler {
	struct peer *peer;
	atomic_bool end;
};

/* Writes all over the memory, in its own mapping, while the engine works. */
static void *scribble(void *opaque)
{
	struct scribbler *s = opaque;
	_Atomic uint32_t *words = (_Atomic uint32_t *)s->peer->memory;
	uint64_t seed = 9;

	while (!atomic_load(&s->end)) {
		const uint64_t rings = bounce_queue(&s->peer->bounce, 1).desc;

		atomic_store_explicit(&words[(rings + next_random(&seed) % 0x4000) / 4], next_random(&seed) % SIZE,
				      memory_order_relaxed);
		atomic_store_explicit(&words[next_random(&seed) % (s->peer->bounce.size / 4)], next_random(&seed),
				      memory_order_relaxed);
	}
	return NULL;
}

static void test_back_end_scribbles_meanwhile(void **state)
{
	struct scribbler s = {.peer = *state};
	struct peer *peer = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, scribble, &s), 0);
	for (unsigned round = 0; round < 20000; round++) {
		struct vring_used_elem elem;
		int ret;

		guest_offer(peer, (uint16_t)(round % 8 * 2), FROM, 3000, TO, 3000, 3000);
		assert_true(shadow_take(&peer->shadow, &peer->ring->vq, &peer->ring->section) >= 0);
		ret = shadow_give(&peer->shadow, &peer->ring->vq, &peer->ring->section);
		assert_true(ret >= 0 || ret == -EPROTO);
		if (ret == -EPROTO)
			assert_true(shadow_restart(&peer->shadow, &peer->ring->vq, &peer->ring->section) >= 0);
		while (guest_used(peer, &elem))
			assert_in_range(elem.len, 0, 3000);
		if (round % 16 == 15)
			shadow_reset(&peer->shadow);
	}
	atomic_store(&s.end, true);
	pthread_join(thread, NULL);
	shadow_reset(&peer->shadow);
	peer_begin(peer);
	round_trip(peer, 5000, 5000, 1000);
}

static void test_bad_numbers_are_refused(void **state)
{
	struct bounce bounce;

	(void)state;
	assert_int_equal(bounce_init(&bounce, 0, 64, 64), -EINVAL);
	assert_int_equal(bounce_init(&bounce, 1, 48, 64), -EINVAL);
	assert_int_equal(bounce_init(&bounce, 1, 64, 0), -EINVAL);
	assert_int_equal(bounce_init(&bounce, 1, 64, BOUNCE_MAX_PAGES + 1), -EINVAL);
	bounce_fini(&bounce);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sizes_both_directions),
		TEST(test_segments_are_kept),
		TEST(test_more_segments_than_descriptors),
		TEST(test_queue_wrap),
		TEST(test_pool_exhausted_and_recovers),
		TEST(test_too_large_does_not_block),
		TEST(test_unmapped_at_copy_in),
		TEST(test_unmapped_at_copy_out),
		TEST(test_status_of_failed_request),
		TEST(test_hostile_entries),
		TEST(test_length_too_long_is_clamped),
		TEST(test_restart_keeps_order),
		TEST(test_restart_without_dma),
		TEST(test_entries_stay_together),
		TEST(test_kicks_are_asked_for),
		TEST(test_memory_is_sealed),
		TEST(test_no_secret_is_found),
		TEST(test_random_chains),
		TEST(test_random_garbage),
		TEST(test_back_end_scribbles_meanwhile),
		TEST(test_bad_numbers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
