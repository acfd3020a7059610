/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads of a back end use the front end's memory while it invalidates, updates and replaces its memory table. A page
 * carries one pattern while it may be used and another from the acknowledgement of its invalidation on: a user that
 * sees the other one used an address too late. The mutant `waiting` breaks the library; then this test must
 * fail.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/front.h"
#include "tests/support/test.h"

enum { PAGE = FRONT_PAGE, PAGES = 8, BYTES = 64, USERS = 2, ROUNDS = 4000, FULL_ROUNDS = 30000, TABLE_EVERY = 64 };
enum { USABLE = 0x5a, GONE = 0xa5 };

#define IOVA 0x40000ull

static struct front front;
static _Atomic bool stop;
static _Atomic uint64_t late, uses, missing;

static void look(const struct viommu_span *span)
{
	for (unsigned i = 0; i < span->len; i++)
		if (((volatile uint8_t *)span->host)[i] != USABLE)
			atomic_fetch_add(&late, 1);
	atomic_fetch_add(&uses, 1);
}

/* Inside a burst, and every third time under a hold behind it. */
static void use(unsigned turn)
{
	struct viommu_hold hold = {0};
	struct viommu_section section;
	struct viommu_span span;
	bool held = turn % 3 == 0;

	if (viommu_backend_begin(front.backend, &section))
		return;
	if (viommu_dma_translate(&section, (struct viommu_iova){IOVA + turn % PAGES * PAGE}, BYTES, VIOMMU_READ,
				 &span)) {
		viommu_backend_end(front.backend, &section);
		atomic_fetch_add(&missing, 1);
		return;
	}
	/* On few processors the front end would else have its turn mostly between two bursts. */
	if (turn % 5 == 0)
		sched_yield();
	look(&span);
	if (held)
		viommu_dma_hold(&section, &hold, &span, 1);
	viommu_backend_end(front.backend, &section);
	if (held) {
		look(&span);
		viommu_dma_release(&hold);
	}
}

static void *user_main(void *opaque)
{
	for (unsigned turn = (unsigned)(uintptr_t)opaque; !atomic_load(&stop); turn++)
		use(turn);
	return NULL;
}

/* The answer comes when nobody is in the way any more. */
static void ask(uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned count)
{
	struct channel_message answer;
	struct vhu_iotlb miss;

	front_send(&front, request, VHU_NEED_REPLY, payload, size, fds, count);
	do {
		front_serve(&front);
		assert_int_equal(front.served, 0);
		while (front_hear(&front, &miss))
			;
		sched_yield();
	} while (!front_answer(&front, &answer));
	assert_int_equal(answer.u64, 0);
}

static void say(uint8_t type, unsigned page, unsigned pages)
{
	const struct vhu_iotlb iotlb = {
		.iova = IOVA + page * PAGE,
		.size = pages * PAGE,
		.user_address = FRONT_USER + page * PAGE,
		.access = VHU_ACCESS_RW,
		.type = type,
	};

	ask(VHU_IOTLB_MSG, &iotlb, sizeof(iotlb), NULL, 0);
}

static void take_page(unsigned page)
{
	uint8_t *memory = front.memory + page * PAGE;

	say(VHU_IOTLB_INVALIDATE, page, 1);
	memset(memory, GONE, PAGE);
	memset(memory, USABLE, PAGE);
	say(VHU_IOTLB_UPDATE, page, 1);
}

/* All of it goes, and is mapped anew. */
static void take_all(void)
{
	const struct vhu_memory memory = {.count = 1, .regions = {front_region()}};

	ask(VHU_SET_MEM_TABLE, &memory, 40, &front.memory_fd, 1);
	memset(front.memory, GONE, PAGES * PAGE);
	memset(front.memory, USABLE, PAGES * PAGE);
	say(VHU_IOTLB_UPDATE, 0, PAGES);
}

static void test_nothing_is_used_after_the_acknowledgement(void **state)
{
	const unsigned rounds = getenv("FULL") ? FULL_ROUNDS : ROUNDS;
	pthread_t users[USERS];

	(void)state;
	front_open(&front, 60000);
	front_setup(&front, FRONT_PLATFORM);
	memset(front.memory, USABLE, PAGES * PAGE);
	say(VHU_IOTLB_UPDATE, 0, PAGES);
	for (uintptr_t i = 0; i < USERS; i++)
		pthread_create(&users[i], NULL, user_main, (void *)i);
	for (unsigned i = 0; (i < rounds || !atomic_load(&uses) || !atomic_load(&missing)) && !atomic_load(&late); i++)
		i % TABLE_EVERY ? take_page(i % PAGES) : take_all();
	atomic_store(&stop, true);
	for (unsigned i = 0; i < USERS; i++)
		pthread_join(users[i], NULL);
	assert_int_equal(late, 0);
	front_close(&front);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_is_used_after_the_acknowledgement)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
