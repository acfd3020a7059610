/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtqueues whose driver breaks the rules (virtio 1.2, section 2.7): each is refused, and nothing outside is touched.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/support/ring_driver.h"

enum { SIZE = 8, NEXT = VRING_DESC_F_NEXT, WRITE = VRING_DESC_F_WRITE, INDIRECT = VRING_DESC_F_INDIRECT, ENTRY = 16 };

static int setup(void **state)
{
	*state = ring_create(SIZE);
	return 0;
}

static int teardown(void **state)
{
	ring_destroy(*state);
	return 0;
}

/* A descriptor of the queue's own table. */
static void direct(struct ring *ring, unsigned index, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	ring_desc(ring, RING_DESC, index, (struct vring_desc){addr, len, flags, next});
}

/* A table of `count` readable buffers of 4 bytes, one after the other. */
static void fill_table(struct ring *ring, uint64_t table, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		ring_desc(ring, table, i,
			  (struct vring_desc){RING_BUFFERS + 4 * i, 4, i + 1 < count ? NEXT : 0, (uint16_t)(i + 1)});
}

/* Offer one indirect descriptor. */
static int pop_table(struct ring *ring, uint64_t table, uint32_t bytes, uint16_t flags)
{
	direct(ring, 0, table, bytes, INDIRECT | flags, 0);
	ring_offer(ring, 0);
	return ring_pop(ring);
}

static void test_chain_in_order(void **state)
{
	struct ring *ring = *state;

	direct(ring, 3, RING_BUFFERS, 8, NEXT, 5);
	direct(ring, 5, RING_BUFFERS + 8, 0, NEXT, 1);
	direct(ring, 1, RING_BUFFERS + RING_PAGE, 100, WRITE | 0x80, 9);
	ring_offer(ring, 3);
	assert_int_equal(ring_pop(ring), 1);
	assert_int_equal(ring->chain.head, 3);
	assert_int_equal(ring->chain.readable, 1);
	assert_int_equal(ring->chain.writable, 1);
	assert_int_equal(ring->chain.readable_bytes, 8);
	assert_int_equal(ring->chain.writable_bytes, 100);
	assert_int_equal(ring->chain.segments[1].iova.value, RING_BUFFERS + RING_PAGE);
	assert_int_equal(ring_pop(ring), 0);
}

static void test_chain_with_loop(void **state)
{
	struct ring *ring = *state;

	direct(ring, 0, RING_BUFFERS, 4, NEXT, 1);
	direct(ring, 1, RING_BUFFERS, 0, NEXT, 0);
	ring_offer(ring, 0);
	assert_int_equal(ring_pop(ring), -EINVAL);
	direct(ring, 0, RING_BUFFERS, 4, NEXT, 0);
	assert_int_equal(ring_pop(ring), -EINVAL);
}

static void test_chain_of_whole_table(void **state)
{
	struct ring *ring = *state;

	for (unsigned i = 0; i < SIZE; i++)
		direct(ring, i, RING_BUFFERS, 4, i + 1 < SIZE ? NEXT : 0, (uint16_t)(i + 1));
	ring_offer(ring, 0);
	assert_int_equal(ring_pop(ring), 1);
	assert_int_equal(ring->chain.readable, SIZE);
	direct(ring, SIZE - 1, RING_BUFFERS, 4, NEXT, 0);
	ring_offer(ring, 0);
	assert_int_equal(ring_pop(ring), -EINVAL);
}

static void test_bad_indices(void **state)
{
	struct ring *ring = *state;

	ring_offer(ring, SIZE);
	assert_int_equal(ring_pop(ring), -EINVAL);
	direct(ring, 0, RING_BUFFERS, 4, NEXT, SIZE);
	ring_store(ring, RING_AVAIL + offsetof(struct vring_avail, ring), 0);
	assert_int_equal(ring_pop(ring), -EINVAL);
	direct(ring, 0, RING_BUFFERS, 4, NEXT, UINT16_MAX);
	assert_int_equal(ring_pop(ring), -EINVAL);
}

