/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The register page as memory that software writes: what waits until it is closed, what cannot be opened, and that
 * nothing that software has written is lost.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "tests/support/vtd_driver.h"
#include "tests/support/vtd_paged.h"

enum {
	NOWHERE = 0x5000, /* no device has a context, so an access there is a fault */
	DONE = 2,
	MESSAGE = 0x41,
	CAUSES = VTD_FSTS_PFO | VTD_FSTS_PPF | VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE,
	AW_48 = 2,
	DID = 7,
	REQUESTS = 3000,
	OPENINGS = 3000,
	PATIENCE = 10000, /* turns of the monitor that a request may take */
	DEADLINE_MS = 60000,
};

struct world {
	struct vtd_driver *d;
	struct vtd_paged p;
};

static struct world *world_create(unsigned deadline_ms)
{
	struct world *w = calloc(1, sizeof(*w));

	w->d = vtd_driver_create_patient(NULL, deadline_ms);
	vtd_paged_init(&w->p, w->d->unit);
	vtd_start(w->d, VTD_TTM_IS_LEGACY);
	viommu_vtd_write(w->d->unit, VTD_FEDATA, MESSAGE, 4);
	viommu_vtd_write(w->d->unit, VTD_IEDATA, MESSAGE + 1, 4);
	return w;
}

static void world_destroy(struct world *w)
{
	vtd_paged_fini(&w->p);
	vtd_driver_destroy(w->d);
	free(w);
}

static int setup(void **state)
{
	*state = world_create(DEADLINE_MS);
	return 0;
}

static int teardown(void **state)
{
	world_destroy(*state);
	return 0;
}

static uint32_t in_page(struct world *w, unsigned offset)
{
	return (uint32_t)vtd_paged_load(&w->p, offset, 4);
}

static uint32_t in_register(struct world *w, unsigned offset)
{
	return (uint32_t)viommu_vtd_read(w->d->unit, offset, 4);
}

static void open_page(struct world *w)
{
	assert_int_equal(vtd_paged_open(&w->p), 0);
	assert_int_equal(vtd_paged_look(&w->p), 0);
}

static void unmask(struct world *w, unsigned control)
{
	viommu_vtd_write(w->d->unit, control, 0, 4);
}

static void expect_interrupts(struct world *w, unsigned count, uint32_t data)
{
	assert_int_equal(w->d->interrupts, count);
	if (count)
		assert_int_equal(w->d->messages[(count - 1) % VTD_MESSAGES].data, data);
}

static void cause_fault(struct world *w)
{
	assert_true(vtd_peek(w->d, VTD_A, NOWHERE) < 0);
}

static void put_wait(struct world *w, uint64_t flags)
{
	vtd_set(w->d, w->d->status, 0);
	vtd_queue_put(w->d, (uint64_t)DONE << 32 | flags | VTD_D_WAIT, flags & VTD_WAIT_SW ? w->d->status : 0);
}

static void ring_in_page(struct world *w)
{
	vtd_paged_store(&w->p, VTD_IQT, w->d->tail, 4);
}

static void clear_fault(struct world *w)
{
	for (unsigned at = VTD_FRCD; at < VTD_FRCD + 8 * VTD_FRCD_SIZE; at += VTD_FRCD_SIZE)
		viommu_vtd_write(w->d->unit, at + 12, 1u << 31, 4);
}

static void test_a_request_is_served_by_a_look(void **state)
{
	struct world *w = *state;

	open_page(w);
	for (unsigned i = 0; i < 1000; i++) {
		put_wait(w, VTD_WAIT_SW);
		ring_in_page(w);
		assert_int_equal(vtd_queue_status(w->d), 0);
		assert_int_equal(vtd_paged_look(&w->p), 1);
		assert_int_equal(vtd_queue_status(w->d), DONE);
		assert_int_equal(in_page(w, VTD_IQH), w->d->tail);
		assert_int_equal(vtd_paged_look(&w->p), 0);
	}
}

