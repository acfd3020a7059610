/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many changes against many holds: an invalidation completes exactly when a plain comparison of all with all says so.
 * And their end.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { PAGE = 4096, PAGES = 64, DOMAINS = 2, HOLDS = 24, SPANS = 3, ROUNDS = 400 };

struct held {
	struct viommu_hold hold;
	struct viommu_span spans[SPANS];
	unsigned domain, pages[SPANS];
	bool open;
};

struct fixture {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_domain *domains[DOMAINS];
	struct viommu_endpoint *endpoints[DOMAINS];
	uint8_t *ram;
	bool mapped[DOMAINS][PAGES], gone[DOMAINS][PAGES], left[DOMAINS];
	struct held held[HOLDS];
};

static unsigned below(unsigned limit)
{
	return (unsigned)rand() % limit;
}

static struct viommu_iova iova(unsigned page, unsigned offset)
{
	return (struct viommu_iova){(uint64_t)page * PAGE + offset};
}

static void complete(struct fixture *f)
{
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void map_page(struct fixture *f, unsigned d, unsigned page)
{
	assert_int_equal(viommu_map(f->domains[d], iova(page, 0), iova(page, PAGE - 1),
				    (struct viommu_gpa){(uint64_t)page * PAGE}, 3),
			 0);
	f->mapped[d][page] = true;
}

static void fill(struct fixture *f)
{
	for (unsigned d = 0; d < DOMAINS; d++) {
		for (unsigned page = 0; page < PAGES; page++)
			if (!f->mapped[d][page])
				map_page(f, d, page);
		memset(f->mapped[d], true, sizeof(f->mapped[d]));
		if (f->left[d])
			assert_int_equal(viommu_attach(f->endpoints[d], f->domains[d], f->inval), 0);
	}
	complete(f);
	memset(f->gone, 0, sizeof(f->gone));
	memset(f->left, 0, sizeof(f->left));
}

static void take_hold(struct fixture *f, struct held *held)
{
	struct viommu_section section;
	unsigned count = 1 + below(SPANS);

	*held = (struct held){.domain = below(DOMAINS), .open = true};
	assert_int_equal(viommu_dma_begin(f->endpoints[held->domain], &section), 0);
	for (unsigned i = 0; i < SPANS; i++)
		held->pages[i] = i < count ? below(PAGES) : held->pages[0];
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(
			viommu_dma_translate(&section, iova(held->pages[i], 16), 64, VIOMMU_READ, &held->spans[i]), 0);
	viommu_dma_hold(&section, &held->hold, held->spans, count);
	viommu_dma_end(&section);
}

/*
 * Ranges of several pages, in any order, some of them over places that have gone already; now and then an endpoint
 * leaves.
 */
static void take_away(struct fixture *f)
{
	for (unsigned i = below(20); i; i--) {
		unsigned d = below(DOMAINS), first = below(PAGES), last = first + below(4);

		if (last >= PAGES)
			last = PAGES - 1;
		assert_int_equal(viommu_unmap(f->domains[d], iova(first, 0), iova(last, PAGE - 1), f->inval, NULL), 0);
		for (unsigned page = first; page <= last; page++) {
			f->gone[d][page] = f->gone[d][page] || f->mapped[d][page];
			f->mapped[d][page] = false;
		}
		for (unsigned page = first; page <= last && below(2); page++) /* so that ranges lie in one another */
			map_page(f, d, page);
	}
	for (unsigned d = 0; d < DOMAINS; d++)
		if (!below(8)) {
			assert_int_equal(viommu_detach(f->endpoints[d], f->inval), 0);
			f->left[d] = true;
		}
}

static bool in_the_way(const struct fixture *f, const struct held *held)
{
	bool found = f->left[held->domain];

	for (unsigned i = 0; i < SPANS; i++)
		found = found || f->gone[held->domain][held->pages[i]];
	return held->open && found;
}

static int expected(const struct fixture *f)
{
	for (unsigned i = 0; i < HOLDS; i++)
		if (in_the_way(f, &f->held[i]))
			return -EAGAIN;
	return 0;
}

static void release_all_in_any_order(struct fixture *f)
{
	bool done = false;

	for (unsigned left = HOLDS, i; left; left--) {
		for (i = below(HOLDS); !f->held[i].open;)
			i = (i + 1) % HOLDS;
		int wanted = expected(f);

		/* Twice: the second time it knows who is in the way. */
		for (unsigned j = 0; j < 2; j++)
			assert_int_equal(done ? 0 : viommu_inval_poll(f->inval), wanted);
		done = !wanted;
		viommu_dma_release(&f->held[i].hold);
		f->held[i].open = false;
	}
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_an_invalidation_waits_for_exactly_the_holds_in_its_way(void **state)
{
	struct fixture f = {.ram = aligned_alloc(PAGE, PAGES * PAGE)};
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .deadline_ms = 600000};

	(void)state;
	srand(1);
	assert_int_equal(viommu_create(&config, &f.v), 0);
	assert_int_equal(viommu_mem_add(f.v, (struct viommu_gpa){0}, PAGES * PAGE, f.ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f.v, &f.inval), 0);
	for (unsigned d = 0; d < DOMAINS; d++) {
		assert_int_equal(viommu_domain_create(f.v, d, &f.domains[d]), 0);
		assert_int_equal(viommu_endpoint_add(f.v, d, "holder", &f.endpoints[d]), 0);
		f.left[d] = true;
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		fill(&f);
		for (unsigned i = 0; i < HOLDS; i++)
			take_hold(&f, &f.held[i]);
		take_away(&f);
		viommu_inval_begin(f.inval);
		release_all_in_any_order(&f);
	}
	for (unsigned d = 0; d < DOMAINS; d++)
		assert_int_equal(viommu_detach(f.endpoints[d], f.inval), 0);
	complete(&f);
	for (unsigned d = 0; d < DOMAINS; d++) {
		assert_int_equal(viommu_endpoint_remove(f.endpoints[d]), 0);
		viommu_domain_destroy(f.domains[d]);
	}
	viommu_inval_destroy(f.inval);
	viommu_destroy(f.v);
	free(f.ram);
}

enum { LIVES = 4000 };

struct device {
	struct viommu_endpoint *endpoint;
	_Atomic bool stop;
};

/* Hold what is mapped just now, and let go at once. */
static void *hold_and_release(void *opaque)
{
	struct device *device = opaque;

	while (!atomic_load(&device->stop)) {
		struct viommu_hold hold = {0};
		struct viommu_section section;
		struct viommu_span span;

		if (viommu_dma_begin(device->endpoint, &section))
			continue;
		bool found = !viommu_dma_translate(&section, iova(0, 0), PAGE, VIOMMU_READ, &span);

		viommu_dma_hold(&section, &hold, &span, found);
		viommu_dma_end(&section);
		viommu_dma_release(&hold);
	}
	return NULL;
}

static void live_and_die(struct fixture *f, struct viommu_endpoint *endpoint)
{
	struct viommu_domain *domain;

	assert_int_equal(viommu_domain_create(f->v, 1, &domain), 0);
	assert_int_equal(viommu_map(domain, iova(0, 0), iova(0, PAGE - 1), (struct viommu_gpa){0}, VIOMMU_READ), 0);
	assert_int_equal(viommu_attach(endpoint, domain, f->inval), 0);
	sched_yield();
	assert_int_equal(viommu_detach(endpoint, f->inval), 0);
	viommu_domain_destroy(domain);
	viommu_inval_begin(f->inval);
	while (viommu_inval_poll(f->inval))
		sched_yield();
}

/* A domain is freed as soon as its last hold is released: not sooner. For the sanitizers to see. */
static void test_a_domain_outlives_its_holds(void **state)
{
	struct fixture f = {0};
	struct device device = {0};
	pthread_t thread;

	(void)state;
	f.ram = aligned_alloc(PAGE, PAGE);
	assert_int_equal(viommu_create(NULL, &f.v), 0);
	assert_int_equal(viommu_inval_create(f.v, &f.inval), 0);
	assert_int_equal(viommu_mem_add(f.v, (struct viommu_gpa){0}, PAGE, f.ram, -1, 0), 0);
	assert_int_equal(viommu_endpoint_add(f.v, 0, "holder", &device.endpoint), 0);
	pthread_create(&thread, NULL, hold_and_release, &device);
	for (unsigned life = 0; life < LIVES; life++)
		live_and_die(&f, device.endpoint);
	atomic_store(&device.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(viommu_endpoint_remove(device.endpoint), 0);
	viommu_inval_destroy(f.inval);
	viommu_destroy(f.v);
	free(f.ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_invalidation_waits_for_exactly_the_holds_in_its_way),
		cmocka_unit_test(test_a_domain_outlives_its_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
