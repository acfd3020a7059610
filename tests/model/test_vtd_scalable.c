/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scalable mode: root, context and PASID tables, both stages and pass-through, and the fault that each wrong entry
 * gives.
 */
#include "tests/support/vtd_driver.h"

#include <stdatomic.h>

enum { AW_48 = 2, DID = 9, PASIDS = 64 << 7 };
#define PGTT(type) ((uint64_t)(type) << 6)
#define AW(aw) ((uint64_t)(aw) << 2)
#define FLPM(flpm) ((uint64_t)(flpm) << 2)
#define SS_RW ((uint64_t)(VTD_SS_R | VTD_SS_W))
#define FS_RW ((uint64_t)(VTD_FS_P | VTD_FS_RW | VTD_FS_US))
#define ABSENT 0xfffffffffffff000ull

static struct vtd_driver *start_with(const struct viommu_vtd_config *config)
{
	struct vtd_driver *d = vtd_driver_create(config);

	vtd_start(d, VTD_TTM_IS_SCALABLE);
	return d;
}

static struct vtd_driver *start(void)
{
	return start_with(&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .scalable = true});
}

static void set_pasid(struct vtd_driver *d, uint16_t source, uint64_t word0, uint64_t word2)
{
	vtd_set_pasid(d, source, 0, (uint64_t[]){word0 | VTD_ENTRY_P, DID, word2});
}

static struct vtd_tables attach_second_stage(struct vtd_driver *d, uint16_t source)
{
	struct vtd_tables t = vtd_second_stage(d, 4);

	set_pasid(d, source, t.top | AW(AW_48) | PGTT(VTD_PGTT_SECOND), 0);
	return t;
}

static struct vtd_tables attach_first_stage(struct vtd_driver *d, uint16_t source, unsigned levels)
{
	struct vtd_tables t = vtd_first_stage(d, levels);

	set_pasid(d, source, PGTT(VTD_PGTT_FIRST), t.top | FLPM(levels - 4));
	return t;
}

/* What a word of any table gives for a read. */
static void expect_word(struct vtd_driver *d, uint64_t at, uint64_t value, unsigned reason)
{
	uint64_t before = atomic_load(vtd_word(d, at));

	vtd_set(d, at, value);
	vtd_flush_context(d, 1, 0, 0, 0);
	vtd_expect_fault(d, VTD_A, VTD_PAGE_SIZE, VIOMMU_READ, reason);
	vtd_set(d, at, before);
}

static void expect_entry(struct vtd_driver *d, uint64_t entry, uint64_t value, uint64_t iova, unsigned access,
			 unsigned reason)
{
	vtd_set(d, entry, value);
	vtd_flush_iotlb(d, 1, 0, 0, 0);
	vtd_expect_fault(d, VTD_A, iova, access, reason);
}

static void test_second_stage(void **state)
{
	struct vtd_driver *d = start();
	struct vtd_tables a = attach_second_stage(d, VTD_A), c = attach_second_stage(d, VTD_C);

	(void)state;
	vtd_map(d, &a, 0x5000, VTD_DATA | SS_RW | VTD_SS_SNP); /* ECAP.SC or not: the scalable mode has it */
	vtd_map(d, &c, 0x5000, (VTD_DATA + VTD_PAGE_SIZE) | SS_RW);
	assert_int_equal(vtd_peek(d, VTD_A, 0x5008), VTD_DATA + 8);
	assert_int_equal(vtd_peek(d, VTD_C, 0x5008), VTD_DATA + VTD_PAGE_SIZE + 8);
	vtd_expect_fault(d, VTD_B, 0x5000, VIOMMU_READ, VTD_FAULT_S_CONTEXT_NOT_PRESENT);
	vtd_driver_destroy(d);
}