static void test_the_page_shows_all_registers(void **state)
{
	struct world *w = *state;
	uint32_t before[VIOMMU_VTD_SIZE / 4];

	for (unsigned i = 0; i < VIOMMU_VTD_SIZE / 4; i++)
		before[i] = in_register(w, i * 4);
	open_page(w);
	for (unsigned i = 0; i < VIOMMU_VTD_SIZE / 4; i++)
		if (i != VTD_GCMD / 4)
			assert_int_equal(in_page(w, i * 4), before[i]);
}

static void test_a_fault_is_seen_once_the_page_is_closed(void **state)
{
	struct world *w = *state;

	unmask(w, VTD_FECTL);
	open_page(w);
	assert_false(viommu_vtd_page_waits(w->d->unit));
	cause_fault(w);
	assert_true(viommu_vtd_page_waits(w->d->unit));
	assert_int_equal(in_page(w, VTD_FSTS), 0);
	assert_int_equal(in_page(w, VTD_FRCD + 12), 0);
	expect_interrupts(w, 0, 0);
	assert_int_equal(vtd_paged_look(&w->p), -EBUSY);
	vtd_paged_close(&w->p);
	assert_false(viommu_vtd_page_waits(w->d->unit));
	expect_interrupts(w, 1, MESSAGE);
	assert_int_equal(in_register(w, VTD_FSTS), VTD_FSTS_PPF);
	assert_int_equal(in_register(w, VTD_FECTL), 0);
	struct vtd_seen seen = vtd_take_fault(w->d);

	assert_int_equal(seen.source, VTD_A);
	assert_int_equal(seen.info, NOWHERE);
}

static void test_a_masked_fault_interrupts_when_it_is_unmasked(void **state)
{
	struct world *w = *state;

	open_page(w);
	cause_fault(w);
	vtd_paged_close(&w->p);
	expect_interrupts(w, 0, 0);
	assert_int_equal(in_register(w, VTD_FECTL), VTD_EVENT_IM | VTD_EVENT_IP);
	unmask(w, VTD_FECTL);
	expect_interrupts(w, 1, MESSAGE);
	assert_int_equal(in_register(w, VTD_FECTL), 0);
}

/* What software has written before the page is closed counts, whatever came first. */
static void test_an_event_goes_out_as_software_has_set_it_up_last(void **state)
{
	struct world *w = *state;

	open_page(w);
	cause_fault(w);
	vtd_paged_store(&w->p, VTD_FEDATA, MESSAGE + 7, 4);
	vtd_paged_store(&w->p, VTD_FECTL, 0, 4);
	vtd_paged_close(&w->p);
	expect_interrupts(w, 1, MESSAGE + 7);
	clear_fault(w);
	open_page(w);
	cause_fault(w);
	vtd_paged_store(&w->p, VTD_FECTL, VTD_EVENT_IM, 4);
	vtd_paged_close(&w->p);
	expect_interrupts(w, 1, MESSAGE + 7);
	assert_int_equal(in_register(w, VTD_FECTL), VTD_EVENT_IM | VTD_EVENT_IP);
}

static void test_a_completion_event_waits_too(void **state)
{
	struct world *w = *state;

	unmask(w, VTD_IECTL);
	open_page(w);
	put_wait(w, VTD_WAIT_IF);
	put_wait(w, VTD_WAIT_SW);
	ring_in_page(w);
	assert_int_equal(vtd_paged_look(&w->p), 1);
	assert_int_equal(vtd_queue_status(w->d), DONE);
	assert_int_equal(in_page(w, VTD_ICS), 0);
	expect_interrupts(w, 0, 0);
	assert_int_equal(vtd_paged_look(&w->p), -EBUSY);
	vtd_paged_close(&w->p);
	expect_interrupts(w, 1, MESSAGE + 1);
	assert_int_equal(in_register(w, VTD_ICS), VTD_ICS_IWC);
}

