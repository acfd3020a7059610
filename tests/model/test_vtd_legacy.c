/* SPDX-License-Identifier: BSD-2-Clause */
/* Legacy mode: root, context and second-stage tables, right and wrong, and the fault that each wrong one gives. */
#include "tests/support/vtd_driver.h"

#include <errno.h>
#include <stdatomic.h>

enum { RW = VTD_SS_R | VTD_SS_W, AW_39 = 1, AW_48 = 2, AW_57 = 3, DID = 7 };
#define TT(type) ((uint64_t)(type) << 2)
#define HIGH(aw) ((uint64_t)DID << 8 | (aw))
#define ABSENT 0xfffffffffffff000ull /* the last page that an address can name */

static struct vtd_driver *start(const struct viommu_vtd_config *config)
{
	struct vtd_driver *d = vtd_driver_create(config);

	vtd_start(d, VTD_TTM_IS_LEGACY);
	return d;
}

/* Device A with page tables of so many levels. */
static struct vtd_tables attach(struct vtd_driver *d, unsigned levels)
{
	struct vtd_tables t = vtd_second_stage(d, levels);

	vtd_set_context(d, VTD_A, t.top | VTD_ENTRY_P, HIGH(levels - 2));
	return t;
}

/* What a context entry gives for a read. */
static void expect_context(struct vtd_driver *d, uint64_t low, uint64_t high, unsigned reason)
{
	vtd_set_context(d, VTD_A, low, high);
	vtd_flush_context(d, 1, 0, 0, 0);
	vtd_expect_fault(d, VTD_A, VTD_PAGE_SIZE, VIOMMU_READ, reason);
}

static void expect_entry(struct vtd_driver *d, uint64_t entry, uint64_t value, uint64_t iova, unsigned access,
			 unsigned reason)
{
	vtd_set(d, entry, value);
	vtd_flush_iotlb(d, 1, 0, 0, 0);
	vtd_expect_fault(d, VTD_A, iova, access, reason);
}

static void test_translation_off_bypasses(void **state)
{
	struct vtd_driver *d = vtd_driver_create(NULL);

	(void)state;
	assert_int_equal(vtd_peek(d, VTD_A, VTD_DATA), VTD_DATA);
	vtd_start(d, VTD_TTM_IS_LEGACY);
	vtd_expect_fault(d, VTD_A, VTD_DATA, VIOMMU_READ, VTD_FAULT_ROOT_NOT_PRESENT);
	vtd_command_clear(d, VTD_GCMD_TE);
	assert_int_equal(vtd_peek(d, VTD_A, VTD_DATA), VTD_DATA);
	vtd_driver_destroy(d);
}

static void check_levels(unsigned aw_bits)
{
	static const unsigned widths[] = {39, 48, 57};

	for (unsigned levels = 3; levels <= 5 && widths[levels - 3] <= aw_bits; levels++) {
		struct vtd_driver *d = start(
			&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .aw_bits = aw_bits});
		struct vtd_tables t = attach(d, levels);
		uint64_t last = (1ull << widths[levels - 3]) - VTD_PAGE_SIZE;

		vtd_map(d, &t, 0, VTD_DATA | RW);
		vtd_map(d, &t, last, (VTD_DATA + 5 * VTD_PAGE_SIZE) | RW);
		assert_int_equal(vtd_peek(d, VTD_A, 8), VTD_DATA + 8);
		assert_int_equal(vtd_peek(d, VTD_A, last + 4088), VTD_DATA + 6 * VTD_PAGE_SIZE - 8);
		vtd_expect_fault(d, VTD_A, last + VTD_PAGE_SIZE, VIOMMU_READ, VTD_FAULT_BEYOND_WIDTH);
		vtd_expect_fault(d, VTD_A, ABSENT, VIOMMU_READ, VTD_FAULT_BEYOND_WIDTH);
		vtd_driver_destroy(d);
	}
}

static void test_every_level_count_translates(void **state)
{
	(void)state;
	check_levels(39);
	check_levels(48);
	check_levels(57);
}

