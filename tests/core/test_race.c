/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads use memory through translations while others take them away. Memory carries one pattern while it may be used
 * and another as soon as the invalidation that takes it away is complete: a user that sees the other one used an
 * address too late.
 *
 * Four kinds of taking away go on at once, each in pages of its own: unmap, detach of an endpoint, removal of a memory
 * region, and entries of a walked domain's table changed and invalidated. The mutant `waiting` breaks the
 * library; then this test must fail.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/inval.h"

#include "tests/support/test.h"

enum {
	PAGE = 4096,
	PAGES = 8,
	SIZE = PAGES * PAGE,
	BYTES = 64,
	USERS = 2,
	THEATRES = 4,
	OPERATIONS = 60000,
	FULL_OPERATIONS = 10000000
};
enum { USABLE = 0x5a, GONE = 0xa5 };

/* One way to take memory away, with its own region of memory, domain and endpoint. */
struct theatre {
	struct race *race;
	uint64_t gpa;
	uint8_t *memory;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	void (*give)(struct theatre *t, unsigned page);
	void (*take)(struct theatre *t, unsigned page);
	pthread_t taker, users[USERS];
	_Atomic uint64_t takes, uses;
	_Atomic bool present[PAGES]; /* a walked domain's table */
};

struct race {
	struct viommu *v;
	struct theatre theatres[THEATRES];
	uint64_t goal;
	_Atomic bool stop;
	_Atomic uint64_t late;
};

static struct viommu_iova iova(uint64_t value)
{
	return (struct viommu_iova){value};
}

static void complete(struct theatre *t)
{
	viommu_inval_begin(t->inval);
	while (viommu_inval_poll(t->inval))
		sched_yield();
}

static void map_page(struct theatre *t, unsigned page)
{
	uint64_t at = (uint64_t)page * PAGE;

	assert_int_equal(viommu_map(t->domain, iova(at), iova(at + PAGE - 1), (struct viommu_gpa){t->gpa + at},
				    VIOMMU_READ | VIOMMU_WRITE),
			 0);
}

static void unmap_page(struct theatre *t, unsigned page)
{
	uint64_t at = (uint64_t)page * PAGE;

	assert_int_equal(viommu_unmap(t->domain, iova(at), iova(at + PAGE - 1), t->inval, NULL), 0);
}

static void attach(struct theatre *t, unsigned page)
{
	(void)page;
	assert_int_equal(viommu_attach(t->endpoint, t->domain, t->inval), 0);
}

static void detach(struct theatre *t, unsigned page)
{
	(void)page;
	assert_int_equal(viommu_detach(t->endpoint, t->inval), 0);
}

static void add_memory(struct theatre *t, unsigned page)
{
	(void)page;
	assert_int_equal(viommu_mem_add(t->race->v, (struct viommu_gpa){t->gpa}, SIZE, t->memory, -1, 0), 0);
}

static void remove_memory(struct theatre *t, unsigned page)
{
	(void)page;
	assert_int_equal(viommu_mem_remove(t->race->v, (struct viommu_gpa){t->gpa}, t->inval), 0);
}

static int walk(void *opaque, const struct memory *memory, uint64_t at, unsigned access, struct walk_result *result)
{
	struct theatre *t = opaque;
	uint64_t page = at / PAGE;

	(void)memory;
	*result = (struct walk_result){.reason = VIOMMU_FAULT_NOT_MAPPED};
	if (page >= PAGES || !atomic_load(&t->present[page]))
		return -EFAULT;
	result->iova = (struct range){page * PAGE, page * PAGE + PAGE - 1};
	result->gpa = t->gpa + page * PAGE;
	result->access = access;
	return 0;
}

static const struct walk_ops walk_ops = {.walk = walk};

static void set_entry(struct theatre *t, unsigned page)
{
	atomic_store(&t->present[page], true);
}

static void clear_entry(struct theatre *t, unsigned page)
{
	uint64_t at = (uint64_t)page * PAGE;

	atomic_store(&t->present[page], false);
	assert_int_equal(viommu__domain_evict(t->domain, (struct range){at, at + PAGE - 1}, false, t->inval), 0);
}

static void *taker_main(void *opaque)
{
	struct theatre *t = opaque;

	for (unsigned i = 0; !atomic_load(&t->race->stop); i++) {
		unsigned page = i % PAGES;
		bool one = t->take == unmap_page || t->take == clear_entry;
		uint8_t *memory = t->memory + (one ? page * PAGE : 0);

		t->take(t, page);
		complete(t);
		memset(memory, GONE, one ? PAGE : SIZE);
		memset(memory, USABLE, one ? PAGE : SIZE);
		t->give(t, page);
		atomic_fetch_add(&t->takes, 1);
	}
	return NULL;
}

