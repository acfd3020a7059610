/* SPDX-License-Identifier: BSD-2-Clause */
/* What each invalidation takes away, and what it leaves; when it is complete. */
#include "tests/support/vtd_driver.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

enum { AW_48 = 2, DID_A = 5, DID_B = 6, PAGES = 16, GLOBAL = 1, DOMAIN = 2, PAGE = 3, DEVICE = 3 };
enum { OLD = VTD_DATA, NEW = VTD_DATA + (1 << 20) };
#define RW ((uint64_t)(VTD_SS_R | VTD_SS_W))

struct fixture {
	struct vtd_driver *d;
	struct vtd_tables a, b; /* of devices A and B; 16 pages from 0 on, one behind the other from OLD */
};

static void set_pages(struct vtd_driver *d, const struct vtd_tables *t, uint64_t gpa)
{
	for (uint64_t at = 0; at < PAGES * VTD_PAGE_SIZE; at += VTD_PAGE_SIZE)
		vtd_map(d, t, at, (gpa + at) | RW);
}

static bool page_is_new(struct fixture *f, uint16_t source, unsigned page)
{
	uint64_t at = page * VTD_PAGE_SIZE;
	int64_t got = vtd_peek(f->d, source, at);

	assert_true(got == (int64_t)(OLD + at) || got == (int64_t)(NEW + at));
	return got == (int64_t)(NEW + at);
}

/* A bit for each page that has the new target. */
static unsigned new_pages(struct fixture *f, uint16_t source)
{
	unsigned pages = 0;

	for (unsigned page = 0; page < PAGES; page++)
		pages |= (unsigned)page_is_new(f, source, page) << page;
	return pages;
}

static void start(struct fixture *f, const struct viommu_vtd_config *config)
{
	*f = (struct fixture){.d = vtd_driver_create(config)};
	f->a = vtd_second_stage(f->d, 4);
	f->b = vtd_second_stage(f->d, 4);
	set_pages(f->d, &f->a, OLD);
	set_pages(f->d, &f->b, OLD);
}

/* Both devices have used all their pages; then the guest changes every entry without a word. */
static void start_stale(struct fixture *f, const struct viommu_vtd_config *config)
{
	start(f, config);
	vtd_set_context(f->d, VTD_A, f->a.top | VTD_ENTRY_P, DID_A << 8 | AW_48);
	vtd_set_context(f->d, VTD_B, f->b.top | VTD_ENTRY_P, DID_B << 8 | AW_48);
	vtd_start(f->d, VTD_TTM_IS_LEGACY);
	assert_int_equal(new_pages(f, VTD_A) | new_pages(f, VTD_B), 0);
	set_pages(f->d, &f->a, NEW);
	set_pages(f->d, &f->b, NEW);
	assert_int_equal(new_pages(f, VTD_A) | new_pages(f, VTD_B), 0);
}

static void expect_new(struct fixture *f, unsigned a, unsigned b)
{
	assert_int_equal(new_pages(f, VTD_A), a);
	assert_int_equal(new_pages(f, VTD_B), b);
	vtd_driver_destroy(f->d);
}

enum { ALL = (1 << PAGES) - 1 };

static void test_global(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	vtd_flush_iotlb(f.d, GLOBAL, 0, 0, 0);
	expect_new(&f, ALL, ALL);
}

static void test_domain(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	vtd_flush_iotlb(f.d, DOMAIN, 99, 0, 0);
	vtd_flush_iotlb(f.d, DOMAIN, DID_B, 0, 0);
	expect_new(&f, 0, ALL);
}

static void test_pages(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	vtd_flush_iotlb(f.d, PAGE, DID_A, 3 * VTD_PAGE_SIZE, 0);
	vtd_flush_iotlb(f.d, PAGE, DID_A, 5 * VTD_PAGE_SIZE, 1);          /* aligned down: 4 and 5 */
	vtd_flush_iotlb(f.d, PAGE, DID_A, 8 * VTD_PAGE_SIZE | 1 << 6, 2); /* with IH */
	vtd_flush_iotlb(f.d, PAGE, 99, 0, 4);
	expect_new(&f, 1 << 3 | 3 << 4 | 15 << 8, 0);
}

static void test_many_pages(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	vtd_flush_iotlb(f.d, PAGE, DID_B, 0x123456789000, vtd_cap_mamv(vtd_get_register(f.d, VTD_CAP)));
	expect_new(&f, 0, ALL);
}

static void test_context_global(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	vtd_flush_context(f.d, GLOBAL, 0, 0, 0);
	expect_new(&f, ALL, ALL);
}

static void test_context_domain(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	vtd_flush_context(f.d, DOMAIN, DID_A, 0, 0);
	expect_new(&f, ALL, 0);
}

static void test_context_device(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	vtd_flush_context(f.d, DEVICE, 0, VTD_B, 0);
	expect_new(&f, 0, ALL);
}