static void test_more_available_than_size(void **state)
{
	struct ring *ring = *state;

	ring_store(ring, RING_AVAIL + offsetof(struct vring_avail, idx), SIZE + 1);
	assert_int_equal(ring_pop(ring), -EINVAL);
	assert_int_equal(vq_waiting(&ring->vq, &ring->section), -EINVAL);
	ring_store(ring, RING_AVAIL + offsetof(struct vring_avail, idx), UINT16_MAX);
	assert_int_equal(ring_pop(ring), -EINVAL);
	ring_store(ring, RING_AVAIL + offsetof(struct vring_avail, idx), SIZE);
	assert_int_equal(vq_waiting(&ring->vq, &ring->section), SIZE);
}

static void test_readable_after_writable(void **state)
{
	struct ring *ring = *state;

	direct(ring, 0, RING_BUFFERS, 4, WRITE | NEXT, 1);
	direct(ring, 1, RING_BUFFERS, 4, 0, 0);
	ring_offer(ring, 0);
	assert_int_equal(ring_pop(ring), -EINVAL);
}

static void test_too_many_bytes(void **state)
{
	struct ring *ring = *state;

	direct(ring, 0, 0, UINT32_MAX, NEXT, 1);
	direct(ring, 1, 0, 1, 0, 0);
	ring_offer(ring, 0);
	assert_int_equal(ring_pop(ring), 1);
	direct(ring, 1, 0, 2, 0, 0);
	ring_offer(ring, 0);
	assert_int_equal(ring_pop(ring), -EINVAL);
}

/* No address lies behind the last one. */
static void test_buffers_and_tables_that_wrap(void **state)
{
	const uint64_t last_page = UINT64_MAX - RING_PAGE + 1;
	struct ring *ring = *state;

	direct(ring, 0, last_page, RING_PAGE, 0, 0);
	ring_offer(ring, 0);
	assert_int_equal(ring_pop(ring), 1);
	direct(ring, 1, last_page, RING_PAGE + 1, 0, 0);
	ring_offer(ring, 1);
	assert_int_equal(ring_pop(ring), -EINVAL);
	direct(ring, 1, UINT64_MAX, 2, WRITE, 0);
	assert_int_equal(ring_pop(ring), -EINVAL);
	ring->vq.indirect = true;
	direct(ring, 1, last_page, RING_PAGE + ENTRY, INDIRECT, 0);
	assert_int_equal(ring_pop(ring), -EINVAL);
	direct(ring, 1, last_page, RING_PAGE, INDIRECT, 0);
	assert_int_equal(ring_pop(ring), -EFAULT); /* it is only not mapped */
}

static void test_unmapped_rings(void **state)
{
	static const uint64_t pages[] = {RING_DESC, RING_AVAIL};
	struct ring *ring = *state;

	direct(ring, 0, RING_BUFFERS, 4, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		ring_offer(ring, 0);
		ring_page(ring, pages[i], 0);
		assert_int_equal(ring_pop(ring), -EFAULT);
		ring_page(ring, pages[i], VIOMMU_WRITE);
		assert_int_equal(ring_pop(ring), -EACCES);
		ring_page(ring, pages[i], VIOMMU_READ);
		assert_int_equal(ring_pop(ring), 1);
		ring_page(ring, pages[i], VIOMMU_READ | VIOMMU_WRITE);
	}
}

/* Taken before, given back afterwards: the used ring went in between. */
static void test_used_ring_in_mid_flight(void **state)
{
	struct ring *ring = *state;

	direct(ring, 0, RING_BUFFERS, 4, WRITE, 0);
	ring_offer(ring, 0);
	assert_int_equal(ring_pop(ring), 1);
	ring_page(ring, RING_USED, 0);
	assert_int_equal(vq_push(&ring->vq, &ring->section, 0, 4), -EFAULT);
	assert_int_equal(vq_ask_kicks(&ring->vq, &ring->section, false), -EFAULT);
	ring_page(ring, RING_USED, VIOMMU_READ);
	assert_int_equal(vq_push(&ring->vq, &ring->section, 0, 4), -EACCES);
	assert_int_equal(ring_load(ring, RING_USED + offsetof(struct vring_used, idx)), 0);
	ring_page(ring, RING_USED, VIOMMU_READ | VIOMMU_WRITE);
	assert_int_equal(vq_push(&ring->vq, &ring->section, 0, 4), 0);
	assert_int_equal(ring_load(ring, RING_USED + offsetof(struct vring_used, idx)), 1);
	ring_page(ring, RING_AVAIL, 0);
	assert_int_equal(vq_wants_interrupt(&ring->vq, &ring->section), -EFAULT);
}