static void check_first_stage(unsigned levels, uint64_t beyond)
{
	struct vtd_driver *d = start_with(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .scalable = true, .aw_bits = 57});
	struct vtd_tables t = attach_first_stage(d, VTD_A, levels);
	uint64_t negative = 0 - beyond; /* the other half of the canonical addresses */

	vtd_map(d, &t, beyond - VTD_PAGE_SIZE, VTD_DATA | FS_RW);
	vtd_map(d, &t, negative, (VTD_DATA + VTD_PAGE_SIZE) | FS_RW);
	vtd_set(d, vtd_entry_at(d, &t, 1u << 30, 2), VTD_DATA | FS_RW | VTD_PT_PS);
	vtd_set(d, vtd_entry_at(d, &t, 2u << 30, 3), FS_RW | VTD_PT_PS);
	assert_int_equal(vtd_peek(d, VTD_A, beyond - 8), VTD_DATA + 4088);
	assert_int_equal(vtd_peek(d, VTD_A, negative), VTD_DATA + VTD_PAGE_SIZE);
	assert_int_equal(vtd_peek(d, VTD_A, (1u << 30) + 0x3000), VTD_DATA + 0x3000);
	assert_int_equal(vtd_peek(d, VTD_A, (2u << 30) + VTD_DATA), VTD_DATA);
	vtd_expect_fault(d, VTD_A, beyond, VIOMMU_READ, VTD_FAULT_NOT_CANONICAL);
	vtd_expect_fault(d, VTD_A, negative - VTD_PAGE_SIZE, VIOMMU_READ, VTD_FAULT_NOT_CANONICAL);
	vtd_driver_destroy(d);
}

static void test_first_stage(void **state)
{
	(void)state;
	check_first_stage(4, 1ull << 47);
	check_first_stage(5, 1ull << 56);
}

static void test_first_stage_marks_what_is_used(void **state)
{
	struct vtd_driver *d = start();
	struct vtd_tables t = attach_first_stage(d, VTD_A, 4);
	uint64_t leaf = vtd_entry_at(d, &t, 0x7000, 1), top = vtd_entry_at(d, &t, 0x7000, 4);
	uint64_t good = VTD_DATA | FS_RW;

	(void)state;
	vtd_set(d, leaf, good);
	assert_int_equal(vtd_peek(d, VTD_A, 0x7000), VTD_DATA);
	assert_int_equal(atomic_load(vtd_word(d, leaf)), good | VTD_FS_A);
	assert_true(atomic_load(vtd_word(d, top)) & VTD_FS_A);
	assert_int_equal(vtd_poke(d, VTD_A, 0x7000), 0);
	assert_int_equal(atomic_load(vtd_word(d, leaf)), good | VTD_FS_A | VTD_FS_D);
	/* After the guest has cleared D and said so, the next write marks the page again. */
	vtd_set(d, leaf, good);
	vtd_flush_pasid_iotlb(d, true, DID, 0, 0x7000, 0);
	assert_int_equal(vtd_poke(d, VTD_A, 0x7000), 0);
	assert_int_equal(atomic_load(vtd_word(d, leaf)), good | VTD_FS_A | VTD_FS_D);
	vtd_driver_destroy(d);
}

static void test_pass_through(void **state)
{
	struct vtd_driver *d = start_with(&(struct viommu_vtd_config){
		.size = sizeof(struct viommu_vtd_config), .scalable = true, .aw_bits = 39, .input_bits = 36});

	(void)state;
	set_pasid(d, VTD_A, AW(AW_48) | PGTT(VTD_PGTT_PASS_THROUGH), 1); /* SRE, as Linux before 6.1 */
	assert_int_equal(vtd_peek(d, VTD_A, VTD_DATA), VTD_DATA);
	assert_int_equal(vtd_poke(d, VTD_A, VTD_DATA), 0);
	vtd_expect_fault(d, VTD_A, 1ull << 36, VIOMMU_READ, VTD_FAULT_S_BEYOND_WIDTH);
	vtd_expect_fault(d, VTD_A, 0xfee00000, VIOMMU_READ, 0);
	vtd_driver_destroy(d);
}

static void test_rid_pasid(void **state)
{
	struct vtd_driver *d = start();
	struct vtd_tables t = vtd_second_stage(d, 4);
	uint64_t context = vtd_s_context_at(d, VTD_A),
		 words[3] = {t.top | AW(AW_48) | PGTT(VTD_PGTT_SECOND) | VTD_ENTRY_P, DID, 0};

	(void)state;
	vtd_map(d, &t, 0, VTD_DATA | SS_RW);
	vtd_set_pasid(d, VTD_A, 200, words);
	vtd_set(d, context + 8, 200);
	assert_int_equal(vtd_peek(d, VTD_A, 0), VTD_DATA);
	vtd_set(d, context + 8, PASIDS);
	vtd_flush_context(d, 3, DID, VTD_A, 0);
	vtd_expect_fault(d, VTD_A, 0, VIOMMU_READ, VTD_FAULT_S_RID_PASID);
	vtd_set(d, context + 8, PASIDS - 1);
	vtd_expect_fault(d, VTD_A, 0, VIOMMU_READ, VTD_FAULT_DIRECTORY_NOT_PRESENT);
	vtd_driver_destroy(d);
}

