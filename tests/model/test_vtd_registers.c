/* SPDX-License-Identifier: BSD-2-Clause */
/* The register file: what is there after a reset, what can be written, and how. */
#include <errno.h>

#include "tests/support/vtd_guest.h"

struct expected {
	unsigned offset, size;
	uint64_t reset;
	uint64_t mask, small; /* bits that hold what is written: with everything, and without EIM and scalable mode */
};

static const struct expected registers[] = {
	{VTD_GSTS, 4, 0, 0, 0}, /* before commands leave something in it */
	{VTD_GCMD, 4, 0, 0, 0},
	{VTD_RTADDR, 8, 0, 0xfffffffffffffc00, 0xfffffffffffff000},
	{VTD_FSTS, 4, 0, 0, 0},
	{VTD_FECTL, 4, 0x80000000, 0x80000000, 0x80000000},
	{VTD_FEDATA, 4, 0, 0xffffffff, 0xffff},
	{VTD_FEADDR, 4, 0, 0xfffffffc, 0xfffffffc},
	{VTD_FEUADDR, 4, 0, 0xffffffff, 0},
	{0x058, 8, 0, 0, 0}, /* AFLOG */
	{VTD_PMEN, 4, 0, 0, 0},
	{0x068, 8, 0, 0, 0}, /* protected memory */
	{0x070, 8, 0, 0, 0},
	{0x078, 8, 0, 0, 0},
	{VTD_IQH, 8, 0, 0, 0},
	{VTD_IQT, 8, 0, 0x7fff0, 0x7fff0},
	{VTD_IQA, 8, 0, 0xfffffffffffff807, 0xfffffffffffff007},
	{VTD_ICS, 4, 0, 0, 0},
	{VTD_IECTL, 4, 0x80000000, 0x80000000, 0x80000000},
	{VTD_IEDATA, 4, 0, 0xffffffff, 0xffff},
	{VTD_IEADDR, 4, 0, 0xfffffffc, 0xfffffffc},
	{VTD_IEUADDR, 4, 0, 0xffffffff, 0},
	{VTD_IQERCD, 8, 0, 0, 0},
	{VTD_IRTA, 8, 0, 0xfffffffffffff80f, 0xfffffffffffff00f},
	{0x0c0, 8, 0, 0, 0}, /* page requests */
	{0x0c8, 8, 0, 0, 0},
	{0x0d0, 8, 0, 0, 0},
	{0x0dc, 4, 0, 0, 0},
	{0x0e0, 4, 0, 0, 0},
	{VTD_IVA, 8, 0, 0, 0},
	{0x100, 8, 0, 0, 0}, /* MTRRs */
	{VTD_FRCD, 8, 0, 0, 0},
	{VTD_FRCD + 8, 8, 0, 0, 0},
	{0x300, 8, 0, 0, 0}, /* performance monitoring */
	{0x400, 8, 0, 0, 0}, /* enhanced commands */
	{0xe00, 8, 0, 0, 0}, /* virtual commands */
	{0xff8, 8, 0, 0, 0},
};

enum { EXPECTED = sizeof(registers) / sizeof(registers[0]) };

static void check_masks(struct guest *guest, bool small)
{
	for (unsigned i = 0; i < EXPECTED; i++) {
		const struct expected *reg = &registers[i];
		uint64_t all = reg->size == 8 ? UINT64_MAX : UINT32_MAX;

		assert_int_equal(guest_get(guest, reg->offset, reg->size), reg->reset);
		guest_set(guest, reg->offset, all, reg->size);
		if (reg->offset == VTD_GCMD)
			guest_set(guest, VTD_GCMD, 0, 4);
		if (reg->offset != VTD_GSTS && reg->offset != VTD_GCMD)
			assert_int_equal(guest_get(guest, reg->offset, reg->size), small ? reg->small : reg->mask);
		guest_set(guest, reg->offset, 0, reg->size);
		if (reg->offset != VTD_GSTS)
			assert_int_equal(guest_get(guest, reg->offset, reg->size), 0);
	}
}