/* The pages of a ring become those of another one while a section is open: that section still means the old pages. */
static void test_ring_moved(void **state)
{
	struct ring *ring = *state;

	direct(ring, 0, RING_BUFFERS, 4, 0, 0);
	ring_offer(ring, 0);
	ring_page(ring, RING_AVAIL, 0);
	assert_int_equal(viommu_map(ring->domain, (struct viommu_iova){RING_AVAIL},
				    (struct viommu_iova){RING_AVAIL + RING_PAGE - 1}, (struct viommu_gpa){1ull << 40},
				    VIOMMU_READ),
			 0);
	assert_int_equal(ring_pop(ring), -EFAULT);
	ring_page(ring, RING_AVAIL, VIOMMU_READ);
	assert_int_equal(ring_pop(ring), 1);
}

static void test_buffers_out_of_reach(void **state)
{
	struct ring *ring = *state;
	uint8_t bytes[8] = {0};

	direct(ring, 0, RING_BUFFERS + RING_PAGE - 4, 4, NEXT, 1);
	direct(ring, 1, RING_NOWHERE, 4, NEXT, 2);
	direct(ring, 2, UINT64_MAX - 3, 4, WRITE, 0);
	ring_offer(ring, 0);
	assert_int_equal(ring_pop(ring), 1);
	assert_int_equal(vq_copy_in(&ring->section, &ring->chain, 0, bytes, 4), 0);
	assert_int_equal(vq_copy_in(&ring->section, &ring->chain, 0, bytes, 8), -EFAULT);
	assert_int_equal(vq_copy_in(&ring->section, &ring->chain, 0, bytes, 9), -EINVAL);
	assert_int_equal(vq_copy_out(&ring->section, &ring->chain, 0, bytes, 4), -EFAULT);
	assert_int_equal(vq_copy_out(&ring->section, &ring->chain, 1, bytes, 4), -EINVAL);
}

static void test_indirect_not_negotiated(void **state)
{
	struct ring *ring = *state;

	fill_table(ring, RING_TABLE, 2);
	assert_int_equal(pop_table(ring, RING_TABLE, 2 * ENTRY, 0), -EINVAL);
	ring->vq.indirect = true;
	assert_int_equal(ring_pop(ring), 1);
}

/* Alone, with the WRITE flag that is to be ignored, and behind descriptors of the queue's own table. */
static void test_indirect(void **state)
{
	struct ring *ring = *state;

	ring->vq.indirect = true;
	fill_table(ring, RING_TABLE, 3);
	assert_int_equal(pop_table(ring, RING_TABLE, 3 * ENTRY, 0), 1);
	assert_int_equal(ring->chain.readable, 3);
	assert_int_equal(ring->chain.segments[2].iova.value, RING_BUFFERS + 8);
	assert_int_equal(pop_table(ring, RING_TABLE, 3 * ENTRY, WRITE), 1);
	assert_int_equal(ring->chain.readable, 3);
	assert_int_equal(ring->chain.writable, 0);
	direct(ring, 1, RING_BUFFERS + 100, 7, NEXT, 0);
	ring_offer(ring, 1);
	assert_int_equal(ring_pop(ring), 1);
	assert_int_equal(ring->chain.head, 1);
	assert_int_equal(ring->chain.readable, 4);
	assert_int_equal(ring->chain.segments[0].len, 7);
	direct(ring, 1, RING_BUFFERS + 100, 7, NEXT | WRITE, 0);
	ring_offer(ring, 1);
	assert_int_equal(ring_pop(ring), -EINVAL);
}

