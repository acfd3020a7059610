/* SPDX-License-Identifier: BSD-2-Clause */
/* What random tables do not show by themselves: the edges of memory, cursors, marks, and the order of the checks. */
#include <string.h>

#include "lib/fmt/vtd_fs.h"
#include "lib/fmt/vtd_ss.h"
#include "tests/support/test.h"

enum { PAGE = 4096, ENTRIES = 512, RW = VIOMMU_READ | VIOMMU_WRITE, TABLES = 6 };

static const struct vtd_ss_caps ss_caps = {.host_width = 46, .guest_width = 48, .pages_2m = true, .pages_1g = true};
static const struct vtd_fs_caps fs_caps = {.host_width = 46, .pages_1g = true};

/* Tables from guest-physical address 0 on; the top one first, each one's entry 0 pointing to the next. */
struct fixture {
	_Alignas(PAGE) uint64_t table[TABLES][ENTRIES];
	uint64_t first, last; /* how much of it is memory */
	unsigned finds;
	struct pt_memory memory;
	struct pt_space space;
};

static struct fixture f;

static bool find(struct pt_memory *memory, uint64_t gpa)
{
	f.finds++;
	if (gpa < f.first || gpa > f.last)
		return false;
	memory->first = f.first;
	memory->last = f.last;
	memory->host = (uint8_t *)f.table + f.first;
	return true;
}

static int set_up(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	f.last = sizeof(f.table) - 1;
	pt_memory_init(&f.memory, find, NULL);
	return 0;
}

/* Three levels of second-stage tables with `leaf` as the last entry. */
static void second_stage(uint64_t leaf)
{
	vtd_ss_init(&f.space, 0, 3, &ss_caps);
	f.table[0][0] = PAGE | VTD_SS_R | VTD_SS_W;
	f.table[1][0] = 2 * PAGE | VTD_SS_R | VTD_SS_W;
	f.table[2][0] = leaf;
}

static void first_stage(uint64_t leaf)
{
	vtd_fs_init(&f.space, 0, 4, &fs_caps);
	for (unsigned i = 0; i < 3; i++)
		f.table[i][0] = (i + 1) * PAGE | VTD_FS_P | VTD_FS_RW | VTD_FS_US;
	f.table[3][0] = leaf;
}

static void test_the_order_of_checks(void **state)
{
	struct pt_leaf leaf;

	(void)state;
	second_stage(VTD_SS_R | VTD_SS_SNP);
	/*
	 * The range comes before everything, permission before reserved bits, and those count only where something is
	 * present.
	 */
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 1ull << 39, RW, NULL, &leaf), PT_BEYOND_WIDTH);
	assert_int_equal(f.finds, 0);
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_WRITE, NULL, &leaf), PT_NO_WRITE);
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_READ, NULL, &leaf), PT_RESERVED);
	f.table[2][0] = VTD_SS_SNP;
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, 0, NULL, &leaf), PT_NOT_PRESENT);

	first_stage(VTD_FS_P | VTD_FS_XD);
	assert_int_equal(vtd_fs_walk(&f.space, &f.memory, 1ull << 47, RW, NULL, &leaf), PT_NOT_CANONICAL);
	assert_int_equal(vtd_fs_walk(&f.space, &f.memory, 0, VIOMMU_WRITE, NULL, &leaf), PT_NOT_USER);
	f.table[3][0] |= VTD_FS_US;
	assert_int_equal(vtd_fs_walk(&f.space, &f.memory, 0, VIOMMU_WRITE, NULL, &leaf), PT_NO_WRITE);
	assert_int_equal(vtd_fs_walk(&f.space, &f.memory, 0, VIOMMU_READ, NULL, &leaf), PT_RESERVED);
}

static void test_rights_are_those_of_all_levels(void **state)
{
	struct pt_leaf leaf;

	(void)state;
	second_stage(0x5000 | VTD_SS_R | VTD_SS_W);
	f.table[0][0] = PAGE | VTD_SS_R;
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_WRITE, NULL, &leaf), PT_NO_WRITE);
	assert_int_equal(leaf.level, 3);
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_READ, NULL, &leaf), PT_OK);
	assert_int_equal(leaf.access, VIOMMU_READ);
	/* Nothing is left, and nothing was asked for: a device may learn that. */
	f.table[1][0] = 2 * PAGE | VTD_SS_W;
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, 0, NULL, &leaf), PT_OK);
	assert_int_equal(leaf.access, 0);
}

