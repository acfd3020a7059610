/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a queue that somebody else serves still needs: a question that comes late must not become a fault, one that is
 * in time must.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/support/ring_driver.h"

enum {
	SIZE = 8,
	NEXT = VRING_DESC_F_NEXT,
	WRITE = VRING_DESC_F_WRITE,
	INDIRECT = VRING_DESC_F_INDIRECT,
	ROUNDS = 30000
};

static int setup(void **state)
{
	struct ring *ring = ring_create(SIZE);

	ring->section.quiet = true;
	*state = ring;
	return 0;
}

static int teardown(void **state)
{
	ring_destroy(*state);
	return 0;
}

static void offer(struct ring *ring, unsigned head, uint64_t addr, uint32_t len, uint16_t flags)
{
	ring_desc(ring, RING_DESC, head, (struct vring_desc){addr, len, flags, 0});
	ring_offer(ring, (uint16_t)head);
}

/* So many chains were given back in all. */
static void give_back(struct ring *ring, uint16_t count)
{
	ring_store(ring, RING_USED + offsetof(struct vring_used, idx), count);
}

/* Take a page's rights away; the section is a new one then. */
static void take(struct ring *ring, uint64_t iova, unsigned access)
{
	ring_page(ring, iova, access);
	ring->section.quiet = true;
}

static bool is_fault(struct ring *ring, uint64_t iova, unsigned access)
{
	return vq_miss_is_fault(&ring->vq, &ring->section, (struct viommu_iova){iova}, access);
}

static bool faulted(struct ring *ring)
{
	struct viommu_fault fault;

	return !viommu_fault_next(ring->v, &fault);
}

static void test_what_is_mapped_is_no_matter(void **state)
{
	struct ring *ring = *state;

	offer(ring, 0, RING_BUFFERS, 64, 0);
	assert_false(is_fault(ring, RING_BUFFERS, VIOMMU_READ));
	assert_false(is_fault(ring, RING_AVAIL, VIOMMU_READ));
}

static void test_until_the_chain_is_given_back(void **state)
{
	struct ring *ring = *state;

	for (unsigned i = 0; i < 3; i++)
		offer(ring, i, RING_BUFFERS + i * RING_PAGE, 64, i == 1 ? WRITE : 0);
	take(ring, RING_BUFFERS + RING_PAGE, 0);
	assert_true(is_fault(ring, RING_BUFFERS + RING_PAGE + 5, VIOMMU_WRITE));
	assert_false(is_fault(ring, RING_BUFFERS + RING_PAGE, VIOMMU_READ)); /* nobody reads there */
	assert_false(is_fault(ring, RING_NOWHERE, VIOMMU_READ));
	give_back(ring, 1);
	assert_true(is_fault(ring, RING_BUFFERS + RING_PAGE, VIOMMU_WRITE));
	give_back(ring, 2);
	assert_false(is_fault(ring, RING_BUFFERS + RING_PAGE, VIOMMU_WRITE));
	give_back(ring, 3);
	assert_false(is_fault(ring, RING_BUFFERS + RING_PAGE, VIOMMU_WRITE));
	assert_false(faulted(ring));
}

static void test_a_right_is_lacking(void **state)
{
	struct ring *ring = *state;

	offer(ring, 0, RING_BUFFERS, 64, WRITE);
	take(ring, RING_BUFFERS, VIOMMU_READ);
	assert_true(is_fault(ring, RING_BUFFERS, VIOMMU_WRITE));
}

/* Beyond its first page, too. */
static void test_long_buffers(void **state)
{
	struct ring *ring = *state;

	offer(ring, 0, RING_BUFFERS + 100, 3 * RING_PAGE, 0);
	take(ring, RING_BUFFERS + 3 * RING_PAGE, 0);
	assert_true(is_fault(ring, RING_BUFFERS + 3 * RING_PAGE, VIOMMU_READ));
	take(ring, RING_BUFFERS + 4 * RING_PAGE, 0);
	assert_false(is_fault(ring, RING_BUFFERS + 4 * RING_PAGE, VIOMMU_READ));
}

static void test_the_ring_itself(void **state)
{
	struct ring *ring = *state;

	take(ring, RING_AVAIL, 0);
	assert_true(is_fault(ring, RING_AVAIL + 4, VIOMMU_READ));
	take(ring, RING_USED, VIOMMU_READ);
	assert_true(is_fault(ring, RING_USED, VIOMMU_WRITE));
	assert_false(faulted(ring));
}