static void test_the_input_width_limits_the_address(void **state)
{
	struct vtd_driver *d = start(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .aw_bits = 48, .input_bits = 40});
	struct vtd_tables t = attach(d, 4);
	uint64_t last = (1ull << 40) - VTD_PAGE_SIZE;

	(void)state;
	vtd_map(d, &t, last, VTD_DATA | RW);
	vtd_map(d, &t, last + VTD_PAGE_SIZE, VTD_DATA | RW);
	assert_int_equal(vtd_peek(d, VTD_A, last), VTD_DATA);
	vtd_expect_fault(d, VTD_A, last + VTD_PAGE_SIZE, VIOMMU_READ, VTD_FAULT_BEYOND_WIDTH);
	vtd_driver_destroy(d);
}

static void test_large_pages(void **state)
{
	struct vtd_driver *d = start(NULL);
	struct vtd_tables t = attach(d, 4);
	uint64_t large = 1ull << 30, huge = 2ull << 30;

	(void)state;
	vtd_set(d, vtd_entry_at(d, &t, large, 2), VTD_DATA | RW | VTD_PT_PS);
	vtd_set(d, vtd_entry_at(d, &t, huge, 3), RW | VTD_PT_PS);
	assert_int_equal(vtd_peek(d, VTD_A, large + 0x1ff000), VTD_DATA + 0x1ff000);
	assert_int_equal(vtd_peek(d, VTD_A, huge + VTD_DATA), VTD_DATA);
	vtd_driver_destroy(d);
}

static void test_pass_through(void **state)
{
	struct vtd_driver *d = start(NULL);

	(void)state;
	vtd_set_context(d, VTD_A, ABSENT | TT(VTD_TT_PASS_THROUGH) | VTD_ENTRY_P, HIGH(AW_48));
	assert_int_equal(vtd_peek(d, VTD_A, VTD_DATA + 16), VTD_DATA + 16);
	assert_int_equal(vtd_poke(d, VTD_A, VTD_DATA), 0);
	vtd_expect_fault(d, VTD_A, 1ull << 48, VIOMMU_READ, VTD_FAULT_BEYOND_WIDTH);
	vtd_expect_fault(d, VTD_A, VTD_HOLE, VIOMMU_READ, 0); /* no fault of translation */
	vtd_expect_fault(d, VTD_A, 0xfee00000, VIOMMU_READ, 0);
	assert_int_equal(vtd_peek(d, VTD_A, VTD_DATA), VTD_DATA);
	vtd_driver_destroy(d);
}

static void test_root_faults(void **state)
{
	struct vtd_driver *d = start(NULL);
	uint64_t root = d->root + vtd_root_offset(VTD_A);
	static const struct {
		uint64_t low, high;
		unsigned reason;
	} cases[] = {
		{0, 0, VTD_FAULT_ROOT_NOT_PRESENT},
		{ABSENT & ~1ull, 0, VTD_FAULT_ROOT_NOT_PRESENT},
		{VTD_ENTRY_P | 2, 0, VTD_FAULT_ROOT_RESERVED},
		{VTD_ENTRY_P | 0x800, 0, VTD_FAULT_ROOT_RESERVED},
		{VTD_ENTRY_P | 1ull << 46, 0, VTD_FAULT_ROOT_RESERVED},
		{VTD_ENTRY_P, 1, VTD_FAULT_ROOT_RESERVED},
		{VTD_ENTRY_P | ABSENT, 0, VTD_FAULT_ROOT_RESERVED},
		{VTD_ENTRY_P | VTD_HOLE, 0, VTD_FAULT_CONTEXT_ACCESS},
		{VTD_ENTRY_P | 0xfee00000, 0, VTD_FAULT_CONTEXT_ACCESS},
		{VTD_ENTRY_P | VTD_RAM, 0, VTD_FAULT_CONTEXT_ACCESS},
		{VTD_ENTRY_P | (VTD_RAM - VTD_PAGE_SIZE), 0, VTD_FAULT_CONTEXT_NOT_PRESENT},
	};

	(void)state;
	for (unsigned at = VTD_RAM - VTD_PAGE_SIZE; at < VTD_RAM; at += 8)
		vtd_set(d, at, 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vtd_set(d, root, cases[i].low);
		vtd_set(d, root + 8, cases[i].high);
		vtd_expect_fault(d, VTD_A, VTD_PAGE_SIZE, VIOMMU_READ, cases[i].reason);
	}
	vtd_driver_destroy(d);
}

