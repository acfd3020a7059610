/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Completion: the guest's wait descriptor ends when nobody uses what was invalidated: sections, holds, clients behind
 * ATS or not.
 */
#include "tests/support/vtd_driver.h"

#include <stdatomic.h>
#include <time.h>

enum { AW_48 = 2, DID = 5, PAGE = 3, DONE = 7, DOMAIN = 2 };
#define RW ((uint64_t)(VTD_SS_R | VTD_SS_W))

struct told {
	struct viommu_client *client;
	unsigned count;
	uint64_t first, last, ticket;
};

struct fixture {
	struct vtd_driver *d;
	struct vtd_tables t;
	struct told told;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){.d = vtd_driver_create(&(struct viommu_vtd_config){
				     .size = sizeof(struct viommu_vtd_config), .device_iotlb = true})};
	f.t = vtd_second_stage(f.d, 4);
	vtd_set_context(f.d, VTD_A, f.t.top | VTD_TT_ALL << 2 | VTD_ENTRY_P, DID << 8 | AW_48);
	vtd_map(f.d, &f.t, 0, VTD_DATA | RW);
	vtd_map(f.d, &f.t, VTD_PAGE_SIZE, (VTD_DATA + VTD_PAGE_SIZE) | RW);
	vtd_start(f.d, VTD_TTM_IS_LEGACY);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	viommu_client_unregister(f->told.client);
	vtd_driver_destroy(f->d);
	return 0;
}

static void begin_use(struct fixture *f, struct viommu_section *section, struct viommu_span *span)
{
	assert_int_equal(viommu_dma_begin(vtd_device(f->d, VTD_A), section), 0);
	assert_int_equal(viommu_dma_translate(section, (struct viommu_iova){0}, 8, VIOMMU_WRITE, span), 0);
}

/* Take the first page away and wait; complete or not? */
static bool completes(struct fixture *f)
{
	vtd_map(f->d, &f->t, 0, 0);
	vtd_queue_put(f->d, VTD_D_IOTLB | PAGE << 4 | DID << 16, 0);
	vtd_queue_put_wait(f->d, DONE);
	vtd_queue_ring(f->d);
	viommu_vtd_poll(f->d->unit);
	return vtd_queue_status(f->d) == DONE;
}

static void expect_complete(struct fixture *f)
{
	assert_int_equal(viommu_vtd_poll(f->d->unit), 0);
	assert_int_equal(vtd_queue_status(f->d), DONE);
	vtd_expect_fault(f->d, VTD_A, 0, VIOMMU_READ, VTD_FAULT_NO_READ);
}

static void test_nobody_is_in_the_way(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(vtd_peek(f->d, VTD_A, 0), VTD_DATA);
	assert_true(completes(f));
	expect_complete(f);
}

static void test_a_section_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;

	begin_use(f, &section, &span);
	assert_false(completes(f));
	assert_true(f->d->pending > 0);
	viommu_dma_end(&section);
	expect_complete(f);
}

static void test_a_section_of_another_device_is_not(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(vtd_device(f->d, VTD_B), &section), 0);
	assert_true(completes(f));
	viommu_dma_end(&section);
}

static void test_a_hold_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_hold hold = {0};
	struct viommu_span span;

	begin_use(f, &section, &span);
	viommu_dma_hold(&section, &hold, &span, 1);
	viommu_dma_end(&section);
	assert_false(completes(f));
	viommu_dma_release(&hold);
	expect_complete(f);
}

static void test_a_context_invalidation_waits_too(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;

	begin_use(f, &section, &span);
	vtd_set_context(f->d, VTD_A, 0, 0);
	vtd_queue_put(f->d, VTD_D_CONTEXT | DOMAIN << 4 | DID << 16, 0);
	vtd_queue_put_wait(f->d, DONE);
	vtd_queue_ring(f->d);
	assert_int_not_equal(vtd_queue_status(f->d), DONE);
	viommu_dma_end(&section);
	assert_int_equal(viommu_vtd_poll(f->d->unit), 0);
	assert_int_equal(vtd_queue_status(f->d), DONE);
	vtd_expect_fault(f->d, VTD_A, 0, VIOMMU_READ, VTD_FAULT_CONTEXT_NOT_PRESENT);
}