static void test_indirect_of_bad_length(void **state)
{
	static const uint32_t lengths[] = {0, 1, 15, 17, 3 * ENTRY - 1, UINT32_MAX};
	struct ring *ring = *state;

	ring->vq.indirect = true;
	fill_table(ring, RING_TABLE, 3);
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(pop_table(ring, RING_TABLE, lengths[i], 0), -EINVAL);
		ring->vq.next_avail = ring->avail_idx;
	}
	/* One entry shorter than its chain. */
	assert_int_equal(pop_table(ring, RING_TABLE, 2 * ENTRY, 0), -EINVAL);
}

static void test_indirect_with_next(void **state)
{
	struct ring *ring = *state;

	ring->vq.indirect = true;
	fill_table(ring, RING_TABLE, 1);
	direct(ring, 1, RING_BUFFERS, 4, 0, 0);
	assert_int_equal(pop_table(ring, RING_TABLE, ENTRY, NEXT), -EINVAL);
}

static void test_indirect_in_indirect(void **state)
{
	struct ring *ring = *state;

	ring->vq.indirect = true;
	fill_table(ring, RING_TABLE, 1);
	ring_desc(ring, RING_TABLE + 0x100, 0, (struct vring_desc){RING_TABLE, ENTRY, INDIRECT, 0});
	assert_int_equal(pop_table(ring, RING_TABLE + 0x100, ENTRY, 0), -EINVAL);
	ring_desc(ring, RING_TABLE, 0, (struct vring_desc){RING_TABLE, ENTRY, INDIRECT, 0});
	assert_int_equal(ring_pop(ring), -EINVAL);
}

static void test_indirect_with_loop(void **state)
{
	struct ring *ring = *state;

	ring->vq.indirect = true;
	fill_table(ring, RING_TABLE, 2);
	ring_desc(ring, RING_TABLE, 1, (struct vring_desc){RING_BUFFERS, 0, NEXT, 0});
	assert_int_equal(pop_table(ring, RING_TABLE, 2 * ENTRY, 0), -EINVAL);
	/* In a table that claims to be as long as can be, too, and without a byte in it. */
	assert_int_equal(pop_table(ring, RING_TABLE, UINT32_MAX / ENTRY * ENTRY, 0), -EINVAL);
	ring_desc(ring, RING_TABLE, 0, (struct vring_desc){RING_BUFFERS, 0, NEXT, 0});
	assert_int_equal(ring_pop(ring), -EINVAL);
}

/* As long as may be, over pages that lie apart: 256, of which 1 in the queue's own table. */
static void test_indirect_of_greatest_length(void **state)
{
	struct ring *ring = *state;
	const uint64_t table = RING_TABLE + RING_PAGE / 2;

	ring->vq.indirect = true;
	fill_table(ring, table, VQ_MAX_SEGMENTS);
	assert_int_equal(pop_table(ring, table, VQ_MAX_SEGMENTS * ENTRY, 0), 1);
	assert_int_equal(ring->chain.readable, VQ_MAX_SEGMENTS);
	for (unsigned i = 0; i < VQ_MAX_SEGMENTS; i++)
		assert_int_equal(ring->chain.segments[i].iova.value, RING_BUFFERS + 4 * i);
	direct(ring, 1, RING_BUFFERS, 4, NEXT, 0);
	ring_offer(ring, 1);
	assert_int_equal(ring_pop(ring), -EINVAL);
	ring_desc(ring, table, VQ_MAX_SEGMENTS - 2, (struct vring_desc){RING_BUFFERS, 4, 0, 0});
	assert_int_equal(ring_pop(ring), 1);
	assert_int_equal(ring->chain.readable, VQ_MAX_SEGMENTS);
}

/* The text asks for no alignment: a descriptor may begin in one page and end in another, elsewhere. */
static void test_indirect_unaligned(void **state)
{
	struct ring *ring = *state;

	ring->vq.indirect = true;
	for (unsigned shift = 1; shift < ENTRY; shift++) {
		const uint64_t table = RING_TABLE + RING_PAGE - ENTRY - shift;

		fill_table(ring, table, 3);
		assert_int_equal(pop_table(ring, table, 3 * ENTRY, 0), 1);
		assert_int_equal(ring->chain.readable, 3);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(ring->chain.segments[i].iova.value, RING_BUFFERS + 4 * i);
	}
}