static void test_bad_root_addresses(void **state)
{
	static const struct {
		uint64_t root;
		unsigned ttm, reason;
	} cases[] = {
		{ABSENT, VTD_TTM_IS_SCALABLE, VTD_FAULT_S_ROOT_ADDRESS},
		{1ull << 46, VTD_TTM_IS_SCALABLE, VTD_FAULT_S_ROOT_ADDRESS},
		{VTD_HOLE, VTD_TTM_IS_SCALABLE, VTD_FAULT_S_ROOT_ACCESS},
		{VTD_RAM, VTD_TTM_IS_SCALABLE, VTD_FAULT_S_ROOT_ACCESS},
		{0, 2, VTD_FAULT_S_ROOT_ADDRESS},
		{0, 3, VTD_FAULT_S_ROOT_ADDRESS},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vtd_driver *d = vtd_driver_create(
			&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .scalable = true});

		d->root = cases[i].root;
		vtd_start(d, cases[i].ttm);
		vtd_expect_fault(d, VTD_A, 0, VIOMMU_READ, cases[i].reason);
		vtd_driver_destroy(d);
	}
}

static void test_root_and_context_faults(void **state)
{
	struct vtd_driver *d = start();
	uint64_t root = d->root + vtd_root_offset(VTD_A), context = vtd_s_context_at(d, VTD_A);

	(void)state;
	attach_second_stage(d, VTD_A);
	uint64_t link = atomic_load(vtd_word(d, root)), good = atomic_load(vtd_word(d, context));

	expect_word(d, root, 0, VTD_FAULT_S_ROOT_NOT_PRESENT);
	expect_word(d, root, link | 2, VTD_FAULT_S_ROOT_RESERVED);
	expect_word(d, root, link | 1ull << 46, VTD_FAULT_S_ROOT_RESERVED);
	expect_word(d, root, VTD_HOLE | VTD_ENTRY_P, VTD_FAULT_S_CONTEXT_ACCESS);
	expect_word(d, context, good & ~VTD_ENTRY_P, VTD_FAULT_S_CONTEXT_NOT_PRESENT);
	expect_word(d, context, good | 1 << 5, VTD_FAULT_S_CONTEXT_RESERVED);
	expect_word(d, context, good | VTD_S_CONTEXT_DTE, VTD_FAULT_S_CONTEXT_RESERVED);
	expect_word(d, context, good | VTD_S_CONTEXT_PASIDE, VTD_FAULT_S_CONTEXT_RESERVED);
	expect_word(d, context, good | VTD_S_CONTEXT_PRE, VTD_FAULT_S_CONTEXT_RESERVED);
	expect_word(d, context, good | 1ull << 46, VTD_FAULT_S_CONTEXT_RESERVED);
	expect_word(d, context + 8, 1ull << 21, VTD_FAULT_S_CONTEXT_RESERVED);
	expect_word(d, context + 16, 1, VTD_FAULT_S_CONTEXT_RESERVED);
	expect_word(d, context + 24, 1ull << 63, VTD_FAULT_S_CONTEXT_RESERVED);
	expect_word(d, context, VTD_HOLE | VTD_ENTRY_P, VTD_FAULT_DIRECTORY_ACCESS);
	vtd_driver_destroy(d);
}

