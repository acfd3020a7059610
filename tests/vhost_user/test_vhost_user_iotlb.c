/* SPDX-License-Identifier: BSD-2-Clause */
/* The back end's device IOTLB as the front end serves it: misses, invalidations, faults. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/walk.h"

#include "tests/support/vhu_front.h"

static void miss(struct front *f, uint64_t iova, unsigned access)
{
	back_iotlb(&f->back, VHU_IOTLB_MISS, iova, access, 0);
	front_pump(f);
}

static void start(struct front *f)
{
	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	front_connect(f);
	front_pump(f);
	assert_int_equal(front_start(f, 1), 0);
	front_pump(f);
	assert_int_equal(f->started, 1);
}

static void run(struct front *f)
{
	start(f);
	if (!f->config.shared_table)
		front_ask(f);
}

static int poll_inval(struct front *f)
{
	return viommu_inval_poll(f->inval);
}

static void detach(struct front *f)
{
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
}

static void attach(struct front *f)
{
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	viommu_inval_begin(f->inval);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
}

/* Time passes until the back end has got so many updates. */
static void wait_for_updates(struct front *f, unsigned count)
{
	struct pollfd poll_fd = {.fd = viommu_vhu_fd(f->vhu), .events = POLLIN};

	while (f->back.updates < count) {
		assert_int_equal(poll(&poll_fd, 1, 60000), 1);
		front_pump(f);
	}
}

static void expect_fault(struct front *f, uint64_t iova, unsigned access, enum viommu_fault_reason reason)
{
	struct viommu_fault fault;

	assert_int_equal(viommu_fault_next(f->v, &fault), 0);
	assert_int_equal(fault.endpoint, 0x18);
	assert_int_equal(fault.iova.value, iova);
	assert_int_equal(fault.access, access);
	assert_int_equal(fault.reason, reason);
}

static void expect_no_fault(struct front *f)
{
	struct viommu_fault fault;

	assert_int_equal(viommu_fault_next(f->v, &fault), -EAGAIN);
}

static void test_miss_is_answered(void **state)
{
	struct front *f = *state;
	struct viommu_vhu_stats stats = {.size = sizeof(struct viommu_vhu_stats)};

	run(f);
	front_map(f, 0x200000, 0x1000, 0x40000, VIOMMU_READ);
	miss(f, 0x200123, VIOMMU_READ);
	assert_int_equal(f->back.updates, 1);
	assert_int_equal(f->back.last_update.iova, 0x200000);
	assert_int_equal(f->back.last_update.size, 0x1000);
	assert_int_equal(f->back.last_update.user_address, 0x40000);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_RO);
	viommu_vhu_stats_get(f->vhu, &stats);
	assert_int_equal(stats.misses, 2); /* the ring's was the first */
	assert_int_equal(stats.updates, 2);
	expect_no_fault(f);
}

/* As much as the guest gave, whatever was asked for; what it did not give is a fault, and there is no answer. */
static void test_rights_are_the_guests(void **state)
{
	struct front *f = *state;

	run(f);
	front_map(f, 0x200000, 0x1000, 0x40000, VIOMMU_READ);
	front_map(f, 0x201000, 0x1000, 0x50000, VIOMMU_WRITE);
	front_map(f, 0x202000, 0x1000, 0x60000, VIOMMU_READ | VIOMMU_WRITE);
	miss(f, 0x202000, VIOMMU_READ);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_RW);
	miss(f, 0x201000, VIOMMU_WRITE);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_WO);
	assert_int_equal(f->back.last_update.iova, 0x201000);
	expect_no_fault(f);
	miss(f, 0x200010, VIOMMU_WRITE);
	expect_fault(f, 0x200010, VIOMMU_WRITE, VIOMMU_FAULT_PERMISSION);
	miss(f, 0x200010, VIOMMU_WRITE | VIOMMU_READ);
	expect_fault(f, 0x200010, VIOMMU_READ | VIOMMU_WRITE, VIOMMU_FAULT_PERMISSION);
	miss(f, 0x777777, VIOMMU_READ);
	expect_fault(f, 0x777777, VIOMMU_READ, VIOMMU_FAULT_NOT_MAPPED);
	assert_int_equal(f->back.updates, 2);
	assert_int_equal(f->lost, 0);
}

