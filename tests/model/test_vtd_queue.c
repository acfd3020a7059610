/* SPDX-License-Identifier: BSD-2-Clause */
/* Queued invalidation: every descriptor with every bit that must be 0, waits, errors and how software goes on. */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/support/vtd_guest.h"

struct shape {
	uint64_t low, high;
	uint64_t reserved_low, reserved_high;
};

static const struct shape shapes[] = {
	{VTD_D_CONTEXT | 1 << 4, 0, VTD_MASK(15, 6) | VTD_MASK(63, 50), UINT64_MAX},
	{VTD_D_CONTEXT | 2 << 4 | 5 << 16, 0, VTD_MASK(15, 6) | VTD_MASK(63, 50), UINT64_MAX},
	{VTD_D_CONTEXT | 3 << 4 | 5 << 16 | 0x18ull << 32, 0, VTD_MASK(15, 6) | VTD_MASK(63, 50), UINT64_MAX},
	{VTD_D_IOTLB | 1 << 4 | 3 << 6, 0, VTD_MASK(15, 8) | VTD_MASK(63, 32), VTD_MASK(11, 7)},
	{VTD_D_IOTLB | 2 << 4 | 5 << 16, 0, VTD_MASK(15, 8) | VTD_MASK(63, 32), VTD_MASK(11, 7)},
	{VTD_D_IOTLB | 3 << 4 | 5 << 16, 0x1234000 | 1 << 6 | 2, VTD_MASK(15, 8) | VTD_MASK(63, 32), VTD_MASK(11, 7)},
	{VTD_D_DEVICE_TLB | 0x18ull << 32, 0x7fffffffff000 | 1, VTD_MASK(11, 4) | VTD_MASK(31, 21) | VTD_MASK(51, 48),
	 VTD_MASK(11, 1)},
	{VTD_D_IEC, 0, VTD_MASK(26, 5) | VTD_MASK(63, 48), UINT64_MAX},
	{VTD_D_IEC | 1 << 4 | 7ull << 32, 0, VTD_MASK(26, 5) | VTD_MASK(63, 48), UINT64_MAX},
	{VTD_D_WAIT | VTD_WAIT_SW | 9ull << 32, GUEST_STATUS, VTD_MASK(31, 8), 3},
	{VTD_D_WAIT | VTD_WAIT_IF | VTD_WAIT_FN, 0, VTD_MASK(31, 8), 3},
	{VTD_D_PASID_IOTLB | 2 << 4 | 5 << 16, 0, VTD_MASK(15, 6) | VTD_MASK(63, 52), VTD_MASK(11, 7)},
	{VTD_D_PASID_IOTLB | 3 << 4 | 5 << 16, 0x1000 | 1, VTD_MASK(15, 6) | VTD_MASK(63, 52), VTD_MASK(11, 7)},
	{VTD_D_PASID_CACHE | 0 << 4 | 5 << 16, 0, VTD_MASK(15, 6) | VTD_MASK(63, 52), UINT64_MAX},
	{VTD_D_PASID_CACHE | 1 << 4 | 5 << 16, 0, VTD_MASK(15, 6) | VTD_MASK(63, 52), UINT64_MAX},
	{VTD_D_PASID_CACHE | 3 << 4, 0, VTD_MASK(15, 6) | VTD_MASK(63, 52), UINT64_MAX},
	{VTD_D_PASID_DEVICE_TLB | 0x18 << 16, 1 << 11, VTD_MASK(11, 9), VTD_MASK(10, 1)},
};

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static uint32_t faults(struct guest *guest)
{
	return (uint32_t)guest_get(guest, VTD_FSTS, 4);
}

/*
 * The queue stands at a bad descriptor: it says so, goes no further, and goes on once software has put a good one
 * there.
 */
static void refused(struct guest *guest, uint64_t low, uint64_t high)
{
	uint64_t at = guest->tail;

	guest_push(guest, low, high);
	guest_push_wait(guest, 77);
	guest_put(guest, GUEST_STATUS, 0);
	guest_kick(guest);
	assert_true(faults(guest) & VTD_FSTS_IQE);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), at);
	assert_int_equal(guest_status(guest), 0);
	guest_kick(guest);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), at);
	/* As Linux does: the wait is copied over it, then the bit is cleared. */
	guest_put(guest, GUEST_QUEUE + at, VTD_D_WAIT | VTD_WAIT_SW | 78ull << 32);
	guest_put(guest, GUEST_QUEUE + at + 8, GUEST_STATUS);
	if (guest->descriptor_size == 32)
		guest_put(guest, GUEST_QUEUE + at + 16, 0);
	guest_set(guest, VTD_FSTS, VTD_FSTS_IQE, 4);
	assert_false(faults(guest) & VTD_FSTS_IQE);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), guest->tail);
	assert_int_equal(guest_status(guest), 77);
}

