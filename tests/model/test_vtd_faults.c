/* SPDX-License-Identifier: BSD-2-Clause */
/* Fault records and the fault event. */
#include "tests/support/vtd_guest.h"

static void fault(struct guest *guest, uint16_t source, uint64_t info, bool read)
{
	vtd_fault_record(guest->unit, &(struct vtd_fault){.source = source, .reason = 6, .read = read, .info = info});
}

static uint32_t status(struct guest *guest)
{
	return (uint32_t)guest_get(guest, VTD_FSTS, 4);
}

static unsigned at(unsigned index)
{
	return VTD_FRCD + index * VTD_FRCD_SIZE;
}

static void clear(struct guest *guest, unsigned index)
{
	guest_set(guest, at(index) + 12, 0x80000000, 4);
}

static void test_a_record(void **state)
{
	struct guest *guest = *state;

	fault(guest, 0x18, 0x12345678, true);
	assert_int_equal(status(guest), VTD_FSTS_PPF);
	assert_int_equal(guest_get(guest, at(0), 8), 0x12345000);
	assert_int_equal(guest_get(guest, at(0) + 8, 4), 0x18);
	assert_int_equal(guest_get(guest, at(0) + 12, 4), 0xc0000006);
	/* Only F can be cleared, and only by 1. */
	guest_set(guest, at(0), UINT64_MAX, 8);
	guest_set(guest, at(0) + 12, 0x7fffffff, 4);
	assert_int_equal(guest_get(guest, at(0), 8), 0x12345000);
	assert_int_equal(guest_get(guest, at(0) + 12, 4), 0xc0000006);
	clear(guest, 0);
	assert_int_equal(guest_get(guest, at(0) + 12, 4), 0x40000006);
	assert_int_equal(status(guest), 0);
	fault(guest, 0x18, 0x1000, false);
	assert_int_equal(status(guest), VTD_FSTS_PPF | 1 << VTD_FSTS_FRI_SHIFT);
	assert_int_equal(guest_get(guest, at(1) + 12, 4), 0x80000006);
}

static void test_a_record_with_a_pasid(void **state)
{
	struct guest *guest = *state;

	vtd_fault_record(guest->unit,
			 &(struct vtd_fault){.source = 0x18, .reason = 0x79, .has_pasid = true, .pasid = 0x12345});
	assert_int_equal(guest_get(guest, at(0) + 8, 8),
			 1ull << 63 | 0x12345ull << 40 | 0x79ull << 32 | 1u << 31 | 0x18);
}

static void test_records_go_round_and_overflow(void **state)
{
	struct guest *guest = *state;

	for (uint16_t i = 0; i < VTD_RECORDS; i++)
		fault(guest, i, 0, true);
	assert_int_equal(status(guest), VTD_FSTS_PPF);
	fault(guest, 100, 0, true);
	assert_int_equal(status(guest), VTD_FSTS_PPF | VTD_FSTS_PFO);
	/* As long as PFO is set nothing is recorded, even where there is room again. */
	clear(guest, 0);
	fault(guest, 101, 0, true);
	assert_int_equal(guest_get(guest, at(0) + 12, 4) >> 31, 0);
	guest_set(guest, VTD_FSTS, VTD_FSTS_PFO, 4);
	fault(guest, 102, 0, true);
	assert_int_equal(guest_get(guest, at(0) + 8, 4), 102);
	for (unsigned i = 0; i < VTD_RECORDS; i++)
		clear(guest, i);
	assert_int_equal(status(guest) & 0xff, 0);
}

static void test_a_device_takes_one_record(void **state)
{
	struct guest *guest = *state;
	struct viommu_vtd_stats stats = {.size = sizeof(struct viommu_vtd_stats)};

	for (unsigned i = 0; i < 100; i++)
		fault(guest, 0x18, i << 12, true);
	fault(guest, 0x20, 0, true);
	viommu_vtd_stats_get(guest->unit, &stats);
	assert_int_equal(stats.faults_recorded, 2);
	assert_int_equal(stats.faults_lost, 99);
	assert_int_equal(guest_get(guest, at(0), 8), 0);
	assert_int_equal(guest_get(guest, at(1) + 8, 4), 0x20);
	assert_int_equal(status(guest), VTD_FSTS_PPF);
}