/* Only where it asks for both, and never more than that. */
static void test_writing_may_imply_reading(void **state)
{
	struct front *f = *state;

	f->config.write_implies_read = true;
	front_recreate(f);
	run(f);
	front_map(f, 0x200000, 0x1000, 0x40000, VIOMMU_READ);
	front_map(f, 0x201000, 0x1000, 0x50000, VIOMMU_WRITE);
	miss(f, 0x201000, VIOMMU_WRITE | VIOMMU_READ);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_RW);
	miss(f, 0x201000, VIOMMU_WRITE);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_WO);
	expect_no_fault(f);
	miss(f, 0x201000, VIOMMU_READ);
	expect_fault(f, 0x201000, VIOMMU_READ, VIOMMU_FAULT_PERMISSION);
	miss(f, 0x200000, VIOMMU_WRITE | VIOMMU_READ);
	expect_fault(f, 0x200000, VIOMMU_WRITE, VIOMMU_FAULT_PERMISSION);
}

/* With a table it is put there, once; it must not be looked for again and again. */
static void test_writing_may_imply_reading_in_a_table(void **state)
{
	struct front *f = *state;
	uint64_t status = 7;

	f->config.write_implies_read = f->config.shared_table = true;
	front_recreate(f);
	run(f);
	front_map(f, 0x201000, 0x1000, 0x50000, VIOMMU_WRITE);
	back_iotlb(&f->back, VHU_IOTLB_MISS, 0x201000, VHU_ACCESS_RW, VHU_NEED_REPLY);
	front_pump(f);
	assert_true(back_request_answer(&f->back, &status));
	assert_int_equal(status, 0);
	expect_no_fault(f);
}

/* A mapping may become wider without an invalidation: the next miss gets the new rights. */
static void test_rights_can_be_raised(void **state)
{
	struct front *f = *state;

	run(f);
	front_map(f, 0x200000, 0x1000, 0x40000, VIOMMU_READ);
	miss(f, 0x200000, VIOMMU_READ);
	front_unmap(f, 0x200000, 0x1000);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
	front_map(f, 0x200000, 0x1000, 0x40000, VIOMMU_READ | VIOMMU_WRITE);
	miss(f, 0x200000, VIOMMU_WRITE);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_RW);
}

static void test_run_ends_where_memory_with_a_descriptor_ends(void **state)
{
	static uint8_t private[VHU_PAGE];
	struct front *f = *state;

	run(f);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){VHU_RAM}, VHU_PAGE, private, -1, 0), 0);
	front_map(f, 0x1000000, 2 * VHU_RAM, 0, 3);
	miss(f, 0x1000000, VIOMMU_READ);
	assert_in_range(f->back.last_update.size, VHU_PAGE, VHU_RAM);
	assert_true(f->back.last_update.user_address + f->back.last_update.size <= VHU_RAM);
	miss(f, 0x1000000 + VHU_RAM, VIOMMU_READ); /* without descriptor */
	miss(f, 0x1000000 + VHU_RAM + VHU_PAGE, VIOMMU_READ);
	assert_int_equal(f->back.updates, 1);
}

/* A miss is answered with all that lies around it and is alike. */
static void test_whole_run_is_given(void **state)
{
	struct front *f = *state;

	run(f);
	for (unsigned i = 0; i < 16; i++)
		front_map(f, 0x200000 + i * 0x1000ull, 0x1000, 0x40000 + i * 0x1000ull, i < 12 ? 1 : 3);
	miss(f, 0x205678, VIOMMU_READ);
	assert_int_equal(f->back.last_update.iova, 0x200000);
	assert_int_equal(f->back.last_update.size, 0xc000);
	assert_int_equal(f->back.last_update.user_address, 0x40000);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_RO);
	miss(f, 0x20d000, VIOMMU_READ);
	assert_int_equal(f->back.last_update.iova, 0x20c000);
	assert_int_equal(f->back.last_update.size, 0x4000);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_RW);
}