static void accepted(struct guest *guest, uint64_t low, uint64_t high)
{
	guest_push(guest, low, high);
	guest_push_wait(guest, 5);
	guest_put(guest, GUEST_STATUS, 0);
	guest_kick(guest);
	assert_int_equal(faults(guest), 0);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), guest->tail);
	assert_int_equal(guest_status(guest), 5);
}

static void every_bit(struct guest *guest, bool wide)
{
	guest_queue_on(guest, wide);
	for (unsigned i = 0; i < SHAPES; i++) {
		accepted(guest, shapes[i].low, shapes[i].high);
		for (unsigned bit = 0; bit < 64; bit++) {
			if (shapes[i].reserved_low >> bit & 1)
				refused(guest, shapes[i].low | VTD_BIT(bit), shapes[i].high);
			if (shapes[i].reserved_high >> bit & 1)
				refused(guest, shapes[i].low, shapes[i].high | VTD_BIT(bit));
		}
	}
}

static void test_every_descriptor_and_its_reserved_bits(void **state)
{
	every_bit(*state, false);
}

static void test_the_same_with_descriptors_of_256_bits(void **state)
{
	struct guest *guest = *state;

	every_bit(guest, true);
	uint64_t at = GUEST_QUEUE + guest->tail;

	guest_push(guest, VTD_D_IEC, 0);
	guest_put(guest, at + 24, 1);
	guest_kick(guest);
	assert_true(faults(guest) & VTD_FSTS_IQE);
}

static void test_unknown_types_and_granularities(void **state)
{
	struct guest *guest = *state;
	const uint64_t bad[] = {0,
				9,
				10,
				15,
				VTD_D_IEC | 1 << 9,
				VTD_D_CONTEXT,
				VTD_D_IOTLB,
				VTD_D_PASID_IOTLB,
				VTD_D_PASID_IOTLB | 1 << 4,
				VTD_D_PASID_CACHE | 2 << 4,
				VTD_D_WAIT,
				VTD_D_IEC | 1 << 4 | 16u << 27};

	guest_queue_on(guest, false);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(guest, bad[i], 0);
	refused(guest, VTD_D_IOTLB | 3 << 4, VTD_MAMV + 1);
	refused(guest, VTD_D_PASID_IOTLB | 3 << 4, VTD_MAMV + 1);
}

static void test_what_the_unit_does_not_have_is_refused(void **state)
{
	struct guest *guest =
		guest_create(&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .aw_bits = 48});

	(void)state;
	guest_queue_on(guest, false);
	for (unsigned i = 0; i < SHAPES; i++) {
		unsigned type = shapes[i].low & 15;

		if (type == VTD_D_CONTEXT || type == VTD_D_IOTLB || type == VTD_D_WAIT)
			accepted(guest, shapes[i].low, shapes[i].high);
		else
			refused(guest, shapes[i].low, shapes[i].high);
	}
	guest_destroy(guest);
}

static void test_the_queue_wraps(void **state)
{
	struct guest *guest = *state;

	guest_queue_on(guest, false);
	for (uint32_t i = 1; i < 600; i++) {
		guest_push_wait(guest, i);
		guest_kick(guest);
		assert_int_equal(guest_status(guest), i);
	}
	for (unsigned i = 0; i < 200; i++)
		guest_push(guest, VTD_D_IEC, 0);
	guest_push_wait(guest, 1000);
	guest_kick(guest);
	assert_int_equal(guest_status(guest), 1000);
	assert_int_equal(faults(guest), 0);
}

static void test_a_tail_beyond_the_queue(void **state)
{
	struct guest *guest = *state;

	guest_queue_on(guest, false);
	guest_set(guest, VTD_IQT, 4096, 4);
	assert_true(faults(guest) & VTD_FSTS_IQE);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), 0);
	guest_set(guest, VTD_FSTS, VTD_FSTS_IQE, 4);
	assert_true(faults(guest) & VTD_FSTS_IQE);
	guest_set(guest, VTD_IQT, 0, 4);
	guest_set(guest, VTD_FSTS, VTD_FSTS_IQE, 4);
	assert_int_equal(faults(guest), 0);
}