static void test_an_error_of_the_queue_waits_too(void **state)
{
	struct world *w = *state;

	unmask(w, VTD_FECTL);
	open_page(w);
	const uint32_t head = w->d->tail;

	vtd_queue_put(w->d, 0, 0);
	put_wait(w, VTD_WAIT_SW);
	ring_in_page(w);
	assert_int_equal(vtd_paged_look(&w->p), 1);
	assert_int_equal(in_page(w, VTD_FSTS), 0);
	assert_int_equal(in_page(w, VTD_IQH), head);
	expect_interrupts(w, 0, 0);
	assert_int_equal(vtd_paged_look(&w->p), -EBUSY);
	vtd_paged_close(&w->p);
	expect_interrupts(w, 1, MESSAGE);
	assert_int_equal(in_register(w, VTD_FSTS), VTD_FSTS_IQE);
	assert_int_equal(in_register(w, VTD_IQH), head);
	/* As Linux does: the descriptor becomes another one, and the queue goes on. */
	vtd_set(w->d, w->d->queue + head, VTD_D_IOTLB | 1 << 4);
	viommu_vtd_write(w->d->unit, VTD_FSTS, VTD_FSTS_IQE, 4);
	assert_int_equal(vtd_queue_status(w->d), DONE);
}

static void test_a_timeout_of_the_queue_waits_too(void **state)
{
	struct world *w = world_create(1);
	struct viommu_section section;

	(void)state;
	assert_int_equal(viommu_dma_begin(vtd_device(w->d, VTD_B), &section), 0);
	open_page(w);
	vtd_queue_put(w->d, VTD_D_CONTEXT | 1 << 4, 0);
	put_wait(w, VTD_WAIT_SW);
	ring_in_page(w);
	assert_int_equal(vtd_paged_look(&w->p), 1);
	while (viommu_vtd_poll(w->d->unit))
		sched_yield();
	assert_int_equal(in_page(w, VTD_FSTS), 0);
	assert_int_equal(vtd_paged_look(&w->p), -EBUSY);
	vtd_paged_close(&w->p);
	assert_int_equal(in_register(w, VTD_FSTS), VTD_FSTS_ITE);
	viommu_dma_end(&section);
	world_destroy(w);
}

static void test_what_a_device_holds_up_completes_in_the_open_page(void **state)
{
	struct world *w = *state;
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(vtd_device(w->d, VTD_B), &section), 0);
	open_page(w);
	const uint32_t wait = w->d->tail + 16;

	vtd_queue_put(w->d, VTD_D_CONTEXT | 1 << 4, 0);
	put_wait(w, VTD_WAIT_SW);
	ring_in_page(w);
	assert_int_equal(vtd_paged_look(&w->p), 1);
	assert_int_equal(viommu_vtd_poll(w->d->unit), -EAGAIN);
	assert_int_equal(vtd_queue_status(w->d), 0);
	assert_int_equal(in_page(w, VTD_IQH), wait);
	viommu_dma_end(&section);
	assert_int_equal(viommu_vtd_poll(w->d->unit), 0);
	assert_int_equal(vtd_queue_status(w->d), DONE);
	assert_int_equal(in_page(w, VTD_IQH), w->d->tail);
	assert_int_equal(vtd_paged_look(&w->p), 0);
}

static void refuse(struct world *w)
{
	assert_int_equal(vtd_paged_open(&w->p), -EBUSY);
	assert_false(viommu_vtd_page_waits(w->d->unit));
}