/*
 * What the queue took away without a wait behind it is still in use when the queue goes off: invalidation by registers,
 * which finds nothing more to take away, waits for that, too.
 */
static void test_registers_wait_for_what_the_queue_has_left(void **state)
{
	const uint64_t ivt = 1ull << 63;
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;

	begin_use(f, &section, &span);
	vtd_set_context(f->d, VTD_A, 0, 0);
	vtd_queue_put(f->d, VTD_D_CONTEXT | DOMAIN << 4 | DID << 16, 0);
	vtd_queue_ring(f->d);
	vtd_command_clear(f->d, VTD_GCMD_QIE);
	viommu_vtd_write(f->d->unit, VTD_IOTLB, ivt | (uint64_t)DOMAIN << 60 | (uint64_t)DID << 32, 8);
	assert_true(vtd_get_register(f->d, VTD_IOTLB) & ivt);
	viommu_dma_end(&section);
	assert_int_equal(viommu_vtd_poll(f->d->unit), 0);
	assert_false(vtd_get_register(f->d, VTD_IOTLB) & ivt);
}

/*
 * A walk is under way in a section: what it reads after the invalidation has begun is new, and what it read before is
 * awaited.
 */
static void test_translation_is_switched_off_when_nobody_translates(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;

	begin_use(f, &section, &span);
	f->d->commands &= ~(uint32_t)VTD_GCMD_TE;
	viommu_vtd_write(f->d->unit, VTD_GCMD, f->d->commands, 4);
	assert_true(viommu_vtd_read(f->d->unit, VTD_GSTS, 4) & VTD_GCMD_TE);
	viommu_dma_end(&section);
	assert_int_equal(viommu_vtd_poll(f->d->unit), 0);
	assert_false(viommu_vtd_read(f->d->unit, VTD_GSTS, 4) & VTD_GCMD_TE);
	assert_int_equal(vtd_peek(f->d, VTD_A, VTD_DATA), VTD_DATA);
}

static void hear(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct told *told = opaque;

	told->count++;
	told->first = first.value;
	told->last = last.value;
	told->ticket = ticket;
}

static void add_client(struct fixture *f)
{
	static const struct viommu_client_ops ops = {.size = sizeof(struct viommu_client_ops), .invalidate = hear};

	assert_int_equal(viommu_client_register(vtd_device(f->d, VTD_A), &ops, &f->told, &f->told.client), 0);
	assert_int_equal(vtd_peek(f->d, VTD_A, 0), VTD_DATA);
}

static void test_a_client_acknowledges(void **state)
{
	struct fixture *f = *state;

	add_client(f);
	assert_false(completes(f));
	assert_int_equal(f->told.count, 1);
	assert_int_equal(f->told.first, 0);
	assert_int_equal(f->told.last, VTD_PAGE_SIZE - 1);
	viommu_client_ack(f->told.client, f->told.ticket);
	expect_complete(f);
}

static void test_a_client_behind_ats_has_its_own_invalidation(void **state)
{
	struct fixture *f = *state;

	add_client(f);
	viommu_endpoint_set_ats(vtd_device(f->d, VTD_A), true);
	assert_true(completes(f));
	assert_int_equal(f->told.count, 0);
	vtd_queue_put(f->d, VTD_D_DEVICE_TLB | (uint64_t)VTD_A << 32, 0x3000 | 1); /* 8 KiB << 2 */
	vtd_queue_put_wait(f->d, DONE);
	vtd_queue_ring(f->d);
	assert_int_equal(f->told.count, 1);
	assert_int_equal(f->told.first, 0);
	assert_int_equal(f->told.last, 8 * VTD_PAGE_SIZE - 1);
	assert_int_not_equal(vtd_queue_status(f->d), DONE);
	viommu_client_ack(f->told.client, f->told.ticket);
	expect_complete(f);
}