static void test_a_root_table_out_of_memory(void **state)
{
	static const uint64_t tables[] = {VTD_HOLE, VTD_RAM, 0xfee00000, ABSENT, 1ull << 52};

	(void)state;
	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct vtd_driver *d = vtd_driver_create(NULL);

		d->root = tables[i];
		vtd_start(d, VTD_TTM_IS_LEGACY);
		vtd_expect_fault(d, VTD_A, VTD_PAGE_SIZE, VIOMMU_READ, VTD_FAULT_ROOT_ACCESS);
		vtd_driver_destroy(d);
	}
}

static void test_context_faults(void **state)
{
	struct vtd_driver *d = start(NULL);
	uint64_t good = vtd_page(d) | VTD_ENTRY_P;

	(void)state;
	expect_context(d, 0, HIGH(AW_48), VTD_FAULT_CONTEXT_NOT_PRESENT);
	expect_context(d, good | 0x10, HIGH(AW_48), VTD_FAULT_CONTEXT_RESERVED);
	expect_context(d, good | 0x800, HIGH(AW_48), VTD_FAULT_CONTEXT_RESERVED);
	expect_context(d, good | 1ull << 46, HIGH(AW_48), VTD_FAULT_CONTEXT_RESERVED);
	expect_context(d, good, HIGH(AW_48) | 0x80, VTD_FAULT_CONTEXT_RESERVED);
	expect_context(d, good, HIGH(AW_48) | 1 << 24, VTD_FAULT_CONTEXT_RESERVED);
	expect_context(d, good, HIGH(AW_48) | 1ull << 63, VTD_FAULT_CONTEXT_RESERVED);
	for (unsigned aw = 0; aw < 8; aw++)
		if (aw != AW_39 && aw != AW_48)
			expect_context(d, good, HIGH(aw), VTD_FAULT_CONTEXT_INVALID);
	expect_context(d, good | TT(3), HIGH(AW_48), VTD_FAULT_CONTEXT_INVALID);
	expect_context(d, good | TT(VTD_TT_ALL), HIGH(AW_48), VTD_FAULT_CONTEXT_INVALID); /* without ECAP.DT */
	expect_context(d, VTD_HOLE | VTD_ENTRY_P, HIGH(AW_48), VTD_FAULT_CONTEXT_INVALID);
	expect_context(d, good | 0x80, HIGH(AW_48) | 0x78, VTD_FAULT_CONTEXT_RESERVED);
	expect_context(d, good, HIGH(AW_48) | 0x78, VTD_FAULT_NO_READ); /* bits for software */
	vtd_driver_destroy(d);
}

static void test_tt_all_with_device_tlbs(void **state)
{
	struct vtd_driver *d =
		start(&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .device_iotlb = true});
	struct vtd_tables t = vtd_second_stage(d, 4);

	(void)state;
	vtd_map(d, &t, 0, VTD_DATA | RW);
	vtd_set_context(d, VTD_A, t.top | TT(VTD_TT_ALL) | VTD_ENTRY_P, HIGH(AW_48));
	assert_int_equal(vtd_peek(d, VTD_A, 0), VTD_DATA);
	vtd_driver_destroy(d);
}