/* A and B differ in the function's lowest bit alone; 3 hides it, 1 and 2 hide others. */
static void test_context_function_mask(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	vtd_flush_context(f.d, DEVICE, 0, VTD_A | 4, 0);
	vtd_flush_context(f.d, DEVICE, 0, VTD_A | 2, 1);
	assert_int_equal(new_pages(&f, VTD_A) | new_pages(&f, VTD_B), 0);
	vtd_flush_context(f.d, DEVICE, 0, VTD_A | 6, 2);
	assert_int_equal(new_pages(&f, VTD_A), ALL);
	assert_int_equal(new_pages(&f, VTD_B), 0);
	vtd_flush_context(f.d, DEVICE, 0, VTD_A | 7, 3);
	expect_new(&f, ALL, ALL);
}

static void test_registers(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	vtd_command_clear(f.d, VTD_GCMD_QIE);
	viommu_vtd_write(f.d->unit, VTD_IVA, 2 * VTD_PAGE_SIZE | 1, 8);
	viommu_vtd_write(f.d->unit, VTD_IOTLB, VTD_IOTLB_IVT | 3ull << 60 | (uint64_t)DID_A << 32, 8);
	assert_int_equal(vtd_get_register(f.d, VTD_IOTLB) & VTD_IOTLB_IVT, 0);
	viommu_vtd_write(f.d->unit, VTD_CCMD, VTD_CCMD_ICC | 2ull << 61 | DID_B, 8);
	assert_int_equal(vtd_get_register(f.d, VTD_CCMD) & VTD_CCMD_ICC, 0);
	expect_new(&f, 3 << 2, ALL);
}

static void test_a_context_is_used_until_it_is_invalidated(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, NULL);
	set_pages(f.d, &f.b, NEW);
	vtd_set_context(f.d, VTD_A, f.a.top | VTD_ENTRY_P, DID_A << 8 | AW_48);
	vtd_start(f.d, VTD_TTM_IS_LEGACY);
	assert_false(page_is_new(&f, VTD_A, 0));
	vtd_set_context(f.d, VTD_A, f.b.top | VTD_ENTRY_P, DID_B << 8 | AW_48);
	assert_int_equal(new_pages(&f, VTD_A), 0); /* also by walks of pages that were not used yet */
	vtd_flush_iotlb(f.d, DOMAIN, DID_B, 0, 0); /* that is not yet this device's domain */
	assert_int_equal(new_pages(&f, VTD_A), 0);
	vtd_flush_context(f.d, DEVICE, DID_A, VTD_A, 0);
	assert_int_equal(new_pages(&f, VTD_A), ALL);
	set_pages(f.d, &f.b, OLD);
	vtd_flush_iotlb(f.d, DOMAIN, DID_A, 0, 0);
	assert_int_equal(new_pages(&f, VTD_A), ALL);
	vtd_flush_iotlb(f.d, DOMAIN, DID_B, 0, 0);
	assert_int_equal(new_pages(&f, VTD_A), 0);
	vtd_driver_destroy(f.d);
}

static void test_a_new_root_is_used_at_once(void **state)
{
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	f.d->root = vtd_page(f.d);
	vtd_set_context(f.d, VTD_A, f.a.top | VTD_ENTRY_P, DID_A << 8 | AW_48);
	viommu_vtd_write(f.d->unit, VTD_RTADDR, f.d->root, 8);
	assert_int_equal(new_pages(&f, VTD_B), 0);
	vtd_command_set(f.d, VTD_GCMD_SRTP);
	assert_int_equal(new_pages(&f, VTD_A), ALL);
	vtd_expect_fault(f.d, VTD_B, 0, VIOMMU_READ, VTD_FAULT_CONTEXT_NOT_PRESENT);
	vtd_driver_destroy(f.d);
}

/*
 * What is not present is not kept, in either mode; with caching mode Linux says it all the same, with domain 0 for
 * contexts.
 */
static void check_additions(bool caching_mode)
{
	struct fixture f;

	start(&f, &(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .caching_mode = caching_mode});
	vtd_start(f.d, VTD_TTM_IS_LEGACY);
	vtd_expect_fault(f.d, VTD_A, 0, VIOMMU_READ, VTD_FAULT_ROOT_NOT_PRESENT);
	vtd_set_context(f.d, VTD_A, f.a.top | VTD_ENTRY_P, DID_A << 8 | AW_48);
	if (caching_mode) {
		vtd_flush_context(f.d, DEVICE, 0, VTD_A, 0);
		vtd_flush_iotlb(f.d, DOMAIN, DID_A, 0, 0);
	}
	vtd_expect_fault(f.d, VTD_A, 100 * VTD_PAGE_SIZE, VIOMMU_READ, VTD_FAULT_NO_READ);
	vtd_map(f.d, &f.a, 100 * VTD_PAGE_SIZE, OLD | RW);
	if (caching_mode)
		vtd_flush_iotlb(f.d, PAGE, DID_A, 100 * VTD_PAGE_SIZE, 0);
	assert_int_equal(vtd_peek(f.d, VTD_A, 100 * VTD_PAGE_SIZE), OLD);
	assert_int_equal(!!(vtd_get_register(f.d, VTD_CAP) & VTD_CAP_CM), caching_mode);
	vtd_driver_destroy(f.d);
}