/*
 * The device has ATS switched on, but its context (TT = 00) does not allow it: the IOTLB's invalidations are all that
 * the guest makes.
 */
static void test_ats_that_the_context_does_not_allow(void **state)
{
	struct fixture *f = *state;

	vtd_set_context(f->d, VTD_A, f->t.top | VTD_ENTRY_P, DID << 8 | AW_48);
	vtd_flush_context(f->d, 1, 0, 0, 0);
	add_client(f);
	viommu_endpoint_set_ats(vtd_device(f->d, VTD_A), true);
	assert_false(completes(f));
	assert_int_equal(f->told.count, 1);
	viommu_client_ack(f->told.client, f->told.ticket);
	expect_complete(f);
}

static void test_a_device_tlb_of_somebody_else(void **state)
{
	struct fixture *f = *state;

	add_client(f);
	viommu_endpoint_set_ats(vtd_device(f->d, VTD_A), true);
	vtd_queue_put(f->d, VTD_D_DEVICE_TLB | (uint64_t)VTD_B << 32, 0);
	vtd_queue_put(f->d, VTD_D_DEVICE_TLB | (uint64_t)0x4242 << 32, 0);
	vtd_queue_sync(f->d);
	assert_int_equal(f->told.count, 0);
}

/* Behind ATS or not, a context that goes takes everything with it. */
static void test_a_context_invalidation_reaches_every_client(void **state)
{
	struct fixture *f = *state;

	add_client(f);
	viommu_endpoint_set_ats(vtd_device(f->d, VTD_A), true);
	vtd_queue_put(f->d, VTD_D_CONTEXT | DOMAIN << 4 | DID << 16, 0);
	vtd_queue_put_wait(f->d, DONE);
	vtd_queue_ring(f->d);
	assert_int_equal(f->told.count, 1);
	assert_true(f->told.last == UINT64_MAX);
	viommu_client_ack(f->told.client, f->told.ticket);
	assert_int_equal(viommu_vtd_poll(f->d->unit), 0);
	assert_int_equal(vtd_queue_status(f->d), DONE);
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* The client never answers: ITE, and its device is blocked until it lets go and the guest sets it up again. */
static void test_a_silent_client_loses_its_device(void **state)
{
	struct fixture *f = *state;

	add_client(f);
	assert_false(completes(f));
	while (viommu_vtd_poll(f->d->unit))
		pause_ms(20);
	assert_int_not_equal(vtd_queue_status(f->d), DONE);
	assert_true(viommu_vtd_read(f->d->unit, VTD_FSTS, 4) & VTD_FSTS_ITE);
	assert_true(vtd_peek(f->d, VTD_A, VTD_PAGE_SIZE) < 0);
	assert_int_equal(vtd_take_fault(f->d).reason, 0); /* no translation was tried */
	viommu_client_unregister(f->told.client);
	f->told.client = NULL;
	viommu_vtd_write(f->d->unit, VTD_FSTS, VTD_FSTS_ITE, 4);
	vtd_flush_iotlb(f->d, DOMAIN, DID, 0, 0);
	assert_true(vtd_peek(f->d, VTD_A, VTD_PAGE_SIZE) < 0);
	vtd_flush_context(f->d, 3, DID, VTD_A, 0);
	assert_int_equal(vtd_peek(f->d, VTD_A, VTD_PAGE_SIZE), VTD_DATA + VTD_PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nobody_is_in_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_section_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_section_of_another_device_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_hold_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_context_invalidation_waits_too, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registers_wait_for_what_the_queue_has_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_translation_is_switched_off_when_nobody_translates, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_client_acknowledges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_client_behind_ats_has_its_own_invalidation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ats_that_the_context_does_not_allow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_device_tlb_of_somebody_else, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_context_invalidation_reaches_every_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_silent_client_loses_its_device, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
