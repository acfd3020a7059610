/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The register sequences of Linux's driver (drivers/iommu/intel): start-up with interrupt remapping, suspend and
 * resume, and what a kexec kernel finds and undoes. Each wait is for a bit that must come at once, or the driver
 * panics.
 */
#include "tests/support/vtd_guest.h"

enum { DONE = 2 };

static void wait_for(struct guest *guest, uint64_t bit, bool set)
{
	assert_int_equal(!!(guest_get(guest, VTD_GSTS, 4) & bit), set);
}

/* The driver has its own idea of the switches, without one-shots. */
static uint32_t shadow;

static void switch_on(struct guest *guest, uint64_t bit)
{
	shadow |= (uint32_t)bit;
	guest_set(guest, VTD_GCMD, shadow, 4);
	wait_for(guest, bit, true);
}

static void switch_off(struct guest *guest, uint64_t bit)
{
	shadow &= ~(uint32_t)bit;
	guest_set(guest, VTD_GCMD, shadow, 4);
	wait_for(guest, bit, false);
}

static void once(struct guest *guest, uint64_t bit)
{
	guest_set(guest, VTD_GCMD, shadow | bit, 4);
	wait_for(guest, bit, true);
}

/* Faults that an earlier kernel left are cleared: dmar_fault(), then FSTS onto itself. */
static void clear_faults(struct guest *guest)
{
	uint64_t status = guest_get(guest, VTD_FSTS, 4);
	unsigned index = (unsigned)vtd_field(status, 15, 8);

	while (guest_get(guest, VTD_FRCD + index * 16 + 12, 4) & 0x80000000) {
		guest_set(guest, VTD_FRCD + index * 16 + 12, 0x80000000, 4);
		index = (index + 1) % VTD_RECORDS;
	}
	guest_set(guest, VTD_FSTS, VTD_FSTS_PFO | VTD_FSTS_PPF | VTD_FSTS_PRO, 4);
	guest_set(guest, VTD_FSTS, guest_get(guest, VTD_FSTS, 4), 4);
	assert_int_equal(guest_get(guest, VTD_FSTS, 4) & 0xff, 0);
}

static void queue_enable(struct guest *guest)
{
	guest->tail = 0;
	guest->descriptor_size = guest_get(guest, VTD_ECAP, 8) & VTD_ECAP_SMTS ? 32 : 16;
	guest->queue_size = guest->descriptor_size == 32 ? 8192 : 4096;
	guest_set(guest, VTD_IQT, 0, 4);
	guest_set(guest, VTD_IQA, GUEST_QUEUE | (guest->descriptor_size == 32 ? VTD_IQA_DW | 1 : 0), 8);
	switch_on(guest, VTD_GCMD_QIE);
}

/* A descriptor and the wait that always follows it. */
static void submit(struct guest *guest, uint64_t low, uint64_t high)
{
	guest_push(guest, low, high);
	guest_push_wait(guest, DONE);
	guest_put(guest, GUEST_STATUS, 1);
	guest_kick(guest);
	assert_int_equal(guest_status(guest), DONE);
}

static void enable_interrupt_remapping(struct guest *guest)
{
	guest_set(guest, VTD_IRTA, GUEST_IRTES | VTD_IRTA_EIME | 15, 8);
	once(guest, VTD_GCMD_SIRTP);
	submit(guest, VTD_D_IEC, 0);
	switch_on(guest, VTD_GCMD_IRE);
	if (guest_get(guest, VTD_GSTS, 4) & VTD_GCMD_CFI)
		switch_off(guest, VTD_GCMD_CFI);
}

static void enable_fault_event(struct guest *guest)
{
	guest_set(guest, VTD_FEDATA, 0x21, 4);
	guest_set(guest, VTD_FEADDR, 0xfee00000, 4);
	guest_set(guest, VTD_FEUADDR, 0, 4);
	guest_set(guest, VTD_FECTL, 0, 4);
	guest_get(guest, VTD_FECTL, 4);
}