static void test_reset_values_and_write_masks(void **state)
{
	check_masks(*state, false);
}

static void test_write_masks_of_a_small_unit(void **state)
{
	struct guest *guest = guest_create(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .aw_bits = 48, .intremap = true});

	(void)state;
	check_masks(guest, true);
	guest_destroy(guest);
}

static void test_capabilities(void **state)
{
	struct guest *guest = *state;
	uint64_t cap = guest_get(guest, VTD_CAP, 8), ecap = guest_get(guest, VTD_ECAP, 8);

	assert_int_equal(guest_get(guest, VTD_VER, 4), 0x30);
	assert_int_equal(vtd_field(cap, 12, 8), 0xe);
	assert_int_equal(vtd_cap_mgaw(cap), 57);
	assert_int_equal(vtd_field(cap, 33, 24) * 16, VTD_FRCD);
	assert_int_equal(vtd_field(cap, 47, 40) + 1, VTD_RECORDS);
	assert_int_equal(vtd_field(cap, 37, 34), 3);
	assert_false(cap & VTD_CAP_CM);
	assert_int_equal(vtd_field(ecap, 17, 8) * 16, VTD_IVA);
	assert_true(ecap & VTD_ECAP_C);
	assert_true(ecap & VTD_ECAP_SMTS);
	assert_true(ecap & VTD_ECAP_DT);
	guest_set(guest, VTD_CAP, 0, 8);
	guest_set(guest, VTD_ECAP, 0, 8);
	assert_int_equal(guest_get(guest, VTD_CAP, 8), cap);
	assert_int_equal(guest_get(guest, VTD_ECAP, 8), ecap);
}

static void test_capabilities_follow_the_configuration(void **state)
{
	const struct viommu_vtd_config config = {
		.size = sizeof(struct viommu_vtd_config), .aw_bits = 39, .input_bits = 36, .caching_mode = true};
	struct guest *guest = guest_create(&config);
	uint64_t cap = guest_get(guest, VTD_CAP, 8), ecap = guest_get(guest, VTD_ECAP, 8);

	(void)state;
	assert_int_equal(guest_get(guest, VTD_VER, 4), 0x10);
	assert_int_equal(vtd_field(cap, 12, 8), 0x2);
	assert_int_equal(vtd_cap_mgaw(cap), 36);
	assert_true(cap & VTD_CAP_CM);
	assert_int_equal(ecap & (VTD_ECAP_IR | VTD_ECAP_EIM | VTD_ECAP_DT | VTD_ECAP_SMTS | VTD_MASK(23, 20)), 0);
	guest_set(guest, VTD_IRTA, UINT64_MAX, 8);
	assert_int_equal(guest_get(guest, VTD_IRTA, 8), 0);
	guest_command(guest, VTD_GCMD_SIRTP | VTD_GCMD_IRE);
	assert_int_equal(guest_get(guest, VTD_GSTS, 4), 0);
	guest_destroy(guest);
}

static void test_bad_configurations(void **state)
{
	struct guest *guest = *state;
	const struct viommu_vtd_config bad[] = {
		{.size = sizeof(struct viommu_vtd_config), .aw_bits = 40},
		{.size = sizeof(struct viommu_vtd_config), .aw_bits = 39, .input_bits = 48},
		{.size = sizeof(struct viommu_vtd_config), .aw_bits = 48, .input_bits = 20},
		{.size = sizeof(struct viommu_vtd_config), .host_bits = 60},
		{.size = sizeof(struct viommu_vtd_config), .eim = true},
	};
	struct viommu_vtd *unit;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(viommu_vtd_create(guest->v, &bad[i], &unit), -EINVAL);
}

static void test_an_interrupt_only_unit_takes_no_devices(void **state)
{
	struct guest *guest = guest_create(&(struct viommu_vtd_config){
		.size = sizeof(struct viommu_vtd_config), .irq_only = true, .intremap = true});
	struct viommu_endpoint *endpoint;

	(void)state;
	assert_int_equal(vtd_field(guest_get(guest, VTD_CAP, 8), 12, 8), 0);
	assert_int_equal(viommu_endpoint_add(guest->v, 8, "device", &endpoint), 0);
	assert_int_equal(viommu_vtd_manage(guest->unit, endpoint), -EINVAL);
	assert_int_equal(viommu_endpoint_remove(endpoint), 0);
	guest_destroy(guest);
}

