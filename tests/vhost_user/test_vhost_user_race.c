/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A back end with an IOTLB of its own uses memory while the guest takes it away. Memory carries one pattern while it
 * may be used and another as soon as the invalidation is complete: a back end that sees the other one used an address
 * too late. It does so when an invalidation did not wait for it, or when an update passed the invalidation that made it
 * stale.
 *
 * The mutant `waiting` breaks the library; then this test must fail.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/support/vhu_front.h"

/* On a machine that is busy with other things each turn takes long: after a while fewer turns are enough. */
enum { PAGES = 8, TAKERS = 2, TURNS = 3000, FULL_TURNS = 300000, LEAST_TURNS = 100, LONG_SECONDS = 30 };
enum { USABLE = 0x5a, GONE = 0xa5 };
enum { BASE_IOVA = 0x200000, BASE_GPA = 0x40000 };

struct race {
	struct front *f;
	uint8_t *memory;   /* as the back end has mapped it */
	bool known[PAGES]; /* its IOTLB */
	bool asked[PAGES];
	struct viommu_inval *invals[TAKERS];
	pthread_t takers[TAKERS], server, back;
	unsigned turns;
	time_t start;
	_Atomic bool stop;
	_Atomic unsigned finished;
	_Atomic uint64_t uses, late;
};

static void take_iotlb(struct race *race, const struct vhu_iotlb *iotlb)
{
	for (unsigned page = 0; page < PAGES; page++) {
		uint64_t first = BASE_IOVA + (uint64_t)page * VHU_PAGE;

		if (first < iotlb->iova || first - iotlb->iova >= iotlb->size)
			continue;
		race->known[page] = iotlb->type == VHU_IOTLB_UPDATE;
		race->asked[page] = race->asked[page] && !race->known[page];
		if (race->known[page])
			assert_int_equal(iotlb->user_address + (first - iotlb->iova),
					 BASE_GPA + (uint64_t)page * VHU_PAGE);
	}
}

static struct race *the_race;

static bool race_hook(struct back *back, struct channel_message *message)
{
	if (message->header.request != VHU_IOTLB_MSG)
		return false;
	take_iotlb(the_race, &message->iotlb);
	back_reply_u64(back, message, 0);
	return true;
}

/* Use what is known; ask for what is not. A miss that found nothing mapped is asked again some time. */
static void use(struct race *race, unsigned turn)
{
	unsigned page = turn % PAGES;
	const volatile uint8_t *bytes = race->memory + page * VHU_PAGE;

	if (!race->known[page]) {
		if (!race->asked[page] || turn / PAGES % 64 == 0)
			back_iotlb(&race->f->back, VHU_IOTLB_MISS, BASE_IOVA + (uint64_t)page * VHU_PAGE, VIOMMU_READ,
				   0);
		race->asked[page] = true;
		return;
	}
	for (unsigned i = 0; i < 64; i++)
		if (bytes[i * (VHU_PAGE / 64)] != USABLE)
			atomic_fetch_add(&race->late, 1);
	atomic_fetch_add(&race->uses, 1);
}

static void *back_main(void *opaque)
{
	struct race *race = opaque;

	for (unsigned turn = 0; !atomic_load(&race->stop); turn++) {
		use(race, turn);
		if (turn % 4 == 0)
			back_serve(&race->f->back);
		channel_flush(&race->f->back.requests);
		channel_flush(&race->f->back.channel);
	}
	return NULL;
}

static void *server_main(void *opaque)
{
	struct race *race = opaque;
	struct pollfd poll_fd = {.fd = viommu_vhu_fd(race->f->vhu), .events = POLLIN};

	while (!atomic_load(&race->stop)) {
		poll(&poll_fd, 1, 10);
		viommu_vhu_serve(race->f->vhu);
	}
	return NULL;
}

static void take_page(struct race *race, unsigned taker, unsigned page)
{
	struct viommu_iova first = {BASE_IOVA + (uint64_t)page * VHU_PAGE}, last = {first.value + VHU_PAGE - 1};
	struct viommu_inval *inval = race->invals[taker];
	uint8_t *bytes = race->f->ram + BASE_GPA + page * VHU_PAGE;

	assert_int_equal(viommu_unmap(race->f->domain, first, last, inval, NULL), 0);
	viommu_inval_begin(inval);
	while (viommu_inval_poll(inval) && !atomic_load(&race->stop))
		sched_yield();
	memset(bytes, GONE, VHU_PAGE);
	sched_yield();
	memset(bytes, USABLE, VHU_PAGE);
	assert_int_equal(viommu_map(race->f->domain, first, last,
				    (struct viommu_gpa){BASE_GPA + (uint64_t)page * VHU_PAGE}, VIOMMU_READ),
			 0);
}

struct taker {
	struct race *race;
	unsigned index;
};

static void *taker_main(void *opaque)
{
	struct taker *taker = opaque;
	struct race *race = taker->race;

	for (unsigned turn = 0; turn < race->turns && !atomic_load(&race->late); turn++) {
		if (turn >= LEAST_TURNS && race->turns == TURNS && time(NULL) - race->start > LONG_SECONDS)
			break;
		uint64_t uses = atomic_load(&race->uses);

		take_page(race, taker->index, taker->index + turn * TAKERS % PAGES);
		/* The back end shall have used something in each turn. */
		while (atomic_load(&race->uses) == uses && !atomic_load(&race->late))
			sched_yield();
	}
	atomic_fetch_add(&race->finished, 1);
	return NULL;
}

static void start(struct race *race)
{
	struct front *f = race->f;

	f->back.hook = race_hook;
	front_connect(f);
	front_pump(f);
	front_map(f, 0x10000, 0x3000, 0x10000, 3);
	assert_int_equal(front_start(f, 1), 0);
	front_pump(f);
	assert_int_equal(f->started, 1);
	race->memory = (uint8_t *)mmap(NULL, VHU_RAM, PROT_READ, MAP_SHARED, f->back.memory_fds[0], 0) + BASE_GPA;
	for (unsigned i = 0; i < PAGES; i++)
		front_map(f, BASE_IOVA + (uint64_t)i * VHU_PAGE, VHU_PAGE, BASE_GPA + (uint64_t)i * VHU_PAGE,
			  VIOMMU_READ);
	memset(f->ram + BASE_GPA, USABLE, PAGES * VHU_PAGE);
}

static void test_nobody_uses_what_was_taken_away(void **state)
{
	struct race race = {.f = *state, .turns = getenv("FULL") ? FULL_TURNS : TURNS};
	struct taker takers[TAKERS];

	the_race = &race;
	race.start = time(NULL);
	start(&race);
	pthread_create(&race.back, NULL, back_main, &race);
	pthread_create(&race.server, NULL, server_main, &race);
	for (unsigned i = 0; i < TAKERS; i++) {
		assert_int_equal(viommu_inval_create(race.f->v, &race.invals[i]), 0);
		takers[i] = (struct taker){&race, i};
		pthread_create(&race.takers[i], NULL, taker_main, &takers[i]);
	}
	for (unsigned i = 0; i < TAKERS; i++)
		pthread_join(race.takers[i], NULL);
	atomic_store(&race.stop, true);
	pthread_join(race.back, NULL);
	pthread_join(race.server, NULL);
	assert_int_equal(race.late, 0);
	assert_int_equal(race.f->lost, 0);
	for (unsigned i = 0; i < TAKERS; i++)
		viommu_inval_destroy(race.invals[i]);
	munmap(race.memory - BASE_GPA, VHU_RAM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nobody_uses_what_was_taken_away, front_setup, front_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