static void test_pasid_faults(void **state)
{
	struct vtd_driver *d = start();
	uint64_t pasid = vtd_pasid_at(d, VTD_A, 0);
	struct vtd_tables t = attach_second_stage(d, VTD_A);
	uint64_t directory = atomic_load(vtd_word(d, vtd_s_context_at(d, VTD_A))) & VTD_ENTRY_ADDRESS;
	uint64_t link = atomic_load(vtd_word(d, directory)), good = atomic_load(vtd_word(d, pasid));
	uint64_t bare = AW(AW_48) | VTD_ENTRY_P;

	(void)state;
	expect_word(d, directory, link & ~VTD_ENTRY_P, VTD_FAULT_DIRECTORY_NOT_PRESENT);
	expect_word(d, directory, link | 4, VTD_FAULT_DIRECTORY_RESERVED);
	expect_word(d, directory, link | 1ull << 46, VTD_FAULT_DIRECTORY_RESERVED);
	expect_word(d, directory, VTD_HOLE | VTD_ENTRY_P, VTD_FAULT_PASID_ACCESS);
	expect_word(d, pasid, good & ~VTD_ENTRY_P, VTD_FAULT_PASID_NOT_PRESENT);
	expect_word(d, pasid, good | 1 << 5, VTD_FAULT_PASID_RESERVED);
	expect_word(d, pasid, good | VTD_PASID_0_SSADE, VTD_FAULT_PASID_RESERVED);
	expect_word(d, pasid, good | 1ull << 46, VTD_FAULT_PASID_RESERVED);
	expect_word(d, pasid + 8, DID | 1 << 16, VTD_FAULT_PASID_RESERVED);
	expect_word(d, pasid + 16, 1 << 8, VTD_FAULT_PASID_RESERVED);
	expect_word(d, pasid + 24, 1, VTD_FAULT_PASID_RESERVED);
	expect_word(d, pasid + 56, 1, VTD_FAULT_PASID_RESERVED);
	for (unsigned type = 0; type < 8; type++)
		if (type != VTD_PGTT_FIRST && type != VTD_PGTT_SECOND && type != VTD_PGTT_PASS_THROUGH)
			expect_word(d, pasid, bare | PGTT(type), VTD_FAULT_PASID_INVALID);
	expect_word(d, pasid, t.top | AW(0) | PGTT(VTD_PGTT_SECOND) | VTD_ENTRY_P, VTD_FAULT_PASID_INVALID);
	expect_word(d, pasid, t.top | AW(3) | PGTT(VTD_PGTT_SECOND) | VTD_ENTRY_P, VTD_FAULT_PASID_INVALID);
	expect_word(d, pasid, VTD_HOLE | bare | PGTT(VTD_PGTT_SECOND), VTD_FAULT_SS_TOP);
	expect_word(d, pasid, good, VTD_FAULT_SS_PERMISSION);
	set_pasid(d, VTD_A, PGTT(VTD_PGTT_FIRST), t.top | FLPM(1)); /* without CAP.FL5LP */
	expect_word(d, pasid + 8, DID, VTD_FAULT_PASID_INVALID);
	set_pasid(d, VTD_A, PGTT(VTD_PGTT_FIRST), t.top | 1ull << 46);
	expect_word(d, pasid + 8, DID, VTD_FAULT_PASID_RESERVED);
	set_pasid(d, VTD_A, PGTT(VTD_PGTT_FIRST), VTD_HOLE);
	expect_word(d, pasid + 8, DID, VTD_FAULT_FS_TOP);
	vtd_driver_destroy(d);
}

static void test_first_stage_needs_four_levels(void **state)
{
	struct vtd_driver *d = start_with(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .scalable = true, .aw_bits = 39});

	(void)state;
	attach_first_stage(d, VTD_A, 4);
	vtd_expect_fault(d, VTD_A, 0, VIOMMU_READ, VTD_FAULT_PASID_INVALID);
	vtd_driver_destroy(d);
}

static void test_second_stage_faults(void **state)
{
	struct vtd_driver *d = start();
	struct vtd_tables t = attach_second_stage(d, VTD_A);
	uint64_t iova = 0x12345000, leaf = vtd_entry_at(d, &t, iova, 1), link = vtd_entry_at(d, &t, iova, 2);

	(void)state;
	expect_entry(d, leaf, 0, iova, VIOMMU_READ, VTD_FAULT_SS_PERMISSION);
	expect_entry(d, leaf, VTD_DATA | VTD_SS_R, iova, VIOMMU_WRITE, VTD_FAULT_SS_PERMISSION);
	expect_entry(d, leaf, VTD_DATA | VTD_SS_W, iova, VIOMMU_READ, VTD_FAULT_SS_PERMISSION);
	expect_entry(d, leaf, VTD_DATA | SS_RW | 1ull << 46, iova, VIOMMU_READ, VTD_FAULT_SS_RESERVED);
	expect_entry(d, leaf, 0xfeeff000 | SS_RW, iova, VIOMMU_WRITE, VTD_FAULT_S_INTERRUPT_RANGE);
	expect_entry(d, leaf, VTD_DATA | SS_RW, 1ull << 48, VIOMMU_READ, VTD_FAULT_SS_BEYOND_WIDTH);
	expect_entry(d, link, VTD_HOLE | SS_RW, iova, VIOMMU_READ, VTD_FAULT_SS_ACCESS);
	vtd_driver_destroy(d);
}