static void test_entry_faults(void **state)
{
	struct vtd_driver *d = start(NULL);
	struct vtd_tables t = attach(d, 4);
	uint64_t iova = 0x12345000, leaf = vtd_entry_at(d, &t, iova, 1), link = vtd_entry_at(d, &t, iova, 2);
	uint64_t good = atomic_load(vtd_word(d, link));

	(void)state;
	expect_entry(d, leaf, 0, iova, VIOMMU_READ, VTD_FAULT_NO_READ);
	expect_entry(d, leaf, VTD_DATA, iova, VIOMMU_WRITE, VTD_FAULT_NO_WRITE);
	expect_entry(d, leaf, VTD_DATA | VTD_SS_R, iova, VIOMMU_WRITE, VTD_FAULT_NO_WRITE);
	expect_entry(d, leaf, VTD_DATA | VTD_SS_W, iova, VIOMMU_READ, VTD_FAULT_NO_READ);
	expect_entry(d, leaf, VTD_DATA | 1ull << 46 | RW, iova, VIOMMU_READ, VTD_FAULT_ENTRY_RESERVED);
	expect_entry(d, leaf, VTD_DATA | VTD_SS_TM | RW, iova, VIOMMU_READ, VTD_FAULT_ENTRY_RESERVED);
	expect_entry(d, leaf, 0xfee01000 | RW, iova, VIOMMU_WRITE, VTD_FAULT_INTERRUPT_RANGE);
	expect_entry(d, leaf, VTD_HOLE | RW, iova, VIOMMU_WRITE, 0);
	vtd_set(d, leaf, VTD_DATA | RW);
	expect_entry(d, link, 0, iova, VIOMMU_READ, VTD_FAULT_NO_READ);
	expect_entry(d, link, good & ~(uint64_t)VTD_SS_W, iova, VIOMMU_WRITE, VTD_FAULT_NO_WRITE);
	expect_entry(d, link, good | VTD_SS_SNP, iova, VIOMMU_READ, VTD_FAULT_ENTRY_RESERVED);
	expect_entry(d, link, VTD_HOLE | RW, iova, VIOMMU_READ, VTD_FAULT_ENTRY_ACCESS);
	expect_entry(d, link, 0xfee00000 | RW, iova, VIOMMU_READ, VTD_FAULT_ENTRY_ACCESS);
	expect_entry(d, link, VTD_RAM | RW, iova, VIOMMU_READ, VTD_FAULT_ENTRY_ACCESS);
	expect_entry(d, link, VTD_DATA | 0x1000 | VTD_PT_PS | RW, iova, VIOMMU_READ, VTD_FAULT_ENTRY_RESERVED);
	expect_entry(d, vtd_entry_at(d, &t, iova, 4), VTD_PT_PS | RW, iova, VIOMMU_READ, VTD_FAULT_ENTRY_RESERVED);
	vtd_driver_destroy(d);
}

/* A table that is its own child ends where the levels do: at itself as a page. */
static void test_a_loop_of_tables_ends(void **state)
{
	struct vtd_driver *d = start(NULL);
	struct vtd_tables t = attach(d, 4);
	uint64_t word = t.top | RW, got;

	(void)state;
	vtd_set(d, t.top, word);
	assert_int_equal(viommu_dma_read(vtd_device(d, VTD_A), (struct viommu_iova){0}, &got, 8), 0);
	assert_true(got == word);
	vtd_driver_destroy(d);
}

static void expect_silence(struct vtd_driver *d, uint64_t iova, unsigned access, unsigned reason)
{
	int64_t err = access == VIOMMU_WRITE ? vtd_poke(d, VTD_A, iova) : vtd_peek(d, VTD_A, iova);

	assert_true(err < 0);
	assert_int_equal(vtd_take_fault(d).reason, reason);
}