static void test_halves(void **state)
{
	struct guest *guest = *state;

	guest_set(guest, VTD_RTADDR, 0x12345000, 4);
	guest_set(guest, VTD_RTADDR + 4, 0x9abc, 4);
	assert_int_equal(guest_get(guest, VTD_RTADDR, 8), 0x00009abc12345000);
	assert_int_equal(guest_get(guest, VTD_RTADDR + 4, 4), 0x9abc);
	/* Two registers of 32 bits at once. */
	guest_set(guest, VTD_FEADDR, 0x00000100fee00000, 8);
	assert_int_equal(guest_get(guest, VTD_FEADDR, 4), 0xfee00000);
	assert_int_equal(guest_get(guest, VTD_FEUADDR, 4), 0x100);
}

static void test_odd_accesses_do_nothing(void **state)
{
	struct guest *guest = *state;
	const struct {
		uint64_t offset;
		unsigned size;
	} odd[] = {{VTD_RTADDR, 1},  {VTD_RTADDR, 2}, {VTD_RTADDR + 1, 4}, {VTD_RTADDR + 4, 8},
		   {VTD_RTADDR, 16}, {4096, 4},       {UINT64_MAX - 3, 4}};

	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		viommu_vtd_write(guest->unit, odd[i].offset, UINT64_MAX, odd[i].size);
		assert_int_equal(viommu_vtd_read(guest->unit, odd[i].offset, odd[i].size), 0);
	}
	assert_int_equal(guest_get(guest, VTD_RTADDR, 8), 0);
}

static void test_commands(void **state)
{
	struct guest *guest = *state;

	guest_set(guest, VTD_RTADDR, GUEST_ROOT, 8);
	guest_command(guest, VTD_GCMD_SRTP);
	assert_int_equal(guest_get(guest, VTD_GSTS, 4), VTD_GCMD_SRTP);
	guest_command(guest, VTD_GCMD_TE);
	assert_int_equal(guest_get(guest, VTD_GSTS, 4), VTD_GCMD_TE | VTD_GCMD_SRTP);
	/* Software that writes back what it read fires the one-shots again. */
	guest_set(guest, VTD_GCMD, guest_get(guest, VTD_GSTS, 4), 4);
	assert_int_equal(guest_get(guest, VTD_GSTS, 4), VTD_GCMD_TE | VTD_GCMD_SRTP);
	guest_command(guest, VTD_BIT(27)); /* WBF: nothing to flush, and its status is 0 */
	assert_int_equal(guest_get(guest, VTD_GSTS, 4), VTD_GCMD_TE | VTD_GCMD_SRTP);
	guest_uncommand(guest, VTD_GCMD_TE);
	assert_int_equal(guest_get(guest, VTD_GSTS, 4), VTD_GCMD_SRTP);
}

static void test_context_command(void **state)
{
	struct guest *guest = *state;

	for (uint64_t granularity = 1; granularity <= 3; granularity++) {
		guest_set(guest, VTD_CCMD, VTD_CCMD_ICC | granularity << VTD_CCMD_CIRG_SHIFT | 5, 8);
		assert_int_equal(guest_get(guest, VTD_CCMD, 8) & (VTD_CCMD_ICC | VTD_CCMD_CAIG),
				 granularity << VTD_CCMD_CAIG_SHIFT);
	}
	guest_set(guest, VTD_CCMD, VTD_CCMD_ICC, 8);
	assert_int_equal(guest_get(guest, VTD_CCMD, 8), 0);
	/* In halves: the upper one has the trigger. */
	guest_set(guest, VTD_CCMD, 5, 4);
	guest_set(guest, VTD_CCMD + 4, (VTD_CCMD_ICC | 1ull << VTD_CCMD_CIRG_SHIFT) >> 32, 4);
	assert_int_equal(guest_get(guest, VTD_CCMD, 8) & (VTD_CCMD_ICC | VTD_CCMD_CAIG), 1ull << VTD_CCMD_CAIG_SHIFT);
}