static void test_first_stage_faults(void **state)
{
	struct vtd_driver *d = start();
	struct vtd_tables t = attach_first_stage(d, VTD_A, 4);
	uint64_t iova = 0x12345000, leaf = vtd_entry_at(d, &t, iova, 1), link = vtd_entry_at(d, &t, iova, 2);
	uint64_t good = VTD_DATA | FS_RW;

	(void)state;
	expect_entry(d, leaf, good & ~VTD_FS_P, iova, VIOMMU_READ, VTD_FAULT_FS_NOT_PRESENT);
	expect_entry(d, leaf, good & ~VTD_FS_US, iova, VIOMMU_READ, VTD_FAULT_NOT_USER);
	expect_entry(d, leaf, good & ~VTD_FS_RW, iova, VIOMMU_WRITE, VTD_FAULT_S_NO_WRITE);
	expect_entry(d, leaf, good | 1ull << 46, iova, VIOMMU_READ, VTD_FAULT_FS_RESERVED);
	expect_entry(d, leaf, 0xfee00000 | FS_RW, iova, VIOMMU_WRITE, VTD_FAULT_S_INTERRUPT_RANGE);
	expect_entry(d, link, VTD_HOLE | FS_RW, iova, VIOMMU_READ, VTD_FAULT_FS_ACCESS);
	expect_entry(d, link, good | VTD_PT_PS | 1 << 13, iova, VIOMMU_READ, VTD_FAULT_FS_RESERVED);
	vtd_driver_destroy(d);
}

/* FPD counts in each of the three entries, and not for errors of the tables. */
static void test_fpd(void **state)
{
	struct vtd_driver *d = start();
	uint64_t entries[3];

	(void)state;
	attach_second_stage(d, VTD_A);
	entries[0] = vtd_s_context_at(d, VTD_A);
	entries[1] = atomic_load(vtd_word(d, entries[0])) & VTD_ENTRY_ADDRESS;
	entries[2] = vtd_pasid_at(d, VTD_A, 0);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t good = atomic_load(vtd_word(d, entries[i]));

		expect_word(d, entries[i], good | VTD_ENTRY_FPD, 0);
		expect_word(d, entries[i], (good | VTD_ENTRY_FPD) & ~VTD_ENTRY_P, 0);
	}
	expect_word(d, entries[2] + 24, 1, VTD_FAULT_PASID_RESERVED);
	vtd_set(d, entries[2], atomic_load(vtd_word(d, entries[2])) | VTD_ENTRY_FPD);
	expect_word(d, entries[2] + 24, 1, VTD_FAULT_PASID_RESERVED);
	vtd_driver_destroy(d);
}

static void test_dte_with_device_tlbs(void **state)
{
	struct vtd_driver *d = start_with(&(struct viommu_vtd_config){
		.size = sizeof(struct viommu_vtd_config), .scalable = true, .device_iotlb = true});
	struct vtd_tables t = attach_second_stage(d, VTD_A);
	uint64_t context = vtd_s_context_at(d, VTD_A);

	(void)state;
	vtd_map(d, &t, 0, VTD_DATA | SS_RW);
	vtd_set(d, context, atomic_load(vtd_word(d, context)) | VTD_S_CONTEXT_DTE);
	assert_int_equal(vtd_peek(d, VTD_A, 0), VTD_DATA);
	vtd_driver_destroy(d);
}

static void test_legacy_tables_under_a_scalable_unit(void **state)
{
	struct vtd_driver *d = vtd_driver_create(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .scalable = true});
	struct vtd_tables t = vtd_second_stage(d, 4);

	(void)state;
	vtd_set_context(d, VTD_A, t.top | VTD_ENTRY_P, DID << 8 | AW_48);
	vtd_map(d, &t, 0, VTD_DATA | SS_RW);
	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(vtd_peek(d, VTD_A, 0), VTD_DATA);
	vtd_expect_fault(d, VTD_A, VTD_PAGE_SIZE, VIOMMU_READ, VTD_FAULT_NO_READ);
	vtd_driver_destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_second_stage),
		cmocka_unit_test(test_first_stage),
		cmocka_unit_test(test_first_stage_marks_what_is_used),
		cmocka_unit_test(test_pass_through),
		cmocka_unit_test(test_rid_pasid),
		cmocka_unit_test(test_bad_root_addresses),
		cmocka_unit_test(test_root_and_context_faults),
		cmocka_unit_test(test_pasid_faults),
		cmocka_unit_test(test_first_stage_needs_four_levels),
		cmocka_unit_test(test_second_stage_faults),
		cmocka_unit_test(test_first_stage_faults),
		cmocka_unit_test(test_fpd),
		cmocka_unit_test(test_dte_with_device_tlbs),
		cmocka_unit_test(test_legacy_tables_under_a_scalable_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