static void test_additions(void **state)
{
	(void)state;
	check_additions(false);
	check_additions(true);
}

static void set_pasids(struct fixture *f)
{
	uint64_t type = 2 << 2 | VTD_PGTT_SECOND << 6 | VTD_ENTRY_P;

	vtd_set_pasid(f->d, VTD_A, 0, (uint64_t[]){f->a.top | type, DID_A, 0});
	vtd_set_pasid(f->d, VTD_B, 70, (uint64_t[]){f->b.top | type, DID_B, 0});
	vtd_set(f->d, vtd_s_context_at(f->d, VTD_B) + 8, 70);
}

static void start_stale_scalable(struct fixture *f)
{
	start(f, &(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .scalable = true});
	set_pasids(f);
	vtd_start(f->d, VTD_TTM_IS_SCALABLE);
	assert_int_equal(new_pages(f, VTD_A) | new_pages(f, VTD_B), 0);
	set_pages(f->d, &f->a, NEW);
	set_pages(f->d, &f->b, NEW);
}

static void test_pasid_iotlb(void **state)
{
	struct fixture f;

	(void)state;
	start_stale_scalable(&f);
	vtd_flush_pasid_iotlb(f.d, false, DID_A, 70, 0, 0);
	vtd_flush_pasid_iotlb(f.d, false, DID_B, 0, 0, 0);
	assert_int_equal(new_pages(&f, VTD_A) | new_pages(&f, VTD_B), 0);
	vtd_flush_pasid_iotlb(f.d, true, DID_A, 0, 4 * VTD_PAGE_SIZE, 2);
	assert_int_equal(new_pages(&f, VTD_A), 15 << 4);
	vtd_flush_pasid_iotlb(f.d, false, DID_B, 70, 0, 0);
	expect_new(&f, 15 << 4, ALL);
}

static void test_iotlb_in_scalable_mode(void **state)
{
	struct fixture f;

	(void)state;
	start_stale_scalable(&f);
	vtd_flush_iotlb(f.d, PAGE, DID_B, 0, 1);
	vtd_flush_iotlb(f.d, DOMAIN, DID_A, 0, 0);
	expect_new(&f, ALL, 3);
}

static void test_pasid_cache(void **state)
{
	struct fixture f;

	(void)state;
	start_stale_scalable(&f);
	vtd_flush_pasid_cache(f.d, VTD_PASID_ONE, DID_A, 70);
	vtd_flush_pasid_cache(f.d, VTD_PASID_ALL, 99, 0);
	assert_int_equal(new_pages(&f, VTD_A) | new_pages(&f, VTD_B), 0);
	vtd_flush_pasid_cache(f.d, VTD_PASID_ONE, DID_A, 0);
	assert_int_equal(new_pages(&f, VTD_A), ALL);
	assert_int_equal(new_pages(&f, VTD_B), 0);
	set_pages(f.d, &f.a, OLD);
	vtd_flush_pasid_cache(f.d, VTD_PASID_ALL, DID_B, 0);
	assert_int_equal(new_pages(&f, VTD_B), ALL);
	assert_int_equal(new_pages(&f, VTD_A), ALL);
	vtd_flush_pasid_cache(f.d, VTD_PASID_GLOBAL, 0, 0);
	expect_new(&f, 0, ALL);
}

/* A guest that never waits: collecting ends somewhere, and everything it named is gone all the same. */
static void test_descriptors_without_a_wait(void **state)
{
	enum { ROUNDS = 20, DESCRIPTORS = 200 };
	struct fixture f;

	(void)state;
	start_stale(&f, NULL);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < DESCRIPTORS; i++)
			vtd_queue_put(f.d, VTD_D_IOTLB | PAGE << 4 | DID_A << 16, i % PAGES * VTD_PAGE_SIZE);
		vtd_queue_ring(f.d);
		while (vtd_get_register(f.d, VTD_IQH) != f.d->tail)
			viommu_vtd_poll(f.d->unit);
	}
	vtd_queue_sync(f.d);
	expect_new(&f, ALL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_global),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_many_pages),
		cmocka_unit_test(test_context_global),
		cmocka_unit_test(test_context_domain),
		cmocka_unit_test(test_context_device),
		cmocka_unit_test(test_context_function_mask),
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_a_context_is_used_until_it_is_invalidated),
		cmocka_unit_test(test_a_new_root_is_used_at_once),
		cmocka_unit_test(test_additions),
		cmocka_unit_test(test_pasid_iotlb),
		cmocka_unit_test(test_iotlb_in_scalable_mode),
		cmocka_unit_test(test_pasid_cache),
		cmocka_unit_test(test_descriptors_without_a_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