static void test_bypass(void **state)
{
	struct front *f = *state;

	run(f);
	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(poll_inval(f), -EAGAIN);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
	miss(f, 0x12345, VIOMMU_WRITE);
	assert_int_equal(f->back.last_update.user_address, f->back.last_update.iova);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_RW);
}

static void test_invalidation_waits_for_the_back_end(void **state)
{
	struct front *f = *state;

	run(f);
	front_map(f, 0x200000, 0x3000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x3000);
	assert_int_equal(poll_inval(f), -EAGAIN);
	viommu_vhu_serve(f->vhu);
	assert_int_equal(poll_inval(f), -EAGAIN); /* it has not answered */
	back_serve(&f->back);
	assert_int_equal(f->back.last_invalidate.iova, 0x200000);
	assert_int_equal(f->back.last_invalidate.size, 0x3000);
	assert_int_equal(poll_inval(f), -EAGAIN); /* it has, and nobody has read it */
	viommu_vhu_serve(f->vhu);
	assert_int_equal(poll_inval(f), 0);
}

/* What concerns everything has a length that fits into 64 bits. */
static void test_everything(void **state)
{
	struct front *f = *state;

	run(f);
	detach(f);
	assert_int_equal(f->back.last_invalidate.iova, 0);
	assert_int_equal(f->back.last_invalidate.size, UINT64_MAX);
	miss(f, 0x10000, VIOMMU_READ);
	expect_fault(f, 0x10000, VIOMMU_READ, VIOMMU_FAULT_BLOCKED);
	attach(f);
}

/* A back end that asks while it is asked: its miss is served although its acknowledgement is awaited. */
static void test_miss_is_served_while_an_acknowledgement_is_awaited(void **state)
{
	struct front *f = *state;

	run(f);
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_map(f, 0x300000, 0x1000, 0x50000, 3);
	front_unmap(f, 0x200000, 0x1000);
	back_iotlb(&f->back, VHU_IOTLB_MISS, 0x300000, VIOMMU_READ, 0);
	viommu_vhu_serve(f->vhu); /* the back end has not looked at its socket yet */
	assert_int_equal(poll_inval(f), -EAGAIN);
	back_serve(&f->back);
	assert_int_equal(f->back.updates, 1);
	assert_int_equal(f->back.last_update.iova, 0x300000);
	viommu_vhu_serve(f->vhu);
	assert_int_equal(poll_inval(f), 0);
}

static bool acks_nothing(struct back *back, struct channel_message *message)
{
	if (message->header.request != VHU_IOTLB_MSG)
		return false;
	if (message->iotlb.type == VHU_IOTLB_INVALIDATE) {
		back->invalidates++;
		back->last_invalidate = message->iotlb;
	}
	return true;
}

/* Many at a time become one of everything, and all of them are complete with its acknowledgement, not before. */
static void test_invalidations_are_bounded(void **state)
{
	enum { COUNT = 500 };
	struct front *f = *state;
	struct viommu_inval *invals[COUNT];
	struct channel_message ack = {.header = {.request = VHU_IOTLB_MSG}};
	unsigned first;

	run(f);
	f->back.hook = acks_nothing;
	for (unsigned i = 0; i < COUNT; i++) {
		uint64_t at = 0x200000 + i * 0x1000ull;

		assert_int_equal(viommu_inval_create(f->v, &invals[i]), 0);
		front_map(f, at, 0x1000, 0x40000, 3);
		assert_int_equal(viommu_unmap(f->domain, (struct viommu_iova){at}, (struct viommu_iova){at + 0xfff},
					      invals[i], NULL),
				 0);
		viommu_inval_begin(invals[i]);
	}
	front_pump(f);
	first = f->back.invalidates;
	assert_in_range(first, 1, 100);
	assert_int_not_equal(f->back.last_invalidate.size, UINT64_MAX);
	for (unsigned i = 0; i < first; i++)
		back_reply_u64(&f->back, &ack, 0);
	front_pump(f);
	assert_int_equal(f->back.invalidates, first + 1);
	assert_int_equal(f->back.last_invalidate.iova, 0);
	assert_int_equal(f->back.last_invalidate.size, UINT64_MAX);
	assert_int_equal(viommu_inval_poll(invals[0]), 0);
	assert_int_equal(viommu_inval_poll(invals[COUNT - 1]), -EAGAIN);
	back_reply_u64(&f->back, &ack, 0);
	front_pump(f);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(viommu_inval_poll(invals[i]), 0);
		viommu_inval_destroy(invals[i]);
	}
	f->back.hook = NULL;
}

