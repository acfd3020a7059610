/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes against a remapper whose table is an array here, and a KVM that writes down what it is told: when messages are
 * resolved, what KVM's table holds, who serves an eventfd, and that no message is sent as it was before an
 * invalidation.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/kvm_record.h"
#include "tests/support/test.h"
#include "vmm/irqchip/route.h"
#include "vmm/layout/layout.h"
#include "vmm/util/loop.h"

enum { ENTRIES = 16, REQUESTER = 0x18, GENERATIONS = 5000 };

/* The guest's table: what data an entry gives; 0: blocked. Bits 7:0 of a message's data name the entry. */
static _Atomic uint32_t entries[ENTRIES];
static atomic_uint remaps, reports;

/* Data below this must not be sent any more. */
static _Atomic uint32_t oldest;
static atomic_bool too_old;

static void check_age(const struct msi_message *message)
{
	/* Time for an invalidation to overtake it, if it can. */
	sched_yield();
	if (message->data < atomic_load(&oldest))
		atomic_store(&too_old, true);
}

static int remap(void *opaque, uint16_t requester, const struct msi_message *in, struct msi_message *out,
		 uint32_t *index, bool report)
{
	(void)opaque;
	assert_int_equal(requester, REQUESTER);
	atomic_fetch_add(&remaps, 1);
	*index = in->data & 0xff;
	*out = (struct msi_message){in->address, atomic_load(&entries[*index])};
	if (out->data)
		return 0;
	atomic_fetch_add(&reports, report);
	return -EACCES;
}

static const struct irq_remapper_ops remapper_ops = {.remap = remap};

static struct irq_router router;
static struct loop *loop;

static int set_up(void **state)
{
	(void)state;
	kvm_record_reset();
	kvm.sending = check_age;
	memset(entries, 0, sizeof(entries));
	atomic_store(&oldest, 0);
	atomic_store(&remaps, 0);
	atomic_store(&reports, 0);
	assert_int_equal(irq_router_init(&router, -1), 0);
	router.remapper = (struct irq_remapper){.ops = &remapper_ops, .ioapic = REQUESTER};
	return loop_create(&loop);
}

static int tear_down(void **state) NO_OTHER_THREAD
{
	(void)state;
	assert_null(router.first);
	irq_router_fini(&router);
	loop_destroy(loop);
	return 0;
}

static struct irq_route *make_route(uint32_t entry)
{
	struct irq_route *route;

	assert_int_equal(irq_route_create(&router, REQUESTER, &route), 0);
	irq_route_set(route, (struct msi_message){0xfee00010, entry});
	return route;
}

static void stop_loop(void *opaque)
{
	loop_stop(opaque);
}

/* Everything that waits, and what that brings about. */
static void run_loop(void)
{
	struct loop_work last = {.run = stop_loop, .opaque = loop};

	for (unsigned i = 0; i < 3; i++) {
		loop_post(loop, &last);
		assert_int_equal(loop_run(loop), 0);
	}
}

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void test_a_message_is_resolved_when_it_is_set(void **state)
{
	(void)state;
	entries[3] = 0x33;
	struct irq_route *route = make_route(3);

	assert_int_equal(remaps, 1);
	for (unsigned i = 0; i < 100; i++)
		assert_true(irq_route_raise(route));
	irq_route_set(route, (struct msi_message){0xfee00010, 3});
	assert_int_equal(remaps, 1);
	assert_int_equal(kvm.sent, 100);
	assert_int_equal(kvm.last.data, 0x33);
	/* No eventfd, no pin: KVM's table has nothing to do with it. */
	assert_int_equal(kvm.tables, 0);
	irq_route_clear(route);
	assert_false(irq_route_raise(route));
	assert_int_equal(kvm.sent, 100);
	irq_route_destroy(route);
}

static void test_a_blocked_message_is_reported_when_it_is_sent(void **state)
{
	struct irq_stats stats;

	(void)state;
	struct irq_route *route = make_route(5);

	irq_router_invalidate(&router, 0, UINT32_MAX);
	assert_int_equal(reports, 0);
	assert_false(irq_route_raise(route));
	assert_false(irq_route_raise(route));
	assert_int_equal(reports, 2);
	irq_router_stats(&router, &stats);
	assert_int_equal(stats.blocked, 2);
	/* What was not there before may be used without an invalidation. */
	entries[5] = 0x55;
	assert_true(irq_route_raise(route));
	assert_int_equal(kvm.last.data, 0x55);
	irq_route_destroy(route);
}

