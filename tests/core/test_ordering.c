/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two places where a processor may not let a load pass an earlier store: a section's beginning beside an
 * invalidation's (section.h), and its end beside a poll that wants to be woken (wake.h). Two threads meet at each,
 * round after round, at slightly different times; what must never be seen is both of them having missed the other. The
 * section stays open until the invalidation was polled, so one miss is enough to see it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum {
	PAGE = 4096,
	ROUNDS = 10000,
	FULL_ROUNDS = 1000000,
	SPINS = 20000,
	JITTER = 32,
	LINES = 40,
	LONGEST_DELAY = 4096
};

struct line {
	_Atomic bool written __attribute__((aligned(128)));
};

struct world {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	uint8_t *ram;
	unsigned rounds;
	_Atomic uint64_t woken;
	/* The last round in which: */
	_Atomic unsigned mapped __attribute__((aligned(128))); /* there is a mapping */
	_Atomic unsigned ready __attribute__((aligned(128)));  /* the device may be met */
	_Atomic unsigned go __attribute__((aligned(128)));     /* both go */
	_Atomic unsigned polled __attribute__((aligned(128))); /* the invalidation was polled */
	_Atomic unsigned done __attribute__((aligned(128)));   /* the device has done its part */
	struct line lines[LINES];
	int translated; /* before `done`: what the translation gave */
};

static void on_progress(void *opaque)
{
	struct world *w = opaque;

	atomic_fetch_add(&w->woken, 1);
}

static void await(_Atomic unsigned *word, unsigned round)
{
	for (unsigned spins = 0; atomic_load_explicit(word, memory_order_acquire) != round; spins++)
		if (spins > SPINS)
			sched_yield();
}

static void say(_Atomic unsigned *word, unsigned round)
{
	atomic_store_explicit(word, round, memory_order_release);
}

static void delay(unsigned turns)
{
	for (volatile unsigned left = turns; left; left--)
		;
}

/*
 * Stores wait in the processor for their cache lines, in order, while later loads go on. Here the device has many to
 * wait for, as the other thread had those lines last, so its next store comes late.
 */
static void write_lines(struct world *w)
{
	for (unsigned i = 0; i < LINES; i++)
		atomic_store_explicit(&w->lines[i].written, true, memory_order_relaxed);
}

static unsigned jitter(unsigned *seed)
{
	return (unsigned)rand_r(seed) / 7 % JITTER;
}

/* The invalidation's delay follows that of the device: where it came first, it comes a little later the next time. */
static void aim(unsigned *turns, bool came_first)
{
	if (came_first && *turns < LONGEST_DELAY)
		*turns += 1;
	else if (!came_first && *turns)
		*turns -= 1;
}

/* The invalidating thread on one processor, the device on another; false: there is none. */
static bool part(pthread_t device)
{
	static cpu_set_t all;
	cpu_set_t one;
	int first = 0, last = CPU_SETSIZE - 1;

	if (!CPU_COUNT(&all) && pthread_getaffinity_np(pthread_self(), sizeof(all), &all))
		return false;
	if (CPU_COUNT(&all) < 2)
		return false;
	while (!CPU_ISSET(first, &all))
		first++;
	while (!CPU_ISSET(last, &all))
		last--;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	bool parted = !pthread_setaffinity_np(pthread_self(), sizeof(one), &one);

	CPU_ZERO(&one);
	CPU_SET(last, &one);
	return parted && !pthread_setaffinity_np(device, sizeof(one), &one);
}

static struct viommu_iova iova(uint64_t value)
{
	return (struct viommu_iova){value};
}

static int setup(void **state)
{
	struct world *w = aligned_alloc(128, sizeof(*w));

	assert_non_null(w);
	*w = (struct world){.rounds = getenv("FULL") ? FULL_ROUNDS : ROUNDS};
	const struct viommu_config config = {
		.size = sizeof(config), .deadline_ms = 600000, .progress = on_progress, .opaque = w};

	w->ram = aligned_alloc(PAGE, PAGE);
	assert_int_equal(viommu_create(&config, &w->v), 0);
	assert_int_equal(viommu_mem_add(w->v, (struct viommu_gpa){0}, PAGE, w->ram, -1, 0), 0);
	assert_int_equal(viommu_domain_create(w->v, 1, &w->domain), 0);
	assert_int_equal(viommu_endpoint_add(w->v, 8, "device", &w->endpoint), 0);
	assert_int_equal(viommu_inval_create(w->v, &w->inval), 0);
	assert_int_equal(viommu_attach(w->endpoint, w->domain, w->inval), 0);
	*state = w;
	return 0;
}