static void test_indirect_out_of_reach(void **state)
{
	struct ring *ring = *state;

	ring->vq.indirect = true;
	assert_int_equal(pop_table(ring, RING_NOWHERE, ENTRY, 0), -EFAULT);
	ring->vq.next_avail = ring->avail_idx;
	/* The second descriptor, and then the second half of the first one. */
	fill_table(ring, RING_TABLE + RING_PAGE - ENTRY, 2);
	ring_page(ring, RING_TABLE + RING_PAGE, VIOMMU_WRITE);
	assert_int_equal(pop_table(ring, RING_TABLE + RING_PAGE - ENTRY, 2 * ENTRY, 0), -EACCES);
	ring->vq.next_avail = ring->avail_idx;
	assert_int_equal(pop_table(ring, RING_TABLE + RING_PAGE - 8, ENTRY, 0), -EACCES);
}

struct changer {
	struct ring *ring;
	_Atomic bool stop;
};

/* One word of a descriptor, as one store: good, too long, without end, out of the table. */
static void *change(void *opaque)
{
	struct changer *changer = opaque;
	_Atomic uint64_t *word = (_Atomic uint64_t *)ring_at(changer->ring, RING_DESC + 8);
	const uint64_t words[] = {16, UINT32_MAX, 16 | (uint64_t)NEXT << 32, 32 | (uint64_t)(NEXT | 9 << 16) << 32,
				  48 | (uint64_t)WRITE << 32};

	for (unsigned i = 0; !atomic_load_explicit(&changer->stop, memory_order_relaxed); i++)
		atomic_store_explicit(word, words[i % 5], memory_order_relaxed);
	return NULL;
}

/* Whatever was read, all that follows from it goes together. */
static void check_chain(const struct vq_chain *chain)
{
	uint64_t bytes[2] = {0};

	assert_in_range(chain->readable + chain->writable, 1, SIZE);
	for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
		const uint32_t len = chain->segments[i].len;

		assert_true(i < chain->readable ? len == 16 || len == UINT32_MAX : len == 48);
		bytes[i >= chain->readable] += len;
	}
	assert_int_equal(chain->readable_bytes, bytes[0]);
	assert_int_equal(chain->writable_bytes, bytes[1]);
}

static void test_descriptor_changes_while_read(void **state)
{
	struct ring *ring = *state;
	struct changer changer = {.ring = ring};
	unsigned taken = 0, refused = 0;
	pthread_t thread;

	direct(ring, 0, RING_BUFFERS, 16, 0, 0);
	ring_offer(ring, 0);
	assert_int_equal(pthread_create(&thread, NULL, change, &changer), 0);
	for (unsigned i = 0; i < 200000 || !taken || !refused; i++) {
		int ret = ring_pop(ring);

		assert_true(ret == 1 || ret == -EINVAL);
		taken += ret == 1;
		refused += ret != 1;
		if (ret == 1) {
			check_chain(&ring->chain);
			vq_unpop(&ring->vq);
		}
	}
	atomic_store(&changer.stop, true);
	pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_chain_in_order),
		TEST(test_chain_with_loop),
		TEST(test_chain_of_whole_table),
		TEST(test_bad_indices),
		TEST(test_buffers_and_tables_that_wrap),
		TEST(test_more_available_than_size),
		TEST(test_readable_after_writable),
		TEST(test_too_many_bytes),
		TEST(test_unmapped_rings),
		TEST(test_used_ring_in_mid_flight),
		TEST(test_ring_moved),
		TEST(test_buffers_out_of_reach),
		TEST(test_indirect_not_negotiated),
		TEST(test_indirect),
		TEST(test_indirect_of_bad_length),
		TEST(test_indirect_with_next),
		TEST(test_indirect_in_indirect),
		TEST(test_indirect_with_loop),
		TEST(test_indirect_of_greatest_length),
		TEST(test_indirect_unaligned),
		TEST(test_indirect_out_of_reach),
		TEST(test_descriptor_changes_while_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
