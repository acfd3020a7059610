/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mirrors while everything changes at once: two threads map and unmap, one moves the endpoint, one adds and removes
 * memory, one answers for a mirror that takes its time. The mirrors themselves have no lock: that their calls come one
 * at a time is what ThreadSanitizer looks at. In the end they hold what the domain maps, as listing it says.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "tests/support/test.h"
#include "tests/support/test_mirror.h"

enum { PAGE = MIRROR_PAGE, RAM_PAGES = 32, HALF = 128, ROUNDS = 100000 };

/* A mirror whose answers come from another thread. */
struct slow {
	struct viommu_client *client;
	struct test_mirror_page pages[2 * HALF];
	pthread_mutex_t lock;
	uint64_t asked; /* lock: the last ticket */
};

struct world {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct test_mirror *quick;
	struct slow slow;
	uint8_t *ram;
	_Atomic bool stop, silent; /* silent: nobody is left to be answered */
	_Atomic unsigned failures;
};

static void slow_ask(struct slow *slow, uint64_t ticket)
{
	pthread_mutex_lock(&slow->lock);
	slow->asked = ticket;
	pthread_mutex_unlock(&slow->lock);
}

static int slow_map(void *opaque, const struct viommu_extent *extent, uint64_t ticket)
{
	struct slow *slow = opaque;

	for (uint64_t page = extent->first.value / PAGE; page <= extent->last.value / PAGE; page++) {
		assert_int_equal(slow->pages[page].access, 0);
		slow->pages[page] = (struct test_mirror_page){
			.gpa = extent->gpa.value + page * PAGE - extent->first.value, .access = extent->access};
	}
	if (!ticket)
		return 0;
	slow_ask(slow, ticket);
	return -EINPROGRESS;
}

static void slow_unmap(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct slow *slow = opaque;

	for (uint64_t page = first.value / PAGE; page < 2 * HALF && page <= last.value / PAGE; page++)
		slow->pages[page].access = 0;
	if (ticket)
		slow_ask(slow, ticket);
}

static const struct viommu_mirror_ops slow_ops = {.size = sizeof(slow_ops), .map = slow_map, .unmap = slow_unmap};

static void *answer(void *opaque)
{
	struct world *w = opaque;

	while (!atomic_load(&w->silent)) {
		pthread_mutex_lock(&w->slow.lock);
		const uint64_t ticket = w->slow.asked;

		pthread_mutex_unlock(&w->slow.lock);
		sched_yield();
		viommu_client_ack(w->slow.client, ticket);
	}
	return NULL;
}

static void complete(struct viommu_inval *inval)
{
	viommu_inval_begin(inval);
	while (viommu_inval_poll(inval) == -EAGAIN)
		sched_yield();
}

static struct viommu_inval *make_inval(struct world *w)
{
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(w->v, &inval), 0);
	return inval;
}

struct mapper {
	struct world *w;
	uint64_t base;
	unsigned seed;
};

static void *map_and_unmap(void *opaque)
{
	struct mapper *mapper = opaque;
	struct world *w = mapper->w;
	struct viommu_inval *inval = make_inval(w);

	for (unsigned i = 0; i < ROUNDS; i++) {
		const uint64_t first = mapper->base + (unsigned)rand_r(&mapper->seed) / 7 % (HALF - 8),
			       last = first + (unsigned)rand_r(&mapper->seed) / 7 % 8;
		const struct viommu_iova from = {first * PAGE}, to = {last * PAGE + PAGE - 1};
		const struct viommu_gpa gpa = {(uint64_t)(rand_r(&mapper->seed) / 7 % (RAM_PAGES - 4)) * PAGE};

		if (i % 3 == 0)
			viommu_map(w->domain, from, to, gpa, VIOMMU_READ);
		else if (i % 3 == 1)
			viommu_map_pending(w->domain, from, to, gpa, VIOMMU_READ, inval);
		else
			viommu_unmap(w->domain, from, to, inval, NULL);
		complete(inval);
	}
	viommu_inval_destroy(inval);
	return NULL;
}

static void *move(void *opaque)
{
	struct world *w = opaque;
	struct viommu_inval *inval = make_inval(w);

	for (unsigned i = 0; !atomic_load(&w->stop); i++) {
		int err = i % 3 == 0   ? viommu_attach(w->endpoint, w->domain, inval)
			  : i % 3 == 1 ? viommu_bypass(w->endpoint, inval)
				       : viommu_detach(w->endpoint, inval);

		if (err)
			atomic_fetch_add(&w->failures, 1);
		complete(inval);
	}
	viommu_inval_destroy(inval);
	return NULL;
}

