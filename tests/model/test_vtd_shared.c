/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest in caching mode says what it maps: a shared table has all of it, whenever it was made and whatever was
 * invalidated.
 */
#include <errno.h>

#include <viommu/shared_writer.h>

#include "tests/support/vtd_driver.h"

enum { AW_48 = 2, DID = 5, DOMAIN = 2, PAGE = 3, MAPPED = 8 };
#define RW ((uint64_t)(VTD_SS_R | VTD_SS_W))

/* Side by side, and as far from each other as tables allow; the highest first, as Linux hands them out. */
static const uint64_t addresses[MAPPED] = {0xfffff000,     0xffffe000, 0xfffa0000, 0xffd00000,
					   0x7f0000000000, 0x40201000, 0x1000,     0xfee01000 + (1ull << 32)};

struct fixture {
	struct vtd_driver *d;
	struct vtd_tables tables;
	struct viommu_shared *shared;
	struct viommu_shared_view *view;
};

static void open_table(struct fixture *f)
{
	struct viommu_shared_files files;

	assert_int_equal(viommu_shared_create(vtd_device(f->d, VTD_A), NULL, &f->shared), 0);
	viommu_shared_files_get(f->shared, &files);
	assert_int_equal(viommu_shared_view_open(&files, &f->view), 0);
}

static void close_table(struct fixture *f)
{
	viommu_shared_view_close(f->view);
	viommu_shared_destroy(f->shared);
}

static void start(struct fixture *f, bool caching_mode)
{
	*f = (struct fixture){
		.d = vtd_driver_create(&(struct viommu_vtd_config){
			.size = sizeof(struct viommu_vtd_config), .caching_mode = caching_mode, .device_iotlb = true})};
	f->tables = vtd_second_stage(f->d, 4);
	vtd_set_context(f->d, VTD_A, f->tables.top | VTD_ENTRY_P, DID << 8 | AW_48);
	vtd_start(f->d, VTD_TTM_IS_LEGACY);
	open_table(f);
}

static void finish(struct fixture *f)
{
	close_table(f);
	vtd_driver_destroy(f->d);
}

static void map(struct fixture *f, unsigned i)
{
	vtd_map(f->d, &f->tables, addresses[i], (VTD_DATA + (uint64_t)i * VTD_PAGE_SIZE) | RW);
	vtd_flush_iotlb(f->d, PAGE, DID, addresses[i], 0);
}

static void start_mapped(struct fixture *f, bool caching_mode)
{
	start(f, caching_mode);
	for (unsigned i = 0; i < MAPPED; i++)
		map(f, i);
}

static void unmap(struct fixture *f, unsigned i)
{
	vtd_set(f->d, vtd_entry_at(f->d, &f->tables, addresses[i], 1), 0);
	vtd_flush_iotlb(f->d, PAGE, DID, addresses[i], 0);
}

/* Is it in the table, and right? */
static bool has(const struct fixture *f, unsigned i)
{
	struct viommu_shared_reader reader;
	struct viommu_shared_extent extent;

	assert_int_equal(viommu_shared_enter(f->view, 0, &reader), 0);
	int err = viommu_shared_find(&reader, (struct viommu_iova){addresses[i]}, VIOMMU_WRITE, &extent);

	viommu_shared_leave(&reader);
	assert_true(!err || err == -ENOENT);
	if (!err)
		assert_int_equal(extent.gpa.value + (addresses[i] - extent.first.value), VTD_DATA + i * VTD_PAGE_SIZE);
	return !err;
}

/* A bit for each address. */
static unsigned present(const struct fixture *f)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < MAPPED; i++)
		bits |= (unsigned)has(f, i) << i;
	return bits;
}

static void test_what_is_mapped_is_there_at_once(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, true);
	for (unsigned i = 0; i < MAPPED; i++) {
		assert_int_equal(present(&f), (1u << i) - 1);
		map(&f, i);
	}
	unmap(&f, 3);
	assert_int_equal(present(&f), 0xff & ~(1u << 3));
	finish(&f);
}

/* A back end that comes again gets a new table. */
static void test_a_new_table_has_what_was_mapped_before(void **state)
{
	struct fixture f;

	(void)state;
	start_mapped(&f, true);
	unmap(&f, 0);
	close_table(&f);
	open_table(&f);
	assert_int_equal(present(&f), 0xfe);
	viommu_shared_refill(f.shared);
	assert_int_equal(present(&f), 0xfe);
	finish(&f);
}

static void test_large_invalidations_leave_what_is_still_mapped(void **state)
{
	struct fixture f;

	(void)state;
	start_mapped(&f, true);
	vtd_set(f.d, vtd_entry_at(f.d, &f.tables, addresses[1], 1), 0);
	vtd_flush_iotlb(f.d, DOMAIN, DID, 0, 0);
	assert_int_equal(present(&f), 0xfd);
	/* Two MiB, one page of which is gone. */
	vtd_set(f.d, vtd_entry_at(f.d, &f.tables, addresses[2], 1), 0);
	vtd_flush_iotlb(f.d, PAGE, DID, addresses[2] & ~0x1fffffull, 9);
	assert_int_equal(present(&f), 0xf9);
	vtd_flush_context(f.d, DOMAIN, DID, 0, 0);
	assert_int_equal(present(&f), 0xf9);
	finish(&f);
}

/* A wait behind many of them, of which each says a little. */
static void test_many_invalidations_at_once(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, true);
	for (unsigned i = 0; i < MAPPED; i++)
		vtd_map(f.d, &f.tables, addresses[i], (VTD_DATA + (uint64_t)i * VTD_PAGE_SIZE) | RW);
	for (unsigned i = 0; i < 10 * MAPPED; i++)
		vtd_queue_put(f.d, VTD_D_IOTLB | PAGE << 4 | DID << 16, addresses[i % MAPPED]);
	vtd_queue_sync(f.d);
	assert_int_equal(present(&f), 0xff);
	for (unsigned i = 0; i < 5; i++) {
		vtd_set(f.d, vtd_entry_at(f.d, &f.tables, addresses[i], 1), 0);
		vtd_queue_put(f.d, VTD_D_IOTLB | PAGE << 4 | DID << 16, addresses[i]);
	}
	vtd_queue_sync(f.d);
	assert_int_equal(present(&f), 0xe0);
	finish(&f);
}

/* Without caching mode what was never asked for is not there, and what was asked for is gone with the table. */
static void test_without_caching_mode_it_takes_a_miss(void **state)
{
	struct fixture f;

	(void)state;
	start_mapped(&f, false);
	assert_int_equal(present(&f), 0);
	assert_int_equal(viommu_shared_miss(f.shared, (struct viommu_iova){addresses[2]}, VIOMMU_WRITE), 0);
	assert_int_equal(present(&f), 1u << 2);
	close_table(&f);
	open_table(&f);
	assert_int_equal(present(&f), 0);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_mapped_is_there_at_once),
		cmocka_unit_test(test_a_new_table_has_what_was_mapped_before),
		cmocka_unit_test(test_large_invalidations_leave_what_is_still_mapped),
		cmocka_unit_test(test_many_invalidations_at_once),
		cmocka_unit_test(test_without_caching_mode_it_takes_a_miss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