/*
 * Nobody knows of translations who was told none: while a back end starts, and perhaps is slow, no unmap waits for it.
 */
static void test_nothing_to_wait_for(void **state)
{
	struct front *f = *state;

	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	assert_int_equal(poll_inval(f), 0); /* not connected */
	front_connect(f);
	front_pump(f);
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	assert_int_equal(poll_inval(f), 0); /* features not set */
	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	assert_int_equal(front_start(f, 1), 0);
	front_pump(f);
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	assert_int_equal(poll_inval(f), 0); /* it has not asked for anything */
	assert_int_equal(f->back.invalidates, 0);
	front_ask(f);
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	assert_int_equal(poll_inval(f), -EAGAIN);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
	assert_int_equal(f->back.invalidates, 1);
}

static void test_lost_connection_acknowledges(void **state)
{
	struct front *f = *state;

	run(f);
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	assert_int_equal(poll_inval(f), -EAGAIN);
	back_close(&f->back);
	front_pump(f);
	assert_int_equal(f->lost, 1);
	assert_int_equal(poll_inval(f), 0);
	/* The next back end knows nothing, and is told of what comes then. */
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->started, 2);
	front_ask(f);
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	assert_int_equal(poll_inval(f), -EAGAIN);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
}

static void test_memory_that_goes(void **state)
{
	struct front *f = *state;

	run(f);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){0}, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(poll_inval(f), -EAGAIN);
	front_pump(f);
	assert_int_equal(f->back.last_invalidate.size, UINT64_MAX);
	assert_int_equal(poll_inval(f), 0);
}

static void test_access_fail_is_a_fault(void **state)
{
	struct front *f = *state;
	uint64_t status = 9;

	run(f);
	front_map(f, 0x200000, 0x1000, 0x40000, VIOMMU_READ);
	back_iotlb(&f->back, VHU_IOTLB_ACCESS_FAIL, 0x200888, VIOMMU_WRITE, VHU_NEED_REPLY);
	front_pump(f);
	expect_fault(f, 0x200888, VIOMMU_WRITE, VIOMMU_FAULT_PERMISSION);
	assert_true(back_request_answer(&f->back, &status));
	assert_int_equal(status, 0);
	back_iotlb(&f->back, VHU_IOTLB_ACCESS_FAIL, 0x400000, VIOMMU_READ, 0);
	front_pump(f);
	expect_fault(f, 0x400000, VIOMMU_READ, VIOMMU_FAULT_NOT_MAPPED);
	assert_false(back_request_answer(&f->back, &status));
	/* What the guest allows is no fault, whatever the back end says. */
	back_iotlb(&f->back, VHU_IOTLB_ACCESS_FAIL, 0x200888, VIOMMU_READ, 0);
	front_pump(f);
	expect_no_fault(f);
}

static void test_faults_are_bounded(void **state)
{
	struct front *f = *state;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	run(f);
	for (unsigned i = 0; i < 2000; i++) {
		back_iotlb(&f->back, i & 1 ? VHU_IOTLB_ACCESS_FAIL : VHU_IOTLB_MISS, 0x900000, VIOMMU_READ, 0);
		if (i % 50 == 0)
			front_pump(f);
	}
	front_pump(f);
	viommu_stats_get(f->v, &stats);
	/* 256 in a second; the test may be slow. */
	assert_in_range(stats.faults, 100, 1999);
	assert_int_equal(f->lost, 0);
}