/* Memory that ends inside a table, and memory that would cut an entry. */
static void test_no_read_beyond_memory(void **state)
{
	struct pt_leaf leaf;

	(void)state;
	second_stage(0x5000 | VTD_SS_R);
	f.table[2][1] = 0x6000 | VTD_SS_R;
	f.last = 2 * PAGE + 7;
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_READ, NULL, &leaf), PT_OK);
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, PAGE, VIOMMU_READ, NULL, &leaf), PT_UNREADABLE);
	assert_int_equal(leaf.level, 1);
	pt_memory_init(&f.memory, find, NULL);
	f.last = 2 * PAGE + 6;
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_READ, NULL, &leaf), PT_TOP_UNREADABLE);
	f.last = UINT64_MAX; /* all of the space is a region, too */
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_READ, NULL, &leaf), PT_OK);
}

static void test_a_cursor_saves_the_way_down(void **state)
{
	struct pt_cursor cursor = {0};
	struct pt_leaf leaf;

	(void)state;
	second_stage(0x5000 | VTD_SS_R | VTD_SS_W);
	f.table[2][511] = 0x8000 | VTD_SS_R | VTD_SS_W;
	f.table[1][0] = 2 * PAGE | VTD_SS_R;
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_READ, &cursor, &leaf), PT_OK);
	f.table[0][0] = 0;
	/* Its neighbour is found without what is above; other places, and other rights, begin at the top. */
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 511 * PAGE, VIOMMU_READ, &cursor, &leaf), PT_OK);
	assert_true(leaf.gpa == 0x8000 && leaf.access == VIOMMU_READ && leaf.iova.first == 511 * PAGE);
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 512 * PAGE, VIOMMU_READ, &cursor, &leaf), PT_NOT_PRESENT);
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_WRITE, &cursor, &leaf), PT_NOT_PRESENT);
	assert_int_equal(leaf.level, 3);
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_READ, NULL, &leaf), PT_NOT_PRESENT);
}

static void test_no_cursor_for_half_a_table(void **state)
{
	struct pt_cursor cursor = {0};
	struct pt_leaf leaf;

	(void)state;
	second_stage(0x5000 | VTD_SS_R);
	f.last = 3 * PAGE - 9;
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0, VIOMMU_READ, &cursor, &leaf), PT_OK);
	assert_null(cursor.table);
	assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 511 * PAGE, VIOMMU_READ, &cursor, &leaf), PT_UNREADABLE);
}

/* A cache may hold the right to write only once the page is marked as written. */
static void test_only_a_write_makes_a_page_dirty(void **state)
{
	struct pt_leaf leaf;

	(void)state;
	first_stage(0x5000 | VTD_FS_P | VTD_FS_RW | VTD_FS_US);
	assert_int_equal(vtd_fs_walk(&f.space, &f.memory, 0, VIOMMU_READ, NULL, &leaf), PT_OK);
	assert_int_equal(leaf.access, VIOMMU_READ);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(f.table[i][0] & (VTD_FS_A | VTD_FS_D), VTD_FS_A);
	assert_int_equal(vtd_fs_walk(&f.space, &f.memory, 0, VIOMMU_WRITE, NULL, &leaf), PT_OK);
	assert_int_equal(leaf.access, RW);
	assert_true(f.table[3][0] & VTD_FS_D && !(f.table[2][0] & VTD_FS_D));
	assert_int_equal(vtd_fs_walk(&f.space, &f.memory, 0, VIOMMU_READ, NULL, &leaf), PT_OK);
	assert_int_equal(leaf.access, RW);
}

/* Every entry is the table that it is in: the walk ends where the levels do. */
static void test_a_table_that_points_to_itself(void **state)
{
	struct pt_leaf leaf;

	(void)state;
	for (unsigned levels = 3; levels <= 5; levels++) {
		vtd_ss_init(&f.space, 0, levels, &ss_caps);
		f.table[0][0] = VTD_SS_R;
		assert_int_equal(vtd_ss_walk(&f.space, &f.memory, 0xabc, VIOMMU_READ, NULL, &leaf), PT_OK);
		assert_true(leaf.level == 1 && leaf.gpa == 0 && leaf.iova.last == 0xfff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_order_of_checks, set_up),
		cmocka_unit_test_setup(test_rights_are_those_of_all_levels, set_up),
		cmocka_unit_test_setup(test_no_read_beyond_memory, set_up),
		cmocka_unit_test_setup(test_a_cursor_saves_the_way_down, set_up),
		cmocka_unit_test_setup(test_no_cursor_for_half_a_table, set_up),
		cmocka_unit_test_setup(test_only_a_write_makes_a_page_dirty, set_up),
		cmocka_unit_test_setup(test_a_table_that_points_to_itself, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