static void test_a_tail_in_the_middle_of_a_descriptor(void **state)
{
	struct guest *guest = *state;

	guest_queue_on(guest, true);
	guest_set(guest, VTD_IQT, 16, 4);
	assert_true(faults(guest) & VTD_FSTS_IQE);
}

/* In a hole, at the end of memory, and at the end of all addresses. */
static void test_a_queue_that_is_not_in_memory(void **state)
{
	struct guest *guest = *state;
	const uint64_t bases[] = {GUEST_RAM, 0xfee00000, VTD_MASK(63, 12), GUEST_RAM - 4096};

	for (unsigned i = 0; i < 4; i++) {
		guest_set(guest, VTD_IQT, 0, 4);
		guest_set(guest, VTD_IQA, bases[i] | 1, 8);
		guest_command(guest, VTD_GCMD_QIE);
		guest_set(guest, VTD_IQT, 4096 + 16, 4);
		assert_true(faults(guest) & VTD_FSTS_IQE);
		guest_uncommand(guest, VTD_GCMD_QIE);
		guest_set(guest, VTD_FSTS, VTD_FSTS_IQE, 4);
		assert_int_equal(faults(guest), 0);
	}
}

static void test_a_status_that_cannot_be_written(void **state)
{
	struct guest *guest = *state;

	guest_queue_on(guest, false);
	refused(guest, VTD_D_WAIT | VTD_WAIT_SW, GUEST_RAM);
}

static void test_a_wait_that_interrupts(void **state)
{
	struct guest *guest = *state;

	guest_queue_on(guest, false);
	guest_set(guest, VTD_IEDATA, 0x41, 4);
	guest_set(guest, VTD_IEADDR, 0xfee01000, 4);
	guest_push(guest, VTD_D_WAIT | VTD_WAIT_IF, 0);
	guest_kick(guest);
	assert_int_equal(guest->interrupts, 0); /* masked */
	assert_int_equal(guest_get(guest, VTD_ICS, 4), VTD_ICS_IWC);
	assert_true(guest_get(guest, VTD_IECTL, 4) & VTD_EVENT_IP);
	guest_set(guest, VTD_IECTL, 0, 4);
	assert_int_equal(guest->interrupts, 1);
	assert_int_equal(guest->messages[0].data, 0x41);
	assert_int_equal(guest->messages[0].address, 0xfee01000);
	guest_push(guest, VTD_D_WAIT | VTD_WAIT_IF, 0);
	guest_kick(guest);
	assert_int_equal(guest->interrupts, 1); /* IWC is still set */
	guest_set(guest, VTD_ICS, VTD_ICS_IWC, 4);
	guest_push(guest, VTD_D_WAIT | VTD_WAIT_IF | VTD_WAIT_SW | 3ull << 32, GUEST_STATUS);
	guest_kick(guest);
	assert_int_equal(guest->interrupts, 2);
	assert_int_equal(guest_status(guest), 3);
}

static void translate(struct guest *guest)
{
	guest_set(guest, VTD_RTADDR, GUEST_ROOT, 8);
	guest_command(guest, VTD_GCMD_SRTP);
	guest_command(guest, VTD_GCMD_TE);
}

static void test_a_wait_waits_for_a_section(void **state)
{
	struct guest *guest = *state;
	struct viommu_section section;

	translate(guest);
	guest_queue_on(guest, false);
	assert_int_equal(viommu_dma_begin(guest->device, &section), 0);
	guest_push(guest, VTD_D_CONTEXT | 1 << 4, 0);
	guest_push_wait(guest, 5);
	guest_push_wait(guest, 6);
	guest_kick(guest);
	assert_int_equal(guest_status(guest), 0);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), 16);
	assert_int_equal(guest->pending, 1);
	assert_int_equal(viommu_vtd_poll(guest->unit), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_vtd_poll(guest->unit), 0);
	assert_int_equal(guest_status(guest), 6);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), guest->tail);
}

static void *poll_once(void *opaque)
{
	const struct guest *guest = opaque;

	assert_int_equal(viommu_vtd_poll(guest->unit), -EAGAIN);
	return NULL;
}

static void poll_meanwhile(struct guest *guest)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, poll_once, guest), 0);
	pthread_join(thread, NULL);
}