static void test_faults_that_are_not_to_be_recorded(void **state)
{
	struct guest *guest = *state;

	vtd_fault_record(guest->unit, &(struct vtd_fault){.source = 1, .reason = 6, .qualified = true, .silent = true});
	assert_int_equal(status(guest), 0);
	vtd_fault_record(guest->unit, &(struct vtd_fault){.source = 1, .reason = 1, .silent = true});
	assert_int_equal(status(guest), VTD_FSTS_PPF);
}

static void test_the_event(void **state)
{
	struct guest *guest = *state;

	guest_set(guest, VTD_FEDATA, 0x31, 4);
	guest_set(guest, VTD_FEADDR, 0xfee02000, 4);
	guest_set(guest, VTD_FEUADDR, 0x100, 4);
	fault(guest, 0x18, 0, true);
	assert_int_equal(guest->interrupts, 0);
	assert_int_equal(guest_get(guest, VTD_FECTL, 4), VTD_EVENT_IM | VTD_EVENT_IP);
	guest_set(guest, VTD_FECTL, 0, 4);
	assert_int_equal(guest->interrupts, 1);
	assert_int_equal(guest->messages[0].data, 0x31);
	assert_int_equal(guest->messages[0].address, 0x100fee02000);
	assert_int_equal(guest_get(guest, VTD_FECTL, 4), 0);
	/* One that waits already has told software. */
	fault(guest, 0x20, 0, true);
	assert_int_equal(guest->interrupts, 1);
	clear(guest, 0);
	clear(guest, 1);
	fault(guest, 0x28, 0, true);
	assert_int_equal(guest->interrupts, 2);
}

static void test_an_event_that_is_no_longer_due(void **state)
{
	struct guest *guest = *state;

	fault(guest, 0x18, 0, true);
	assert_true(guest_get(guest, VTD_FECTL, 4) & VTD_EVENT_IP);
	clear(guest, 0);
	assert_false(guest_get(guest, VTD_FECTL, 4) & VTD_EVENT_IP);
	guest_set(guest, VTD_FECTL, 0, 4);
	assert_int_equal(guest->interrupts, 0);
}

static void test_a_queue_error_is_an_event_too(void **state)
{
	struct guest *guest = *state;

	guest_set(guest, VTD_FECTL, 0, 4);
	guest_queue_on(guest, false);
	guest_push(guest, 0, 0);
	guest_kick(guest);
	assert_int_equal(guest->interrupts, 1);
	fault(guest, 0x18, 0, true);
	assert_int_equal(guest->interrupts, 1);
}

/* A device behind tables that are not there. */
static void test_dma_is_recorded(void **state)
{
	struct guest *guest = *state;
	uint8_t byte = 0;

	guest_set(guest, VTD_RTADDR, GUEST_ROOT, 8);
	guest_command(guest, VTD_GCMD_SRTP);
	guest_command(guest, VTD_GCMD_TE);
	assert_true(viommu_dma_write(guest->device, (struct viommu_iova){0x5678}, &byte, 1) < 0);
	assert_int_equal(guest_get(guest, at(0), 8), 0x5000);
	assert_int_equal(guest_get(guest, at(0) + 8, 4), GUEST_DEVICE);
	assert_int_equal(guest_get(guest, at(0) + 12, 4), 0x80000001); /* root entry not present, a write */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_record),
		TEST(test_a_record_with_a_pasid),
		TEST(test_records_go_round_and_overflow),
		TEST(test_a_device_takes_one_record),
		TEST(test_faults_that_are_not_to_be_recorded),
		TEST(test_the_event),
		TEST(test_an_event_that_is_no_longer_due),
		TEST(test_a_queue_error_is_an_event_too),
		TEST(test_dma_is_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
