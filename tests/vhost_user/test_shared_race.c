/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers of a shared table use memory through what they find while others unmap it, or take the endpoint away. Memory
 * carries one pattern while it may be used and another as soon as the invalidation that takes it away is complete: a
 * reader that sees the other one used an address too late.
 *
 * Some pages are mapped as they come (the table is filled by the map), some are found by misses. Readers see the
 * writer's own mapping of the table, so that ThreadSanitizer sees what orders them. The mutant `waiting`
 * breaks the library; then this test must fail.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/shared_writer.h>
#include <viommu/viommu.h>

#include "lib/vhost_user/table/view.h"
#include "lib/vhost_user/table/writer.h"

#include "tests/support/test.h"

enum {
	PAGE = 4096,
	PAGES = 8,
	SIZE = PAGES * PAGE,
	BYTES = 64,
	READERS = 2,
	TAKES = 20000,
	FULL_TAKES = 1000000,
	DETACH_EACH = 64,
	YIELD_EACH = 4
};
enum { USABLE = 0x5a, GONE = 0xa5 };

struct race {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	struct viommu_shared *shared;
	struct viommu_shared_view view;
	uint8_t *memory;
	uint64_t goal;
	_Atomic unsigned next_slot;
	_Atomic bool stop;
	_Atomic uint64_t takes, uses, late;
};

static void complete(struct race *race)
{
	viommu_inval_begin(race->inval);
	while (viommu_inval_poll(race->inval)) {
		viommu_shared_poll(race->shared);
		sched_yield();
	}
}

static struct viommu_iova page_iova(unsigned page)
{
	return (struct viommu_iova){(uint64_t)page * PAGE};
}

static void map_page(struct race *race, unsigned page)
{
	assert_int_equal(viommu_map(race->domain, page_iova(page), (struct viommu_iova){page_iova(page + 1).value - 1},
				    (struct viommu_gpa){page_iova(page).value}, VIOMMU_READ | VIOMMU_WRITE),
			 0);
}

static void unmap_page(struct race *race, unsigned page)
{
	assert_int_equal(viommu_unmap(race->domain, page_iova(page),
				      (struct viommu_iova){page_iova(page + 1).value - 1}, race->inval, NULL),
			 0);
	complete(race);
}

static void detach_and_attach(struct race *race)
{
	assert_int_equal(viommu_detach(race->endpoint, race->inval), 0);
	complete(race);
	memset(race->memory, GONE, SIZE);
	memset(race->memory, USABLE, SIZE);
	assert_int_equal(viommu_attach(race->endpoint, race->domain, race->inval), 0);
	complete(race);
}

static void *taker_main(void *opaque)
{
	struct race *race = opaque;

	for (unsigned i = 0; !atomic_load(&race->stop); i++) {
		unsigned page = i % PAGES;

		if (i % DETACH_EACH == 0)
			detach_and_attach(race);
		unmap_page(race, page);
		memset(race->memory + page * PAGE, GONE, PAGE);
		sched_yield(); /* somebody who comes too late has time for it */
		memset(race->memory + page * PAGE, USABLE, PAGE);
		map_page(race, page);
		atomic_fetch_add(&race->takes, 1);
	}
	return NULL;
}

static void look(struct race *race, const struct viommu_shared_extent *extent, uint64_t iova)
{
	const volatile uint8_t *at = race->memory + extent->gpa.value + (iova - extent->first.value);

	for (unsigned i = 0; i < BYTES; i++)
		if (at[i] != USABLE)
			atomic_fetch_add(&race->late, 1);
	atomic_fetch_add(&race->uses, 1);
}

/* Two pages in one go, now and then a miss before it. */
static void use(struct race *race, unsigned slot, unsigned turn)
{
	struct viommu_shared_reader reader;
	struct viommu_shared_extent extent;

	if (turn % 5 == 0)
		viommu_shared_miss(race->shared, page_iova(turn % PAGES), VIOMMU_READ);
	viommu_shared_enter(&race->view, slot, &reader);
	for (unsigned i = 0; i < 2; i++) {
		struct viommu_iova iova = page_iova((turn + i) % PAGES);

		if (viommu_shared_find(&reader, iova, VIOMMU_READ, &extent))
			continue;
		if (turn % YIELD_EACH == 0)
			sched_yield(); /* somebody else has the processor just now */
		look(race, &extent, iova.value);
	}
	viommu_shared_leave(&reader);
}

static void *reader_main(void *opaque)
{
	struct race *race = opaque;
	unsigned slot = atomic_fetch_add(&race->next_slot, 1);

	for (unsigned turn = 0; !atomic_load(&race->stop); turn++)
		use(race, slot, turn);
	return NULL;
}

static void open_race(struct race *race)
{
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .deadline_ms = 60000};

	race->memory = aligned_alloc(PAGE, SIZE);
	memset(race->memory, USABLE, SIZE);
	assert_int_equal(viommu_create(&config, &race->v), 0);
	assert_int_equal(viommu_mem_add(race->v, (struct viommu_gpa){0}, SIZE, race->memory, -1, 0), 0);
	assert_int_equal(viommu_inval_create(race->v, &race->inval), 0);
	assert_int_equal(viommu_domain_create(race->v, 1, &race->domain), 0);
	assert_int_equal(viommu_endpoint_add(race->v, 1, "racer", &race->endpoint), 0);
	assert_int_equal(viommu_attach(race->endpoint, race->domain, race->inval), 0);
	complete(race);
	for (unsigned page = 0; page < PAGES; page++)
		map_page(race, page);
	assert_int_equal(viommu_shared_create(race->endpoint, NULL, &race->shared), 0);
	race->view = (struct viommu_shared_view){.table = race->shared->table_file.at,
						 .epochs = race->shared->epochs,
						 .table_bytes = race->shared->table_file.bytes,
						 .slots = READERS};
}

static void close_race(struct race *race)
{
	viommu_shared_destroy(race->shared);
	race->shared = NULL;
	assert_int_equal(viommu_detach(race->endpoint, race->inval), 0);
	viommu_inval_begin(race->inval);
	assert_int_equal(viommu_inval_poll(race->inval), 0);
	assert_int_equal(viommu_endpoint_remove(race->endpoint), 0);
	viommu_domain_destroy(race->domain);
	viommu_inval_destroy(race->inval);
	viommu_destroy(race->v);
	free(race->memory);
}

static bool enough(const struct race *race)
{
	return (race->takes >= race->goal && race->uses >= race->goal) || race->late;
}

static void test_nobody_uses_what_was_taken_out(void **state)
{
	static struct race race;
	pthread_t taker, readers[READERS];

	(void)state;
	race.goal = getenv("FULL") ? FULL_TAKES : TAKES;
	open_race(&race);
	pthread_create(&taker, NULL, taker_main, &race);
	for (unsigned i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, reader_main, &race);
	while (!enough(&race))
		sched_yield();
	atomic_store(&race.stop, true);
	pthread_join(taker, NULL);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(race.late, 0);
	close_race(&race);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_nobody_uses_what_was_taken_out)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