static void test_what_keeps_the_page_closed(void **state)
{
	struct world *w = *state;
	struct viommu_section section;

	vtd_command_clear(w->d, VTD_GCMD_QIE);
	refuse(w);
	viommu_vtd_write(w->d->unit, VTD_IQT, 0, 4);
	w->d->tail = 0;
	vtd_command_set(w->d, VTD_GCMD_QIE);
	cause_fault(w);
	refuse(w);
	clear_fault(w);
	put_wait(w, VTD_WAIT_IF);
	vtd_queue_ring(w->d);
	refuse(w);
	viommu_vtd_write(w->d->unit, VTD_ICS, VTD_ICS_IWC, 4);
	/* Register invalidations are not performed before the queue is off. */
	viommu_vtd_write(w->d->unit, VTD_CCMD, VTD_CCMD_ICC, 8);
	refuse(w);
	viommu_vtd_write(w->d->unit, VTD_CCMD, 0, 8);
	viommu_vtd_write(w->d->unit, VTD_IOTLB, VTD_IOTLB_IVT, 8);
	refuse(w);
	viommu_vtd_write(w->d->unit, VTD_IOTLB, 0, 8);
	assert_int_equal(viommu_dma_begin(vtd_device(w->d, VTD_A), &section), 0);
	viommu_vtd_write(w->d->unit, VTD_GCMD, w->d->commands | VTD_GCMD_SRTP, 4);
	refuse(w);
	viommu_vtd_write(w->d->unit, VTD_GCMD, w->d->commands, 4);
	refuse(w);
	viommu_dma_end(&section);
	assert_int_equal(viommu_vtd_poll(w->d->unit), 0);
	open_page(w);
	assert_int_equal(vtd_paged_open(&w->p), -EBUSY);
	vtd_paged_close(&w->p);
	viommu_vtd_reset(w->d->unit);
	refuse(w);
}

static void test_a_closed_page_is_not_looked_at(void **state)
{
	struct world *w = *state;

	assert_int_equal(vtd_paged_look(&w->p), 0);
	vtd_paged_close(&w->p);
	open_page(w);
	vtd_paged_close(&w->p);
	ring_in_page(w);
	assert_int_equal(vtd_paged_look(&w->p), 0);
	vtd_paged_close(&w->p);
	assert_int_equal(vtd_paged_look(&w->p), 0);
}

static void test_accesses_that_leave_the_guest_find_the_same_memory(void **state)
{
	struct world *w = *state;

	open_page(w);
	viommu_vtd_write(w->d->unit, VTD_IQA, 0x1122334455667788, 8);
	assert_true(vtd_paged_load(&w->p, VTD_IQA, 8) == 0x1122334455667788);
	vtd_paged_store(&w->p, VTD_IRTA, 0x99, 4);
	assert_int_equal(in_register(w, VTD_IRTA), 0x99);
	/* The tail is served at once. */
	put_wait(w, VTD_WAIT_SW);
	vtd_queue_ring(w->d);
	assert_int_equal(vtd_queue_status(w->d), DONE);
	assert_int_equal(in_page(w, VTD_IQH), w->d->tail);
	assert_int_equal(vtd_paged_look(&w->p), 0);
	/* A command waits, as it does in memory. */
	viommu_vtd_write(w->d->unit, VTD_GCMD, VTD_GCMD_QIE, 4);
	assert_int_equal(in_register(w, VTD_GSTS) & VTD_GCMD_TE, VTD_GCMD_TE);
	assert_int_equal(vtd_paged_look(&w->p), -EBUSY);
	vtd_paged_close(&w->p);
	assert_int_equal(in_register(w, VTD_GSTS) & VTD_GCMD_TE, 0);
}

static void test_a_command_that_switches_all_off_is_seen(void **state)
{
	struct world *w = *state;

	open_page(w);
	vtd_paged_store(&w->p, VTD_GCMD, 0, 4);
	assert_int_equal(vtd_paged_look(&w->p), -EBUSY);
	vtd_paged_close(&w->p);
	assert_int_equal(in_register(w, VTD_GSTS) & (VTD_GCMD_TE | VTD_GCMD_QIE), 0);
}

/* Where nobody has looked: first the queue, then the command that switches it off. */
static void test_what_was_written_last_is_performed_when_the_page_is_closed(void **state)
{
	struct world *w = *state;

	open_page(w);
	put_wait(w, VTD_WAIT_SW);
	ring_in_page(w);
	vtd_paged_store(&w->p, VTD_GCMD, VTD_GCMD_TE, 4);
	vtd_paged_close(&w->p);
	assert_int_equal(vtd_queue_status(w->d), DONE);
	assert_int_equal(in_register(w, VTD_GSTS) & VTD_GCMD_QIE, 0);
}