/* It may have been the only one after the last section ended, so it is not lost. */
static void test_a_poll_of_a_busy_unit_is_asked_for_again(void **state)
{
	struct guest *guest = *state;

	guest_queue_on(guest, false);
	guest->committing = poll_meanwhile;
	guest_push(guest, VTD_D_IEC, 0);
	guest_push_wait(guest, 5);
	guest_kick(guest);
	guest->committing = NULL;
	assert_int_equal(guest->commits, 1);
	assert_int_equal(guest_status(guest), 5);
	assert_int_equal(guest->pending, 1);
	assert_int_equal(viommu_vtd_poll(guest->unit), 0);
	assert_int_equal(guest->pending, 1);
}

static void poll_until_done(struct guest *guest)
{
	while (viommu_vtd_poll(guest->unit))
		usleep(1000);
}

/* 6.5.2.11: the wait is given up, the queue stops; software clears the bit and the queue goes on behind that wait. */
static void test_a_device_that_does_not_answer(void **state)
{
	struct guest *guest = *state;
	struct viommu_section section;
	struct viommu_vtd_stats stats = {.size = sizeof(struct viommu_vtd_stats)};

	translate(guest);
	guest_queue_on(guest, false);
	assert_int_equal(viommu_dma_begin(guest->device, &section), 0);
	guest_push(guest, VTD_D_DEVICE_TLB | (uint64_t)GUEST_DEVICE << 32, 0x7ffffffffffff000 | 1);
	guest_push_wait(guest, 5);
	guest_push_wait(guest, 6);
	guest_kick(guest);
	poll_until_done(guest);
	assert_true(faults(guest) & VTD_FSTS_ITE);
	assert_int_equal(guest_get(guest, VTD_IQERCD, 8), (uint64_t)GUEST_DEVICE << 32);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), 16);
	assert_int_equal(guest_status(guest), 0);
	guest_set(guest, VTD_FSTS, VTD_FSTS_ITE, 4);
	assert_int_equal(guest_status(guest), 6);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), guest->tail);
	viommu_vtd_stats_get(guest->unit, &stats);
	assert_int_equal(stats.timeouts, 1);
	assert_int_equal(stats.device_tlb_invalidations, 1);
	viommu_dma_end(&section);
}

static void test_many_descriptors_before_one_wait(void **state)
{
	struct guest *guest = *state;

	translate(guest);
	guest_queue_on(guest, false);
	for (unsigned i = 0; i < 250; i++)
		guest_push(guest, VTD_D_IOTLB | 1 << 4, 0);
	guest_push_wait(guest, 9);
	guest_kick(guest);
	poll_until_done(guest);
	assert_int_equal(guest_status(guest), 9);
	assert_int_equal(faults(guest), 0);
}

/* The tail always moves on: each write has an end all the same, and others get at the unit between. */
static void test_a_long_queue_is_done_in_turns(void **state)
{
	struct guest *guest = *state;

	guest_set(guest, VTD_IQA, GUEST_TABLES | 7, 8);
	for (uint64_t at = GUEST_TABLES; at < GUEST_TABLES + (128 << 12); at += 16)
		guest_put(guest, at, VTD_D_IEC);
	guest_command(guest, VTD_GCMD_QIE);
	guest_set(guest, VTD_IQT, (128 << 12) - 16, 4);
	assert_int_equal(guest->pending, 1);
	assert_true(guest_get(guest, VTD_IQH, 8) < 128 << 12);
	/* Nobody stands in its way whose end could wake the poll: each turn asks for the next one. */
	for (unsigned turns = guest->pending; viommu_vtd_poll(guest->unit); turns = guest->pending)
		assert_int_equal(guest->pending, turns + 1);
	assert_int_equal(guest_get(guest, VTD_IQH, 8), (128 << 12) - 16);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_every_descriptor_and_its_reserved_bits),
		TEST(test_the_same_with_descriptors_of_256_bits),
		TEST(test_unknown_types_and_granularities),
		TEST(test_what_the_unit_does_not_have_is_refused),
		TEST(test_the_queue_wraps),
		TEST(test_a_tail_beyond_the_queue),
		TEST(test_a_tail_in_the_middle_of_a_descriptor),
		TEST(test_a_queue_that_is_not_in_memory),
		TEST(test_a_status_that_cannot_be_written),
		TEST(test_a_wait_that_interrupts),
		TEST(test_a_wait_waits_for_a_section),
		TEST(test_a_poll_of_a_busy_unit_is_asked_for_again),
		TEST(test_a_device_that_does_not_answer),
		TEST(test_many_descriptors_before_one_wait),
		TEST(test_a_long_queue_is_done_in_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
