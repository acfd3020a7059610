/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What clients need to hand translations on: the extent around an address, against a page-by-page reference; and who is
 * told of maps.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { PAGE = 4096, PAGES = 256, SPACE = 96, ROUNDS = 400, REGION = 128 };

struct told {
	unsigned maps, invalidations;
	uint64_t first, last;
	bool map_was_last;
};

struct fixture {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	struct viommu_client *client;
	uint8_t *ram;
	struct told told;
	/* The reference: what each page of the space maps to, with its rights; -1: nothing. */
	int target[SPACE];
	unsigned access[SPACE];
};

static void complete(struct fixture *f)
{
	viommu_inval_begin(f->inval);
	while (viommu_inval_poll(f->inval))
		sched_yield();
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ram = aligned_alloc(PAGE, PAGES * PAGE);
	assert_int_equal(viommu_create(NULL, &f->v), 0);
	/* Side by side in guest memory, but two files. */
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, REGION * PAGE, f->ram, 5, 0x10000), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){REGION * PAGE}, (PAGES - REGION) * PAGE,
					f->ram + REGION * PAGE, 6, 0),
			 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_domain_create(f->v, 1, &f->domain), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 8, "extent", &f->endpoint), 0);
	for (unsigned i = 0; i < SPACE; i++)
		f->target[i] = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	viommu_client_unregister(f->client);
	viommu_detach(f->endpoint, f->inval);
	complete(f);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), 0);
	viommu_domain_destroy(f->domain);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f);
	return 0;
}

static int map(struct fixture *f, unsigned page, unsigned count, unsigned target, unsigned access)
{
	return viommu_map(f->domain, (struct viommu_iova){(uint64_t)page * PAGE},
			  (struct viommu_iova){(uint64_t)(page + count) * PAGE - 1},
			  (struct viommu_gpa){(uint64_t)target * PAGE}, access);
}

static int extent_at(struct fixture *f, uint64_t iova, unsigned access, bool report, struct viommu_extent *extent)
{
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	int err = viommu_dma_extent(&section, (struct viommu_iova){iova}, access, report, extent);

	viommu_dma_end(&section);
	return err;
}

/* Do two pages of the reference belong to one extent? */
static bool joined(const struct fixture *f, unsigned page)
{
	return f->target[page] >= 0 && f->target[page + 1] == f->target[page] + 1 &&
	       f->access[page] == f->access[page + 1] && f->target[page + 1] != REGION;
}

static void check_page(struct fixture *f, unsigned page)
{
	struct viommu_extent extent;
	unsigned first = page, last = page;
	int err = extent_at(f, (uint64_t)page * PAGE + 17, 0, false, &extent);

	if (f->target[page] < 0 || f->target[page] >= PAGES) {
		assert_int_equal(err, -EFAULT);
		return;
	}
	while (first && joined(f, first - 1))
		first--;
	while (last + 1 < SPACE && joined(f, last))
		last++;
	assert_int_equal(err, 0);
	assert_int_equal(extent.first.value, (uint64_t)first * PAGE);
	assert_int_equal(extent.last.value, (uint64_t)(last + 1) * PAGE - 1);
	assert_int_equal(extent.access, f->access[page]);
	assert_int_equal(extent.gpa.value, (uint64_t)f->target[first] * PAGE);
	assert_ptr_equal(extent.host, f->ram + (uint64_t)f->target[first] * PAGE);
	assert_int_equal(extent.fd, f->target[first] < REGION ? 5 : 6);
	assert_int_equal(extent.fd_offset, f->target[first] < REGION ? 0x10000 + (uint64_t)f->target[first] * PAGE
								     : (uint64_t)(f->target[first] - REGION) * PAGE);
}

/* Random mappings, many of which go on where their neighbour ends. */
static void test_extent_is_what_pages_say(void **state)
{
	struct fixture *f = *state;
	uint64_t random = 11;

	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	complete(f);
	for (unsigned round = 0; round < ROUNDS; round++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		unsigned page = (random >> 33) % SPACE, count = 1 + (random >> 45) % 5, access = 1 + (random >> 50) % 3;
		unsigned target = random >> 60 < 12 ? page + 90 : (random >> 20) % PAGES;

		if (page + count > SPACE || target + count > PAGES)
			continue;
		if (!map(f, page, count, target, access)) {
			for (unsigned i = 0; i < count; i++) {
				f->target[page + i] = (int)(target + i);
				f->access[page + i] = access;
			}
		} else if (random >> 61 < 4) {
			viommu_unmap(f->domain, (struct viommu_iova){0}, (struct viommu_iova){UINT64_MAX}, f->inval,
				     NULL);
			complete(f);
			for (unsigned i = 0; i < SPACE; i++)
				f->target[i] = -1;
		}
		for (unsigned i = 0; i < SPACE; i++)
			check_page(f, i);
	}
}