/* A table of the driver's that is gone, while its chain is the device's. */
static void test_an_indirect_table(void **state)
{
	struct ring *ring = *state;

	ring->vq.indirect = true;
	ring_desc(ring, RING_TABLE, 0, (struct vring_desc){RING_BUFFERS, 8, 0, 0});
	offer(ring, 0, RING_TABLE, sizeof(struct vring_desc), INDIRECT);
	take(ring, RING_TABLE, 0);
	assert_true(is_fault(ring, RING_TABLE, VIOMMU_READ));
	give_back(ring, 1);
	assert_false(is_fault(ring, RING_TABLE, VIOMMU_READ));
}

static void test_indexes_wrap(void **state)
{
	struct ring *ring = *state;

	ring->avail_idx = UINT16_MAX;
	give_back(ring, UINT16_MAX);
	offer(ring, 0, RING_BUFFERS, 64, 0);
	offer(ring, 1, RING_BUFFERS + RING_PAGE, 64, 0);
	take(ring, RING_BUFFERS, 0);
	assert_true(is_fault(ring, RING_BUFFERS, VIOMMU_READ));
	give_back(ring, 0);
	assert_false(is_fault(ring, RING_BUFFERS, VIOMMU_READ));
}

/* Whatever the driver, or who serves, writes there: an answer, soon, and no fault. */
static void test_nonsense(void **state)
{
	struct ring *ring = *state;
	uint64_t random = 99;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint16_t *words[] = {ring_at(ring, RING_DESC), ring_at(ring, RING_AVAIL), ring_at(ring, RING_USED)};

		for (unsigned i = 0; i < 4; i++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			words[random >> 40 & 1 ? random >> 41 & 1 : 2][(random >> 42) % 40] =
				(uint16_t)(random >> 20) & 0x1f;
		}
		is_fault(ring, RING_NOWHERE + random % 3 * RING_PAGE, VIOMMU_READ);
		is_fault(ring, RING_BUFFERS, VIOMMU_WRITE);
	}
	assert_false(faulted(ring));
}

/*
 * A device that uses a ring full of buffers, and a driver that unmaps them: no question is a fault, however late it
 * comes.
 */
struct race {
	struct ring *ring;
	_Atomic bool stop;
};

enum { LAST_PAGE = RING_BUFFERS + (SIZE - 1) * RING_PAGE };

static void unmap_and_map(struct ring *ring, uint64_t page)
{
	assert_int_equal(viommu_unmap(ring->domain, (struct viommu_iova){page},
				      (struct viommu_iova){page + RING_PAGE - 1}, ring->inval, NULL),
			 0);
	viommu_inval_begin(ring->inval);
	while (viommu_inval_poll(ring->inval))
		;
	assert_int_equal(viommu_map(ring->domain, (struct viommu_iova){page},
				    (struct viommu_iova){page + RING_PAGE - 1}, (struct viommu_gpa){page - RING_DESC},
				    VIOMMU_READ | VIOMMU_WRITE),
			 0);
}

static void *drive(void *opaque)
{
	struct race *race = opaque;
	uint16_t used = 0;

	for (unsigned i = 0; i < ROUNDS && !atomic_load(&race->stop); i++) {
		for (unsigned k = 0; k < SIZE; k++)
			offer(race->ring, k, RING_BUFFERS + k * RING_PAGE, 64, 0);
		give_back(race->ring, used += SIZE);
		unmap_and_map(race->ring, LAST_PAGE);
	}
	atomic_store(&race->stop, true);
	return NULL;
}

static void test_late_questions_are_no_faults(void **state)
{
	struct race race = {.ring = *state};
	struct vq vq = race.ring->vq;
	pthread_t thread;

	viommu_dma_end(&race.ring->section);
	assert_int_equal(pthread_create(&thread, NULL, drive, &race), 0);
	while (!atomic_load(&race.stop)) {
		struct viommu_section section;

		assert_int_equal(viommu_dma_begin(race.ring->endpoint, &section), 0);
		section.quiet = true;
		bool wanted = vq_miss_is_fault(&vq, &section, (struct viommu_iova){LAST_PAGE}, VIOMMU_READ);

		viommu_dma_end(&section);
		if (wanted) {
			atomic_store(&race.stop, true);
			pthread_join(thread, NULL);
			fail_msg("a buffer that was given back was a fault");
		}
	}
	pthread_join(thread, NULL);
	assert_int_equal(viommu_dma_begin(race.ring->endpoint, &race.ring->section), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_mapped_is_no_matter),
		TEST(test_until_the_chain_is_given_back),
		TEST(test_a_right_is_lacking),
		TEST(test_long_buffers),
		TEST(test_the_ring_itself),
		TEST(test_an_indirect_table),
		TEST(test_indexes_wrap),
		TEST(test_nonsense),
		TEST(test_late_questions_are_no_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