static void test_miss_with_need_reply(void **state)
{
	struct front *f = *state;
	uint64_t status = 9;

	run(f);
	back_iotlb(&f->back, VHU_IOTLB_MISS, 0x10000, VIOMMU_READ, VHU_NEED_REPLY);
	front_pump(f);
	assert_int_equal(f->back.updates, 1);
	assert_true(back_request_answer(&f->back, &status));
	assert_int_equal(status, 0);
}

static bool acks_nothing_and_counts(struct back *back, struct channel_message *message)
{
	if (message->header.request != VHU_IOTLB_MSG)
		return false;
	back->updates += message->iotlb.type == VHU_IOTLB_UPDATE;
	back->invalidates += message->iotlb.type == VHU_IOTLB_INVALIDATE;
	return true;
}

/*
 * A back end that asks and asks, and acknowledges nothing: no more than so many answers are under way, and none is
 * lost.
 */
static void test_misses_are_bounded(void **state)
{
	enum { COUNT = 600 };
	struct front *f = *state;
	struct channel_message ack = {.header = {.request = VHU_IOTLB_MSG}};
	unsigned answered;

	run(f);
	f->back.hook = acks_nothing_and_counts;
	for (unsigned i = 0; i < COUNT; i++)
		back_iotlb(&f->back, VHU_IOTLB_MISS, 0x10000, VIOMMU_READ, 0);
	for (unsigned i = 0; i < 100; i++) {
		channel_flush(&f->back.requests);
		front_pump(f);
	}
	answered = f->back.updates;
	assert_in_range(answered, 64, 300);
	assert_int_equal(f->lost, 0);
	for (unsigned acked = 0; acked < f->back.updates + f->back.invalidates; acked++) {
		back_reply_u64(&f->back, &ack, 0);
		channel_flush(&f->back.requests);
		front_pump(f);
	}
	assert_int_equal(f->back.updates, COUNT);
	f->back.hook = NULL;
}

static bool refuses_updates(struct back *back, struct channel_message *message)
{
	if (message->header.request != VHU_IOTLB_MSG || message->iotlb.type != VHU_IOTLB_UPDATE)
		return false;
	back_reply_u64(back, message, 1);
	return true;
}

static void test_refused_update_is_its_own_affair(void **state)
{
	struct front *f = *state;

	run(f);
	f->back.hook = refuses_updates;
	for (unsigned i = 0; i < 50; i++)
		miss(f, 0x10000, VIOMMU_READ);
	assert_int_equal(f->lost, 0);
	assert_int_equal(f->lines, 10);
	f->back.hook = NULL;
}

/*
 * DPDK's back end takes an update for known when it has an entry with the same first address: a run that has grown, or
 * may do more, is told in another way.
 */
static void test_run_that_has_grown(void **state)
{
	struct front *f = *state;

	run(f);
	front_map(f, 0x200000, 0x2000, 0x40000, 1);
	miss(f, 0x200000, VIOMMU_READ);
	assert_int_equal(f->back.last_update.size, 0x2000);
	front_map(f, 0x202000, 0x2000, 0x42000, 1);
	miss(f, 0x202123, VIOMMU_READ);
	assert_int_equal(f->back.last_update.iova, 0x202000);
	assert_int_equal(f->back.last_update.size, 0x2000);
	assert_int_equal(f->back.last_update.user_address, 0x42000);
	assert_int_equal(f->back.invalidates, 0);
	/* It has been told so, and does not know: nothing that it thinks it knows is to be in the way. */
	miss(f, 0x202456, VIOMMU_READ);
	assert_int_equal(f->back.invalidates, 1);
	assert_int_equal(f->back.last_invalidate.iova, 0x202000);
	assert_int_equal(f->back.last_invalidate.size, 0x1000);
	assert_int_equal(f->back.last_update.iova, 0x202000);
	miss(f, 0x200456, VIOMMU_READ);
	assert_int_equal(f->back.invalidates, 2);
	assert_int_equal(f->back.last_update.iova, 0x200000);
	assert_int_equal(f->back.last_update.size, 0x4000);
	/* After an invalidation it is new again. */
	front_unmap(f, 0x200000, 0x4000);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
	front_map(f, 0x200000, 0x4000, 0x40000, 1);
	miss(f, 0x203000, VIOMMU_READ);
	assert_int_equal(f->back.last_update.iova, 0x200000);
	assert_int_equal(f->back.invalidates, 3);
	assert_int_equal(f->lost, 0);
}