static void test_extent_of_endpoint_that_bypasses_is_region(void **state)
{
	struct fixture *f = *state;
	struct viommu_extent extent;

	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	complete(f);
	assert_int_equal(extent_at(f, (REGION + 3) * PAGE, VIOMMU_WRITE, true, &extent), 0);
	assert_int_equal(extent.first.value, REGION * PAGE);
	assert_int_equal(extent.last.value, PAGES * PAGE - 1);
	assert_int_equal(extent.access, VIOMMU_READ | VIOMMU_WRITE);
	assert_int_equal(extent_at(f, PAGES * PAGE, 0, false, &extent), -EFAULT);
}

static void test_extent_ends_at_the_end_of_space(void **state)
{
	struct fixture *f = *state;
	struct viommu_extent extent;

	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_map(f->domain, (struct viommu_iova){UINT64_MAX - 2 * PAGE + 1},
				    (struct viommu_iova){UINT64_MAX}, (struct viommu_gpa){0}, VIOMMU_READ),
			 0);
	assert_int_equal(extent_at(f, UINT64_MAX, VIOMMU_READ, true, &extent), 0);
	assert_int_equal(extent.first.value, UINT64_MAX - 2 * PAGE + 1);
	assert_int_equal(extent.last.value, UINT64_MAX);
}

static void test_extent_reports_only_when_asked(void **state)
{
	struct fixture *f = *state;
	struct viommu_fault fault;
	struct viommu_extent extent;

	assert_int_equal(extent_at(f, 0, VIOMMU_READ, true, &extent), -EFAULT);
	assert_int_equal(viommu_fault_next(f->v, &fault), 0);
	assert_int_equal(fault.reason, VIOMMU_FAULT_BLOCKED);
	assert_int_equal(extent_at(f, 0, VIOMMU_READ, false, &extent), -EFAULT);
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	complete(f);
	assert_int_equal(map(f, 0, 1, 0, VIOMMU_READ), 0);
	assert_int_equal(extent_at(f, 0, VIOMMU_WRITE, false, &extent), -EACCES);
	assert_int_equal(viommu_fault_next(f->v, &fault), -EAGAIN);
	assert_int_equal(extent_at(f, 0, VIOMMU_WRITE, true, &extent), -EACCES);
	assert_int_equal(viommu_fault_next(f->v, &fault), 0);
	assert_int_equal(fault.reason, VIOMMU_FAULT_PERMISSION);
}

static void note_invalidate(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct fixture *f = opaque;

	(void)first;
	(void)last;
	f->told.invalidations++;
	f->told.map_was_last = false;
	viommu_client_ack(f->client, ticket);
}

/* What was mapped can be found from inside the callback. */
static void note_map(void *opaque, struct viommu_iova first, struct viommu_iova last)
{
	struct fixture *f = opaque;
	struct viommu_extent extent;

	f->told.maps++;
	f->told.first = first.value;
	f->told.last = last.value;
	f->told.map_was_last = true;
	if (last.value != UINT64_MAX)
		assert_int_equal(extent_at(f, first.value, 0, false, &extent), 0);
}

static void test_client_hears_of_maps_of_its_domain(void **state)
{
	static const struct viommu_client_ops ops = {
		.size = sizeof(struct viommu_client_ops), .invalidate = note_invalidate, .map = note_map};
	struct fixture *f = *state;

	assert_int_equal(viommu_client_register(f->endpoint, &ops, f, &f->client), 0);
	assert_int_equal(map(f, 0, 1, 0, VIOMMU_READ), 0);
	assert_int_equal(f->told.maps, 0);
	/* From nowhere into a domain: nothing is taken away, but there is something new. */
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	assert_int_equal(f->told.maps, 1);
	assert_int_equal(f->told.last, UINT64_MAX);
	assert_int_equal(map(f, 4, 2, 0, VIOMMU_READ), 0);
	assert_int_equal(f->told.maps, 2);
	assert_int_equal(f->told.first, 4 * PAGE);
	assert_int_equal(f->told.last, 6 * PAGE - 1);
	assert_int_equal(map(f, 4, 2, 0, VIOMMU_READ), -EEXIST);
	assert_int_equal(f->told.maps, 2);
	/* From one space into another: what is new comes after what goes. */
	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	complete(f);
	assert_int_equal(f->told.invalidations, 1);
	assert_true(f->told.map_was_last);
	assert_int_equal(map(f, 8, 1, 0, VIOMMU_READ), 0);
	assert_int_equal(f->told.last, UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_extent_is_what_pages_say, setup, teardown),
		cmocka_unit_test_setup_teardown(test_extent_of_endpoint_that_bypasses_is_region, setup, teardown),
		cmocka_unit_test_setup_teardown(test_extent_ends_at_the_end_of_space, setup, teardown),
		cmocka_unit_test_setup_teardown(test_extent_reports_only_when_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_hears_of_maps_of_its_domain, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