static void test_an_invalidation_resolves_the_routes_it_names(void **state)
{
	struct irq_route *routes[ENTRIES];
	struct irq_stats stats;

	(void)state;
	for (unsigned i = 0; i < ENTRIES; i++) {
		entries[i] = 0x40 + i;
		routes[i] = make_route(i);
	}
	atomic_store(&remaps, 0);
	for (unsigned i = 0; i < ENTRIES; i++)
		entries[i] += 0x100;
	irq_router_invalidate(&router, 4, 7);
	assert_int_equal(remaps, 4);
	for (unsigned i = 0; i < ENTRIES; i++) {
		assert_true(irq_route_raise(routes[i]));
		assert_int_equal(kvm.last.data, 0x40 + i + (i >= 4 && i <= 7 ? 0x100 : 0));
	}
	irq_router_invalidate(&router, 0, UINT32_MAX);
	assert_int_equal(remaps, 4 + ENTRIES);
	irq_router_stats(&router, &stats);
	assert_int_equal(stats.resolved, 4 + ENTRIES);
	assert_int_equal(stats.invalidations, 2);
	assert_int_equal(stats.changed, ENTRIES + ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++)
		irq_route_destroy(routes[i]);
}

static void test_a_commit_is_one_ioctl_and_only_for_changes(void **state)
{
	struct irq_route *routes[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		entries[i] = 0x40 + i;
		assert_int_equal(irq_route_create(&router, REQUESTER, &routes[i]), 0);
		irq_route_set_pin(routes[i], i);
		irq_route_set(routes[i], (struct msi_message){0xfee00010, i});
	}
	assert_int_equal(kvm.tables, 3);
	irq_router_invalidate(&router, 0, UINT32_MAX);
	irq_router_commit(&router);
	assert_int_equal(kvm.tables, 3);
	entries[0] = entries[1] = 0x77;
	irq_router_invalidate(&router, 0, 0);
	irq_router_invalidate(&router, 1, 1);
	assert_int_equal(kvm.message[0].data, 0x40);
	irq_router_commit(&router);
	irq_router_commit(&router);
	assert_int_equal(kvm.tables, 4);
	assert_true(kvm.message[0].data == 0x77 && kvm.message[1].data == 0x77 && kvm.message[2].data == 0x42);
	/* What is blocked is not in the table. */
	entries[1] = 0;
	irq_router_invalidate(&router, 1, 1);
	irq_router_commit(&router);
	assert_true(kvm.routed[0] && !kvm.routed[1] && kvm.routed[2]);
	assert_int_equal(kvm.used, 2);
	for (unsigned i = 0; i < 3; i++)
		irq_route_destroy(routes[i]);
}

static void test_an_eventfd_goes_to_kvm_while_its_route_resolves(void **state)
{
	(void)state;
	entries[1] = 0x41;
	struct irq_route *route = make_route(1);
	const int fd = irq_route_fd(route, loop);

	assert_true(fd >= 0);
	assert_int_equal(irq_route_fd(route, loop), fd);
	assert_true(kvm_record_bound());
	assert_int_equal(kvm.message[LAYOUT_IOAPIC_PINS].data, 0x41);
	signal_fd(fd);
	run_loop();
	assert_int_equal(kvm.sent, 0); /* nobody here touched it */

	/* Blocked: unbound at once, and the loop reports. */
	entries[1] = 0;
	irq_router_invalidate(&router, 1, 1);
	assert_false(kvm_record_bound());
	irq_router_commit(&router);
	assert_false(kvm.routed[LAYOUT_IOAPIC_PINS]);
	run_loop();
	assert_int_equal(reports, 1);
	assert_int_equal(kvm.sent, 0);

	/* Allowed again: found out by a signal, which is sent; bound from then on. */
	entries[1] = 0x42;
	signal_fd(fd);
	run_loop();
	assert_int_equal(kvm.sent, 1);
	assert_true(kvm_record_bound());
	signal_fd(fd);
	run_loop();
	assert_int_equal(kvm.sent, 1);
	irq_route_destroy(route);
	assert_false(kvm_record_bound());
}

static void test_an_eventfd_keeps_signals_while_there_is_no_message(void **state)
{
	(void)state;
	entries[1] = 0x41;
	struct irq_route *route = make_route(1);
	const int fd = irq_route_fd(route, loop);
	const unsigned tables = kvm.tables;

	irq_route_clear(route);
	assert_false(kvm_record_bound());
	assert_false(irq_route_pending(route));
	signal_fd(fd);
	run_loop();
	assert_true(irq_route_pending(route));
	/* The same message as before: KVM's table is as it was. */
	irq_route_set(route, (struct msi_message){0xfee00010, 1});
	assert_true(kvm_record_bound());
	assert_int_equal(kvm.tables, tables);
	irq_route_clear(route);
	/* The loop may not take it either where the next message is blocked and then goes. */
	irq_route_set(route, (struct msi_message){0xfee00010, 2});
	irq_route_clear(route);
	run_loop();
	assert_true(irq_route_pending(route));
	assert_int_equal(reports, 0);
	irq_route_destroy(route);
}