static void test_maps_are_pushed(void **state)
{
	struct front *f = *state;

	f->config.push_maps = true;
	front_recreate(f);
	run(f);
	front_map(f, 0x200000, 0x1000, 0x40000, 1);
	front_pump(f);
	assert_int_equal(f->back.updates, 1);
	front_map(f, 0x201000, 0x2000, 0x41000, 1);
	front_pump(f);
	assert_int_equal(f->back.updates, 2);
	assert_int_equal(f->back.last_update.iova,
			 0x201000); /* what was mapped now, and not once more what lies before */
	assert_int_equal(f->back.last_update.size, 0x2000);
	assert_int_equal(f->back.last_update.access, VHU_ACCESS_RO);
	front_map(f, 0x300000, 0x1000, 0x40000, 0);         /* without rights */
	front_map(f, 0x301000, 0x1000, VHU_RAM * 16ull, 3); /* without memory */
	front_pump(f);
	assert_int_equal(f->back.updates, 2);
	expect_no_fault(f);
}

/* Its bus mastering is off, and what it did is over. */
static void pause_device(struct front *f)
{
	viommu_endpoint_pause(f->endpoint);
	assert_int_equal(viommu_quiesce(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
}

/* The descriptor says at once that there is something to do, long before any deadline. */
static void resume_device(struct front *f)
{
	struct pollfd poll_fd = {.fd = viommu_vhu_fd(f->vhu), .events = POLLIN};

	front_pump(f);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	viommu_endpoint_resume(f->endpoint);
	assert_int_equal(poll(&poll_fd, 1, 0), 1);
}

/* A miss waits until the device may do DMA, and is no fault meanwhile. */
static void test_no_translation_while_dma_is_off(void **state)
{
	struct front *f = *state;

	run(f);
	pause_device(f);
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	miss(f, 0x200000, VIOMMU_READ);
	miss(f, 0x10000, VIOMMU_READ);
	assert_int_equal(f->back.updates, 0);
	expect_no_fault(f);
	resume_device(f);
	wait_for_updates(f, 3); /* of the rings, too, which it is told unasked */
	assert_int_equal(f->back.last_update.iova, 0x10000);
}

/*
 * DPDK's back end does not ask for rings whose translation was taken away: it waits until it is told. They are one run
 * here, and so one update. Other invalidations have none.
 */
static void test_rings_are_told_again(void **state)
{
	struct front *f = *state;

	run(f);
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
	assert_int_equal(f->back.updates, 0);
	viommu_vhu_flush(f->vhu);
	front_pump(f);
	assert_int_equal(f->back.updates, 1);
	assert_int_equal(f->back.last_update.iova, 0x10000);
	assert_int_equal(f->back.last_update.size, 0x6000);
	f->back.updates = 0;
	detach(f);
	assert_int_equal(f->back.updates, 0);
	attach(f);
	assert_int_equal(f->back.updates, 1);
	/* They move before anybody looks. */
	front_unmap(f, 0x10000, 0x6000);
	front_map(f, 0x10000, 0x6000, 0x20000, 3);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
	assert_int_equal(f->back.updates, 2);
	assert_int_equal(f->back.last_update.user_address, 0x20000);
	/* Nobody is told any more of rings that were given back. */
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	front_pump(f);
	assert_int_equal(f->stopped, 1);
	f->back.updates = 0;
	viommu_vhu_flush(f->vhu);
	front_pump(f);
	assert_int_equal(f->back.updates, 0);
	expect_no_fault(f);
}

static const struct front *wanting;

static bool wants_nothing(void *opaque, struct viommu_iova iova, unsigned access)
{
	(void)access;
	assert_ptr_equal(opaque, wanting);
	assert_int_equal(iova.value, 0x200000);
	return false;
}

/* The device has done with the address: nothing is reported, and nothing told. */
static void test_a_miss_that_nobody_needs_is_no_fault(void **state)
{
	struct front *f = *state;
	struct viommu_vhu_ops ops = *f->config.ops;

	wanting = f;
	ops.wants = wants_nothing;
	f->config.ops = &ops;
	front_recreate(f);
	run(f);
	miss(f, 0x200000, VIOMMU_READ);
	expect_no_fault(f);
	assert_int_equal(f->back.updates, 0);
}

static void test_rings_are_told_again_when_dma_is_on(void **state)
{
	struct front *f = *state;

	run(f);
	pause_device(f);
	viommu_vhu_flush(f->vhu);
	front_pump(f);
	assert_int_equal(f->back.updates, 0);
	resume_device(f);
	wait_for_updates(f, 1);
	assert_int_equal(f->back.last_update.iova, 0x10000);
}

static void test_flush(void **state)
{
	struct front *f = *state;

	run(f);
	viommu_vhu_flush(f->vhu);
	front_pump(f);
	assert_int_equal(f->back.invalidates, 1);
	assert_int_equal(f->back.last_invalidate.size, UINT64_MAX);
	assert_int_equal(f->lost, 0);
	/* It takes no part in the invalidations that somebody waits for, and does not hold them up. */
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	viommu_vhu_flush(f->vhu);
	assert_int_equal(poll_inval(f), -EAGAIN);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
}

/* A guest that changes its table, and invalidates, just when it is read; `changes` times, and then no more. */
struct changeable {
	struct front *f;
	struct viommu_domain *domain;
	struct viommu_inval *invals[40];
	unsigned walks, changes;
};

static int walk(void *opaque, const struct memory *memory, uint64_t iova, unsigned access, struct walk_result *result)
{
	struct changeable *c = opaque;
	struct range page = {0x200000, 0x200fff};

	(void)memory;
	*result = (struct walk_result){.reason = VIOMMU_FAULT_NOT_MAPPED};
	if (!range_has(page, iova))
		return -EFAULT;
	unsigned turn = c->walks++;

	*result = (struct walk_result){.iova = page, .gpa = 0x40000 + turn * 0x1000ull, .access = access};
	if (turn < c->changes) {
		assert_int_equal(viommu__domain_evict(c->domain, page, false, c->invals[turn]), 0);
		viommu_inval_begin(c->invals[turn]);
	}
	return 0;
}

static const struct walk_ops walk_ops = {.walk = walk};

static void move_to(struct front *f, struct viommu_domain *domain)
{
	assert_int_equal(viommu_attach(f->endpoint, domain, f->inval), 0);
	viommu_inval_begin(f->inval);
	front_pump(f);
	assert_int_equal(poll_inval(f), 0);
}

/* An update that an invalidation has overtaken is never sent: the back end would keep it for ever. */
static void check_changes(struct front *f, unsigned changes)
{
	struct changeable c = {.f = f, .changes = changes};

	run(f);
	assert_int_equal(viommu__domain_create_walked(f->v, &walk_ops, &c, &c.domain), 0);
	for (unsigned i = 0; i < changes; i++)
		assert_int_equal(viommu_inval_create(f->v, &c.invals[i]), 0);
	move_to(f, c.domain);
	back_iotlb(&f->back, VHU_IOTLB_MISS, 0x200000, VIOMMU_READ, 0);
	viommu_vhu_serve(f->vhu);
	assert_in_range(c.walks, 1, 8); /* and does not go round for as long as the guest likes */
	front_pump(f);
	assert_int_equal(f->back.updates, 1);
	assert_true(f->back.last_update.user_address >= 0x40000 + changes * 0x1000ull);
	assert_int_equal(f->back.invalidates, 1 + changes);
	for (unsigned i = 0; i < changes; i++) {
		assert_int_equal(viommu_inval_poll(c.invals[i]), 0);
		viommu_inval_destroy(c.invals[i]);
	}
	move_to(f, f->domain);
	viommu_domain_destroy(c.domain);
}

/* Every page leads to one of memory; the connection ends while one is looked up, where a test says so. */
static bool cut_in_walk;

static int walk_and_cut(void *opaque, const struct memory *memory, uint64_t iova, unsigned access,
			struct walk_result *result)
{
	struct front *f = opaque;
	const struct range page = {iova & ~(VHU_PAGE - 1ull), iova | (VHU_PAGE - 1)};

	(void)memory;
	(void)access;
	*result = (struct walk_result){.iova = page, .gpa = page.first % VHU_RAM, .access = VIOMMU_READ | VIOMMU_WRITE};
	if (cut_in_walk)
		viommu_vhu_disconnect(f->vhu);
	return 0;
}

/* The guest tells of what it adds, which is pushed. */
static const struct walk_ops cutting_ops = {.walk = walk_and_cut, .told = true};

static void evict(struct front *f, struct viommu_domain *domain)
{
	assert_int_equal(viommu__domain_evict(domain, (struct range){0x200000, 0x200fff}, false, f->inval), 0);
	viommu_inval_begin(f->inval);
}

/* The connection ends while a map is being pushed: the next back end was told nothing, and has nothing to forget. */
static void test_a_push_ends_with_its_connection(void **state)
{
	struct front *f = *state;
	struct viommu_vhu_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
	struct viommu_domain *domain;

	f->config.push_maps = true;
	front_recreate(f);
	run(f);
	assert_int_equal(viommu__domain_create_walked(f->v, &cutting_ops, f, &domain), 0);
	move_to(f, domain);
	viommu_vhu_stats_get(f->vhu, &before);
	cut_in_walk = true;
	evict(f, domain);
	cut_in_walk = false;
	assert_false(viommu_vhu_ready(f->vhu));
	assert_int_equal(poll_inval(f), 0);
	viommu_vhu_stats_get(f->vhu, &after);
	assert_int_equal(after.updates, before.updates);
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->started, 2);
	evict(f, domain);
	assert_int_equal(poll_inval(f), 0);
	front_pump(f);
	assert_int_equal(f->back.invalidates, 0);
	move_to(f, f->domain);
	viommu_domain_destroy(domain);
}

static void test_stale_update_is_not_sent(void **state)
{
	check_changes(*state, 1);
}

static void test_update_waits_until_the_guest_rests(void **state)
{
	check_changes(*state, 30);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_miss_is_answered),
		TEST(test_rights_are_the_guests),
		TEST(test_writing_may_imply_reading),
		TEST(test_writing_may_imply_reading_in_a_table),
		TEST(test_rights_can_be_raised),
		TEST(test_run_ends_where_memory_with_a_descriptor_ends),
		TEST(test_whole_run_is_given),
		TEST(test_bypass),
		TEST(test_run_that_has_grown),
		TEST(test_maps_are_pushed),
		TEST(test_a_push_ends_with_its_connection),
		TEST(test_no_translation_while_dma_is_off),
		TEST(test_rings_are_told_again),
		TEST(test_rings_are_told_again_when_dma_is_on),
		TEST(test_a_miss_that_nobody_needs_is_no_fault),
		TEST(test_flush),
		TEST(test_stale_update_is_not_sent),
		TEST(test_update_waits_until_the_guest_rests),
		TEST(test_invalidation_waits_for_the_back_end),
		TEST(test_everything),
		TEST(test_miss_is_served_while_an_acknowledgement_is_awaited),
		TEST(test_invalidations_are_bounded),
		TEST(test_nothing_to_wait_for),
		TEST(test_lost_connection_acknowledges),
		TEST(test_memory_that_goes),
		TEST(test_access_fail_is_a_fault),
		TEST(test_faults_are_bounded),
		TEST(test_miss_with_need_reply),
		TEST(test_misses_are_bounded),
		TEST(test_refused_update_is_its_own_affair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