static uint64_t iotlb(struct guest *guest, uint64_t granularity, uint64_t am)
{
	guest_set(guest, VTD_IVA, 0x40000000 | am, 8);
	guest_set(guest, VTD_IOTLB, VTD_IOTLB_IVT | granularity << VTD_IOTLB_IIRG_SHIFT | 5ull << 32, 8);
	return vtd_field(guest_get(guest, VTD_IOTLB, 8), 63, 57);
}

static void test_iotlb_command(void **state)
{
	struct guest *guest = *state;

	assert_int_equal(iotlb(guest, 1, 0) & 0x43, 1);
	assert_int_equal(iotlb(guest, 2, 0) & 0x43, 2);
	assert_int_equal(iotlb(guest, 3, 0) & 0x43, 3);
	assert_int_equal(iotlb(guest, 3, VTD_MAMV) & 0x43, 3);
	assert_int_equal(iotlb(guest, 3, VTD_MAMV + 1) & 0x43, 0);
	assert_int_equal(iotlb(guest, 0, 0) & 0x43, 0);
}

static void test_the_queue_alone_invalidates_while_it_is_on(void **state)
{
	struct guest *guest = *state;

	guest_queue_on(guest, false);
	guest_set(guest, VTD_CCMD, VTD_CCMD_ICC | 1ull << VTD_CCMD_CIRG_SHIFT, 8);
	assert_true(guest_get(guest, VTD_CCMD, 8) & VTD_CCMD_ICC);
	guest_uncommand(guest, VTD_GCMD_QIE);
	assert_false(guest_get(guest, VTD_CCMD, 8) & VTD_CCMD_ICC);
}

static void test_a_command_waits_for_a_section(void **state)
{
	struct guest *guest = *state;
	struct viommu_section section;

	guest_set(guest, VTD_RTADDR, GUEST_ROOT, 8);
	guest_command(guest, VTD_GCMD_SRTP);
	assert_int_equal(viommu_dma_begin(guest->device, &section), 0);
	guest_command(guest, VTD_GCMD_TE);
	assert_false(guest_get(guest, VTD_GSTS, 4) & VTD_GCMD_TE);
	assert_int_equal(guest->pending, 1);
	assert_int_equal(viommu_vtd_poll(guest->unit), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_vtd_poll(guest->unit), 0);
	assert_true(guest_get(guest, VTD_GSTS, 4) & VTD_GCMD_TE);
}

static void test_reset(void **state)
{
	struct guest *guest = *state;
	uint8_t byte;

	guest_set(guest, VTD_RTADDR, GUEST_ROOT, 8);
	guest_command(guest, VTD_GCMD_SRTP);
	guest_command(guest, VTD_GCMD_TE);
	guest_queue_on(guest, false);
	assert_int_equal(viommu_dma_read(guest->device, (struct viommu_iova){0}, &byte, 1), -EFAULT);
	viommu_vtd_reset(guest->unit);
	assert_int_equal(viommu_vtd_poll(guest->unit), 0);
	assert_int_equal(viommu_dma_read(guest->device, (struct viommu_iova){0}, &byte, 1), 0);
	for (unsigned i = 0; i < EXPECTED; i++)
		assert_int_equal(guest_get(guest, registers[i].offset, registers[i].size), registers[i].reset);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_reset_values_and_write_masks),
		TEST(test_write_masks_of_a_small_unit),
		TEST(test_capabilities),
		TEST(test_capabilities_follow_the_configuration),
		TEST(test_bad_configurations),
		TEST(test_an_interrupt_only_unit_takes_no_devices),
		TEST(test_halves),
		TEST(test_odd_accesses_do_nothing),
		TEST(test_commands),
		TEST(test_context_command),
		TEST(test_iotlb_command),
		TEST(test_the_queue_alone_invalidates_while_it_is_on),
		TEST(test_a_command_waits_for_a_section),
		TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