static void test_an_eventfd_that_kvm_refuses_is_served_here(void **state)
{
	(void)state;
	kvm.bind_error = -EBUSY;
	entries[1] = 0x41;
	struct irq_route *route = make_route(1);
	const int fd = irq_route_fd(route, loop);

	signal_fd(fd);
	run_loop();
	assert_int_equal(kvm.sent, 1);
	irq_route_destroy(route);
}

static void test_gsis_end_and_come_back(void **state)
{
	(void)state;
	for (unsigned gsi = LAYOUT_IOAPIC_PINS; gsi < ROUTES_MAX; gsi++)
		assert_int_equal(routes_take(&router.table), gsi);
	assert_int_equal(routes_take(&router.table), -ENOSPC);
	struct irq_route *route = make_route(1);

	assert_int_equal(irq_route_fd(route, loop), -ENOSPC);
	irq_route_destroy(route);
	routes_put(&router.table, 77);
	assert_int_equal(routes_take(&router.table), 77);
}

static void test_without_a_remapper_only_the_window_interrupts(void **state)
{
	struct irq_route *route;

	(void)state;
	router.remapper.ops = NULL;
	assert_int_equal(irq_route_create(&router, REQUESTER, &route), 0);
	irq_route_set(route, (struct msi_message){0xfee01000, 0x4041});
	assert_true(irq_route_raise(route));
	assert_int_equal(kvm.last.data, 0x4041);
	irq_route_set(route, (struct msi_message){0x00001000, 0x4041});
	assert_false(irq_route_raise(route));
	irq_route_set(route, (struct msi_message){0x1fee01000, 0x4041});
	assert_false(irq_route_raise(route));
	irq_route_destroy(route);
}

static atomic_bool race_over;

static void *raise_forever(void *opaque)
{
	struct irq_route *route = opaque;

	while (!atomic_load(&race_over))
		irq_route_raise(route);
	return NULL;
}

static struct irq_route *moving;

/* Its owner sets and clears another route's message meanwhile, as a guest that masks and unmasks does. */
static void *mask_forever(void *opaque)
{
	(void)opaque;
	for (unsigned i = 0; !atomic_load(&race_over); i++) {
		irq_route_set(moving, (struct msi_message){0xfee00010, 2 + i % 2});
		irq_route_raise(moving);
		irq_route_clear(moving);
	}
	return NULL;
}

/*
 * Every message carries the generation that it was resolved in; one from before an invalidation that is over must not
 * come.
 */
static void test_no_old_message_after_an_invalidation(void **state)
{
	pthread_t raiser, masker;

	(void)state;
	for (unsigned i = 0; i < ENTRIES; i++)
		entries[i] = 1;
	struct irq_route *route = make_route(1);

	moving = make_route(2);
	const int fd = irq_route_fd(moving, loop);

	assert_true(fd >= 0);
	assert_int_equal(pthread_create(&raiser, NULL, raise_forever, route), 0);
	assert_int_equal(pthread_create(&masker, NULL, mask_forever, NULL), 0);
	for (uint32_t generation = 2; generation < GENERATIONS; generation++) {
		const unsigned sent = kvm.sent;

		while (kvm.sent == sent)
			sched_yield();
		for (unsigned i = 0; i < ENTRIES; i++)
			atomic_store(&entries[i], generation);
		irq_router_invalidate(&router, 1, 3);
		atomic_store(&oldest, generation);
		irq_router_commit(&router);
	}
	atomic_store(&race_over, true);
	pthread_join(raiser, NULL);
	pthread_join(masker, NULL);
	assert_false(too_old);
	run_loop();
	irq_route_destroy(route);
	irq_route_destroy(moving);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_message_is_resolved_when_it_is_set),
		TEST(test_a_blocked_message_is_reported_when_it_is_sent),
		TEST(test_an_invalidation_resolves_the_routes_it_names),
		TEST(test_a_commit_is_one_ioctl_and_only_for_changes),
		TEST(test_an_eventfd_goes_to_kvm_while_its_route_resolves),
		TEST(test_an_eventfd_keeps_signals_while_there_is_no_message),
		TEST(test_an_eventfd_that_kvm_refuses_is_served_here),
		TEST(test_gsis_end_and_come_back),
		TEST(test_without_a_remapper_only_the_window_interrupts),
		TEST(test_no_old_message_after_an_invalidation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