static void *plug(void *opaque)
{
	struct world *w = opaque;
	struct viommu_inval *inval = make_inval(w);
	const struct viommu_gpa gpa = {(uint64_t)RAM_PAGES / 2 * PAGE};

	while (!atomic_load(&w->stop)) {
		if (viommu_mem_add(w->v, gpa, (uint64_t)RAM_PAGES / 2 * PAGE, w->ram + gpa.value, -1, 0) ||
		    viommu_mem_remove(w->v, gpa, inval))
			atomic_fetch_add(&w->failures, 1);
		complete(inval);
	}
	viommu_inval_destroy(inval);
	return NULL;
}

static void check_page(const struct world *w, uint64_t page, uint64_t gpa)
{
	const bool memory = gpa < (uint64_t)RAM_PAGES / 2 * PAGE;

	assert_int_equal(w->quick->pages[page].access, memory ? VIOMMU_READ : 0);
	assert_int_equal(w->slow.pages[page].access, memory ? VIOMMU_READ : 0);
	if (memory)
		assert_int_equal(w->quick->pages[page].gpa, gpa);
	if (memory)
		assert_int_equal(w->slow.pages[page].gpa, gpa);
}

static void check(const struct world *w)
{
	struct table_mapping mapping;
	uint64_t page = 0;

	while (table_mapping_next(&w->domain->table, page, &mapping)) {
		for (; page < mapping.pages.first; page++)
			check_page(w, page, UINT64_MAX);
		for (; page <= mapping.pages.last; page++)
			check_page(w, page, mapping.gpa + (page - mapping.pages.first) * PAGE);
	}
	for (; page < 2 * HALF; page++)
		check_page(w, page, UINT64_MAX);
}

static void test_mirrors_hold_what_the_domain_maps_after_a_race(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct mapper mappers[2] = {{w, 0, 1}, {w, HALF, 2}};
	pthread_t threads[5];
	void *(*const others[])(void *) = {answer, move, plug};

	(void)state;
	w->ram = aligned_alloc(PAGE, RAM_PAGES * PAGE);
	w->quick = calloc(1, sizeof(*w->quick));
	pthread_mutex_init(&w->slow.lock, NULL);
	assert_int_equal(
		viommu_create(&(struct viommu_config){.size = sizeof(struct viommu_config), .deadline_ms = 60000},
			      &w->v),
		0);
	assert_int_equal(viommu_mem_add(w->v, (struct viommu_gpa){0}, (uint64_t)RAM_PAGES / 2 * PAGE, w->ram, -1, 0),
			 0);
	assert_int_equal(viommu_domain_create(w->v, 1, &w->domain), 0);
	assert_int_equal(viommu_endpoint_add(w->v, 8, "mirrored", &w->endpoint), 0);
	assert_int_equal(test_mirror_register(w->quick, w->endpoint), 0);
	assert_int_equal(viommu_mirror_register(w->endpoint, &slow_ops, &w->slow, &w->slow.client), 0);
	for (unsigned i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, others[i], w);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[3 + i], NULL, map_and_unmap, &mappers[i]);
	for (unsigned i = 3; i < 5; i++)
		pthread_join(threads[i], NULL);

	struct viommu_inval *inval = make_inval(w);

	atomic_store(&w->stop, true);
	for (unsigned i = 1; i < 3; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&w->silent, true);
	pthread_join(threads[0], NULL);
	viommu_client_ack(w->slow.client, UINT64_MAX);
	assert_int_equal(viommu_attach(w->endpoint, w->domain, inval), 0);
	complete(inval);
	assert_int_equal(atomic_load(&w->failures), 0);
	check(w);
	assert_int_equal(viommu_detach(w->endpoint, inval), 0);
	complete(inval);
	viommu_client_unregister(w->quick->client);
	viommu_client_unregister(w->slow.client);
	assert_int_equal(viommu_endpoint_remove(w->endpoint), 0);
	viommu_domain_destroy(w->domain);
	viommu_inval_destroy(inval);
	viommu_destroy(w->v);
	free(w->quick);
	free(w->ram);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_mirrors_hold_what_the_domain_maps_after_a_race)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