static void test_fpd_hides_qualified_faults_only(void **state)
{
	struct vtd_driver *d = start(NULL);
	struct vtd_tables t = attach(d, 4);
	uint64_t good = t.top | VTD_ENTRY_FPD;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	(void)state;
	vtd_set_context(d, VTD_A, good, HIGH(AW_48));
	expect_silence(d, 0, VIOMMU_READ, 0);
	vtd_set_context(d, VTD_A, good | TT(3) | VTD_ENTRY_P, HIGH(AW_48));
	expect_silence(d, 0, VIOMMU_READ, 0);
	vtd_set_context(d, VTD_A, good | 0x20 | VTD_ENTRY_P, HIGH(AW_48));
	expect_silence(d, 0, VIOMMU_READ, VTD_FAULT_CONTEXT_RESERVED);
	vtd_set_context(d, VTD_A, good | VTD_ENTRY_P, HIGH(AW_48));
	expect_silence(d, 0, VIOMMU_READ, 0);
	expect_silence(d, 1ull << 48, VIOMMU_WRITE, 0);
	viommu_stats_get(d->v, &stats);
	assert_int_equal(stats.faults, 5); /* the operator hears of all of them */
	vtd_driver_destroy(d);
}

/* 1 GiB around the interrupt range as one page: what lies beside it works, the range is never translated. */
static void test_no_page_reaches_into_the_interrupt_range(void **state)
{
	struct vtd_driver *d = start(NULL);
	struct vtd_tables t = attach(d, 4);
	uint64_t around = 0xc0000000, output = 5ull << 30;

	(void)state;
	vtd_set(d, vtd_entry_at(d, &t, around, 3), RW | VTD_PT_PS);
	assert_int_equal(vtd_peek(d, VTD_A, around + VTD_DATA), VTD_DATA);
	vtd_expect_fault(d, VTD_A, 0xfee00000, VIOMMU_READ, 0);
	vtd_expect_fault(d, VTD_A, 0xfeeffff8, VIOMMU_READ, 0);
	vtd_expect_fault(d, VTD_A, 0xfee00000, VIOMMU_WRITE, 0);
	vtd_set(d, vtd_entry_at(d, &t, output, 3), around | RW | VTD_PT_PS);
	vtd_expect_fault(d, VTD_A, output + 0x3edfffff8 % (1u << 30), VIOMMU_READ, 0); /* beside it: no memory there */
	vtd_expect_fault(d, VTD_A, output + 0x3ee00000, VIOMMU_READ, VTD_FAULT_INTERRUPT_RANGE);
	vtd_expect_fault(d, VTD_A, output + 0x3eeff000, VIOMMU_WRITE, VTD_FAULT_INTERRUPT_RANGE);
	vtd_driver_destroy(d);
}

static void test_each_device_has_its_own_tables(void **state)
{
	struct vtd_driver *d = start(NULL);
	struct vtd_tables a = attach(d, 3), b = vtd_second_stage(d, 4);

	(void)state;
	vtd_set_context(d, VTD_B, b.top | VTD_ENTRY_P, 8 << 8 | AW_48);
	vtd_map(d, &a, 0, VTD_DATA | RW);
	vtd_map(d, &b, 0, (VTD_DATA + VTD_PAGE_SIZE) | RW);
	assert_int_equal(vtd_peek(d, VTD_A, 0), VTD_DATA);
	assert_int_equal(vtd_peek(d, VTD_B, 0), VTD_DATA + VTD_PAGE_SIZE);
	vtd_expect_fault(d, VTD_C, 0, VIOMMU_READ, VTD_FAULT_CONTEXT_NOT_PRESENT);
	vtd_driver_destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_translation_off_bypasses),
		cmocka_unit_test(test_every_level_count_translates),
		cmocka_unit_test(test_the_input_width_limits_the_address),
		cmocka_unit_test(test_large_pages),
		cmocka_unit_test(test_pass_through),
		cmocka_unit_test(test_root_faults),
		cmocka_unit_test(test_a_root_table_out_of_memory),
		cmocka_unit_test(test_context_faults),
		cmocka_unit_test(test_tt_all_with_device_tlbs),
		cmocka_unit_test(test_entry_faults),
		cmocka_unit_test(test_a_loop_of_tables_ends),
		cmocka_unit_test(test_fpd_hides_qualified_faults_only),
		cmocka_unit_test(test_no_page_reaches_into_the_interrupt_range),
		cmocka_unit_test(test_each_device_has_its_own_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