/* A context for device A, below a root that is not the one that the unit has. */
static uint64_t make_other_root(struct world *w)
{
	struct vtd_tables tables = vtd_second_stage(w->d, 4);
	const uint64_t old = w->d->root, other = vtd_page(w->d);

	w->d->root = other;
	vtd_map(w->d, &tables, 0, VTD_DATA | VTD_SS_R);
	vtd_set_context(w->d, VTD_A, tables.top | VTD_ENTRY_P, DID << 8 | AW_48);
	w->d->root = old;
	return other;
}

static void test_registers_of_64_bits_are_taken_by_halves_or_at_once(void **state)
{
	struct world *w = *state;
	const uint64_t other = make_other_root(w), none = w->d->root;

	for (unsigned size = 4; size <= 8; size += 4) {
		open_page(w);
		vtd_paged_store(&w->p, VTD_RTADDR, other, size);
		if (size == 4)
			vtd_paged_store(&w->p, VTD_RTADDR + 4, other >> 32, 4);
		assert_int_equal(vtd_paged_look(&w->p), 0);
		vtd_paged_store(&w->p, VTD_GCMD, w->d->commands | VTD_GCMD_SRTP, 4);
		assert_int_equal(vtd_paged_look(&w->p), -EBUSY);
		vtd_paged_close(&w->p);
		vtd_flush_context(w->d, 1, 0, 0, 0);
		vtd_flush_iotlb(w->d, 1, 0, 0, 0);
		assert_int_equal(vtd_peek(w->d, VTD_A, 0), VTD_DATA);
		viommu_vtd_write(w->d->unit, VTD_RTADDR, none, 8);
		vtd_command_set(w->d, VTD_GCMD_SRTP);
		vtd_flush_context(w->d, 1, 0, 0, 0);
		vtd_flush_iotlb(w->d, 1, 0, 0, 0);
	}
}

/* IVA reads as 0, so it must not be taken for unchanged when software writes a 0 there. */
static void test_an_address_of_0_replaces_another_one(void **state)
{
	struct world *w = *state;
	struct vtd_tables tables = vtd_second_stage(w->d, 4);

	vtd_map(w->d, &tables, 0, VTD_DATA | VTD_SS_R);
	vtd_set_context(w->d, VTD_A, tables.top | VTD_ENTRY_P, DID << 8 | AW_48);
	vtd_flush_context(w->d, 1, 0, 0, 0);
	assert_int_equal(vtd_peek(w->d, VTD_A, 0), VTD_DATA);
	viommu_vtd_write(w->d->unit, VTD_IVA, 0x1234567000, 8);
	open_page(w);
	vtd_paged_store(&w->p, VTD_IVA, 0, 8);
	vtd_paged_close(&w->p);
	vtd_command_clear(w->d, VTD_GCMD_QIE);
	vtd_map(w->d, &tables, 0, (VTD_DATA + VTD_PAGE_SIZE) | VTD_SS_R);
	viommu_vtd_write(w->d->unit, VTD_IOTLB, VTD_IOTLB_IVT | 3ull << 60 | (uint64_t)DID << 32, 8);
	while (viommu_vtd_poll(w->d->unit))
		sched_yield();
	assert_int_equal(vtd_peek(w->d, VTD_A, 0), VTD_DATA + VTD_PAGE_SIZE);
}

struct race {
	struct world *w;
	_Atomic bool stop;
	_Atomic uint64_t turns;
};

static void *fault_main(void *opaque)
{
	struct race *race = opaque;

	while (!race->stop)
		cause_fault(race->w);
	return NULL;
}