static void enable_translation(struct guest *guest)
{
	guest_set(guest, VTD_RTADDR, GUEST_ROOT, 8);
	once(guest, VTD_GCMD_SRTP);
	submit(guest, VTD_D_CONTEXT | 1 << 4, 0);
	submit(guest, VTD_D_IOTLB | 1 << 4 | 3 << 6, 0);
	switch_on(guest, VTD_GCMD_TE);
}

static void start_up(struct guest *guest)
{
	shadow = 0;
	clear_faults(guest);
	queue_enable(guest);
	enable_interrupt_remapping(guest);
	enable_fault_event(guest);
	enable_translation(guest);
}

static bool blocked(struct guest *guest)
{
	uint8_t byte;

	return viommu_dma_read(guest->device, (struct viommu_iova){0}, &byte, 1) != 0;
}

static void test_start_up(void **state)
{
	struct guest *guest = *state;

	start_up(guest);
	assert_true(blocked(guest));
	assert_int_equal(guest->interrupts, 1);
	assert_int_equal(guest->messages[0].data, 0x21);
	assert_int_equal(guest_get(guest, VTD_GSTS, 4),
			 VTD_GCMD_TE | VTD_GCMD_SRTP | VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_SIRTP);
}

static void test_start_up_without_scalable_mode_and_without_x2apic(void **state)
{
	struct guest *guest = guest_create(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .aw_bits = 48, .intremap = true});

	(void)state;
	start_up(guest);
	assert_int_equal(guest->descriptor_size, 16);
	assert_true(blocked(guest));
	guest_destroy(guest);
}

/* iommu_suspend(): everything flushed and off, event registers kept; iommu_resume(): all over again. */
static void test_suspend_and_resume(void **state)
{
	struct guest *guest = *state;

	start_up(guest);
	submit(guest, VTD_D_CONTEXT | 1 << 4, 0);
	submit(guest, VTD_D_IOTLB | 1 << 4, 0);
	switch_off(guest, VTD_GCMD_TE);
	assert_false(blocked(guest));
	/* dmar_disable_qi() and disable_irq_remapping() */
	submit(guest, VTD_D_IEC, 0);
	switch_off(guest, VTD_GCMD_IRE);
	assert_int_equal(guest_get(guest, VTD_IQT, 4), guest_get(guest, VTD_IQH, 4));
	switch_off(guest, VTD_GCMD_QIE);
	assert_int_equal(guest_get(guest, VTD_IQH, 4), 0);
	queue_enable(guest);
	enable_interrupt_remapping(guest);
	enable_translation(guest);
	assert_true(blocked(guest));
}

/* A kernel that finds everything on: it reads the old root back, and switches translation, queue and remapping off. */
static void test_kexec_hand_over(void **state)
{
	struct guest *guest = *state;

	start_up(guest);
	assert_true(blocked(guest));
	assert_int_equal(guest_get(guest, VTD_RTADDR, 8), GUEST_ROOT);
	assert_int_equal(guest_get(guest, VTD_IRTA, 8), GUEST_IRTES | VTD_IRTA_EIME | 15);
	shadow = (uint32_t)guest_get(guest, VTD_GSTS, 4) & (uint32_t)(VTD_GCMD_TE | VTD_GCMD_QIE | VTD_GCMD_IRE);
	switch_off(guest, VTD_GCMD_TE);
	clear_faults(guest);
	switch_off(guest, VTD_GCMD_QIE);
	switch_off(guest, VTD_GCMD_IRE);
	start_up(guest);
	assert_true(blocked(guest));
	assert_int_equal(vtd_field(guest_get(guest, VTD_FSTS, 4), 1, 1), 1);
}

/* kvm-unit-tests write GSTS back with a bit more. */
static void test_one_shots_fire_again(void **state)
{
	struct guest *guest = *state;

	start_up(guest);
	guest_set(guest, VTD_GCMD, guest_get(guest, VTD_GSTS, 4) | VTD_GCMD_CFI, 4);
	assert_true(guest_get(guest, VTD_GSTS, 4) & VTD_GCMD_CFI);
	assert_true(blocked(guest));
	submit(guest, VTD_D_IEC, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_start_up),
		TEST(test_start_up_without_scalable_mode_and_without_x2apic),
		TEST(test_suspend_and_resume),
		TEST(test_kexec_hand_over),
		TEST(test_one_shots_fire_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