static void complete(struct world *w)
{
	viommu_inval_begin(w->inval);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
}

static int teardown(void **state)
{
	struct world *w = *state;

	assert_int_equal(viommu_detach(w->endpoint, w->inval), 0);
	complete(w);
	viommu_inval_destroy(w->inval);
	assert_int_equal(viommu_endpoint_remove(w->endpoint), 0);
	viommu_domain_destroy(w->domain);
	viommu_destroy(w->v);
	free(w->ram);
	free(w);
	return 0;
}

/* In each round a device that begins a section and translates. */
static void *begin_sections(void *opaque)
{
	struct world *w = opaque;
	unsigned seed = 1;

	for (unsigned round = 1; round <= w->rounds; round++) {
		struct viommu_section section;
		struct viommu_span span;
		uint8_t byte;

		/* What it will load it has at hand: it has just found the mapping. */
		await(&w->mapped, round);
		if (viommu_dma_read(w->endpoint, iova(0), &byte, 1))
			abort();
		say(&w->ready, round);
		await(&w->go, round);
		delay(jitter(&seed));
		write_lines(w);
		if (viommu_dma_begin(w->endpoint, &section))
			abort();
		w->translated = viommu_dma_translate(&section, iova(0), PAGE, VIOMMU_READ, &span);
		await(&w->polled, round);
		viommu_dma_end(&section);
		say(&w->done, round);
	}
	return NULL;
}

static void test_a_section_that_begins_is_awaited_or_sees_the_change(void **state)
{
	struct world *w = *state;
	unsigned seed = 2, turns = 0, found = 0, passed = 0, missed = 0;
	pthread_t device;

	pthread_create(&device, NULL, begin_sections, w);
	part(device);
	for (unsigned round = 1; round <= w->rounds; round++) {
		assert_int_equal(viommu_map(w->domain, iova(0), iova(PAGE - 1), (struct viommu_gpa){0}, VIOMMU_READ),
				 0);
		say(&w->mapped, round);
		await(&w->ready, round);
		write_lines(w);
		say(&w->go, round);
		delay(turns + jitter(&seed));
		assert_int_equal(viommu_unmap(w->domain, iova(0), iova(PAGE - 1), w->inval, NULL), 0);
		viommu_inval_begin(w->inval);
		const bool over = !viommu_inval_poll(w->inval);

		say(&w->polled, round);
		await(&w->done, round);
		found += !w->translated;
		passed += over;
		missed += !w->translated && over;
		assert_int_equal(viommu_inval_poll(w->inval), 0);
		aim(&turns, w->translated != 0);
	}
	pthread_join(device, NULL);
	print_message("%u rounds: %u translations, %u invalidations that did not wait; both: %u\n", w->rounds, found,
		      passed, missed);
	assert_int_equal(missed, 0);
}

/* In each round a device that ends the section in which it is awaited. */
static void *end_sections(void *opaque)
{
	struct world *w = opaque;
	unsigned seed = 3;

	for (unsigned round = 1; round <= w->rounds; round++) {
		struct viommu_section section;

		if (viommu_dma_begin(w->endpoint, &section))
			abort();
		say(&w->ready, round);
		await(&w->go, round);
		delay(jitter(&seed));
		write_lines(w);
		viommu_dma_end(&section);
		say(&w->done, round);
		await(&w->polled, round);
	}
	return NULL;
}

static void test_a_section_that_ends_is_seen_or_wakes(void **state)
{
	struct world *w = *state;
	unsigned seed = 4, turns = 0, waited = 0, missed = 0;
	pthread_t device;

	pthread_create(&device, NULL, end_sections, w);
	part(device);
	for (unsigned round = 1; round <= w->rounds; round++) {
		await(&w->ready, round);
		assert_int_equal(viommu_quiesce(w->endpoint, w->inval), 0);
		viommu_inval_begin(w->inval);
		const uint64_t woken = atomic_load(&w->woken);

		write_lines(w);
		say(&w->go, round);
		delay(turns + jitter(&seed));
		const bool over = !viommu_inval_poll(w->inval);

		await(&w->done, round);
		waited += !over;
		missed += !over && atomic_load(&w->woken) == woken;
		assert_int_equal(viommu_inval_poll(w->inval), 0);
		aim(&turns, !over);
		say(&w->polled, round);
	}
	pthread_join(device, NULL);
	print_message("%u rounds: %u polls in vain; not woken: %u\n", w->rounds, waited, missed);
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_section_that_begins_is_awaited_or_sees_the_change, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_section_that_ends_is_seen_or_wakes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