/* Not even a part of it: software would clear it there, and that would count for nothing. */
static void test_a_fault_does_not_get_into_the_page_while_it_is_opened(void **state)
{
	struct race race = {.w = *state};
	struct world *w = race.w;
	unsigned seen = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, fault_main, &race);
	for (unsigned i = 0; i < OPENINGS; i++) {
		clear_fault(w);
		if (!vtd_paged_open(&w->p)) {
			seen |= in_page(w, VTD_FSTS) & CAUSES;
			for (unsigned at = VTD_FRCD; at < VTD_FRCD + 8 * VTD_FRCD_SIZE; at += VTD_FRCD_SIZE)
				seen |= in_page(w, at + 12) & 1u << 31;
		}
		vtd_paged_close(&w->p);
	}
	race.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(seen, 0);
}

/* Once it cannot be done, the events that were held go out. */
static void test_a_page_that_is_not_opened_holds_no_events(void **state)
{
	struct race race = {.w = *state};
	struct world *w = race.w;
	pthread_t thread;

	unmask(w, VTD_FECTL);
	pthread_create(&thread, NULL, fault_main, &race);
	for (unsigned i = 0; i < OPENINGS; i++) {
		clear_fault(w);
		if (!vtd_paged_open(&w->p))
			vtd_paged_close(&w->p);
	}
	race.stop = true;
	pthread_join(thread, NULL);
	clear_fault(w);
	const unsigned before = w->d->interrupts;

	cause_fault(w);
	expect_interrupts(w, before + 1, MESSAGE);
}

/* A request is lost where it is not complete after many turns of the monitor. */
static void *request_main(void *opaque)
{
	struct race *race = opaque;
	struct world *w = race->w;
	unsigned i = 0;

	for (bool lost = false; i < REQUESTS && !lost; i++) {
		const uint64_t since = race->turns;

		vtd_queue_put_wait(w->d, i + 1);
		vtd_paged_write(&w->p, VTD_IQT, w->d->tail, 4);
		while (!lost && vtd_queue_status(w->d) != i + 1) {
			lost = race->turns - since > PATIENCE;
			sched_yield();
		}
		if (lost)
			break;
	}
	race->stop = true;
	return (void *)(uintptr_t)(REQUESTS - i);
}

static void test_no_request_is_lost(void **state)
{
	struct race race = {.w = *state};
	struct world *w = race.w;
	unsigned random = 1;
	void *left;
	pthread_t thread;

	pthread_create(&thread, NULL, request_main, &race);
	while (!race.stop) {
		random = random * 1103515245 + 12345;
		if (random >> 16 & 3)
			vtd_paged_look(&w->p);
		else if (random >> 16 & 4)
			vtd_paged_close(&w->p);
		else
			vtd_paged_open(&w->p);
		race.turns++;
		sched_yield();
	}
	pthread_join(thread, &left);
	assert_int_equal((uintptr_t)left, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_request_is_served_by_a_look),
		TEST(test_the_page_shows_all_registers),
		TEST(test_a_fault_is_seen_once_the_page_is_closed),
		TEST(test_a_masked_fault_interrupts_when_it_is_unmasked),
		TEST(test_an_event_goes_out_as_software_has_set_it_up_last),
		TEST(test_a_completion_event_waits_too),
		TEST(test_an_error_of_the_queue_waits_too),
		cmocka_unit_test(test_a_timeout_of_the_queue_waits_too),
		TEST(test_what_a_device_holds_up_completes_in_the_open_page),
		TEST(test_what_keeps_the_page_closed),
		TEST(test_a_closed_page_is_not_looked_at),
		TEST(test_accesses_that_leave_the_guest_find_the_same_memory),
		TEST(test_a_command_that_switches_all_off_is_seen),
		TEST(test_what_was_written_last_is_performed_when_the_page_is_closed),
		TEST(test_registers_of_64_bits_are_taken_by_halves_or_at_once),
		TEST(test_an_address_of_0_replaces_another_one),
		TEST(test_a_fault_does_not_get_into_the_page_while_it_is_opened),
		TEST(test_a_page_that_is_not_opened_holds_no_events),
		TEST(test_no_request_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