static void look(struct theatre *t, const struct viommu_span *span)
{
	for (unsigned i = 0; i < span->len; i++)
		if (((volatile uint8_t *)span->host)[i] != USABLE)
			atomic_fetch_add(&t->race->late, 1);
	atomic_fetch_add(&t->uses, 1);
}

/* Use a page inside the section, and every third time go on under a hold when the section is closed. */
static void use(struct theatre *t, unsigned turn)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold = {0};
	bool held = turn % 3 == 0;

	if (viommu_dma_begin(t->endpoint, &section))
		return;
	if (viommu_dma_translate(&section, iova(turn % PAGES * PAGE), BYTES, VIOMMU_READ, &span)) {
		viommu_dma_end(&section);
		return;
	}
	look(t, &span);
	if (held)
		viommu_dma_hold(&section, &hold, &span, 1);
	viommu_dma_end(&section);
	if (held) {
		look(t, &span);
		viommu_dma_release(&hold);
	}
}

static void *user_main(void *opaque)
{
	struct theatre *t = opaque;

	for (unsigned turn = 0; !atomic_load(&t->race->stop); turn++)
		use(t, turn);
	return NULL;
}

static void open_theatre(struct race *race, unsigned index)
{
	struct theatre *t = &race->theatres[index];

	t->race = race;
	t->gpa = (uint64_t)index * 2 * SIZE;
	t->memory = aligned_alloc(PAGE, SIZE);
	memset(t->memory, USABLE, SIZE);
	assert_int_equal(viommu_inval_create(race->v, &t->inval), 0);
	if (t->take == clear_entry)
		assert_int_equal(viommu__domain_create_walked(race->v, &walk_ops, t, &t->domain), 0);
	else
		assert_int_equal(viommu_domain_create(race->v, index, &t->domain), 0);
	assert_int_equal(viommu_endpoint_add(race->v, index, "racer", &t->endpoint), 0);
	add_memory(t, 0);
	for (unsigned page = 0; page < PAGES; page++)
		t->take == clear_entry ? set_entry(t, page) : map_page(t, page);
	attach(t, 0);
}

static void start(struct theatre *t)
{
	pthread_create(&t->taker, NULL, taker_main, t);
	for (unsigned i = 0; i < USERS; i++)
		pthread_create(&t->users[i], NULL, user_main, t);
}

static void close_theatre(struct theatre *t)
{
	detach(t, 0);
	complete(t);
	assert_int_equal(viommu_endpoint_remove(t->endpoint), 0);
	viommu_domain_destroy(t->domain);
	viommu_inval_destroy(t->inval);
	free(t->memory);
}

static bool enough(const struct race *race)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < THEATRES; i++) {
		if (!race->theatres[i].takes || !race->theatres[i].uses)
			return false;
		sum += race->theatres[i].takes + race->theatres[i].uses;
	}
	return sum >= race->goal || race->late;
}

static void test_nobody_uses_what_was_taken_away(void **state)
{
	struct race race = {.goal = getenv("FULL") ? FULL_OPERATIONS : OPERATIONS};
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .deadline_ms = 60000};

	(void)state;
	assert_int_equal(viommu_create(&config, &race.v), 0);
	race.theatres[0] = (struct theatre){.give = map_page, .take = unmap_page};
	race.theatres[1] = (struct theatre){.give = attach, .take = detach};
	race.theatres[2] = (struct theatre){.give = add_memory, .take = remove_memory};
	race.theatres[3] = (struct theatre){.give = set_entry, .take = clear_entry};
	for (unsigned i = 0; i < THEATRES; i++)
		open_theatre(&race, i);
	for (unsigned i = 0; i < THEATRES; i++)
		start(&race.theatres[i]);
	while (!enough(&race))
		sched_yield();
	atomic_store(&race.stop, true);
	for (unsigned i = 0; i < THEATRES; i++) {
		pthread_join(race.theatres[i].taker, NULL);
		for (unsigned j = 0; j < USERS; j++)
			pthread_join(race.theatres[i].users[j], NULL);
	}
	assert_int_equal(race.late, 0);
	for (unsigned i = 0; i < THEATRES; i++)
		close_theatre(&race.theatres[i]);
	viommu_destroy(race.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_nobody_uses_what_was_taken_away)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
