/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When a thread begins to look for requests and when it ends to, by a clock that only the tests set; and a loop that
 * polls does all else that a loop does.
 */
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "vmm/util/polling.h"

enum { US = 1000, S = 1000000000, MANY = 100 };

/* What is polled, and what the policy asks of it. */
struct guest {
	struct loop *loop;
	struct polling polling;
	bool refuses, finds, stops; /* what it answers; it stops in the next look */
	unsigned begun, ended, looks, looks_after_end;
};

static uint64_t clock_ns;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	*now = (struct timespec){.tv_sec = (time_t)(clock_ns / S), .tv_nsec = (long)(clock_ns % S)};
	return 0;
}

static bool guest_begin(void *opaque)
{
	struct guest *guest = opaque;

	guest->begun++;
	return !guest->refuses;
}

static bool guest_look(void *opaque)
{
	struct guest *guest = opaque;

	guest->looks++;
	guest->looks_after_end += guest->ended;
	if (guest->stops)
		polling_stop(&guest->polling);
	return guest->finds;
}

static bool guest_end(void *opaque)
{
	struct guest *guest = opaque;

	guest->ended++;
	return true;
}

static const struct polling_ops guest_ops = {.begin = guest_begin, .look = guest_look, .end = guest_end};

static void create(struct guest *guest, enum polling_mode mode)
{
	*guest = (struct guest){0};
	clock_ns = 1000ull * S;
	assert_int_equal(loop_create(&guest->loop), 0);
	polling_init(&guest->polling, guest->loop, mode, &guest_ops, guest);
}

static void destroy(struct guest *guest)
{
	polling_fini(&guest->polling);
	loop_destroy(guest->loop);
}

static void stop_cb(void *opaque)
{
	loop_stop(opaque);
}

/* One round of the loop, with all work that was posted before it. */
static void run_round(struct loop *loop)
{
	struct loop_work stop = {.run = stop_cb, .opaque = loop};

	loop_post(loop, &stop);
	assert_int_equal(loop_run(loop), 0);
}

/* True: the loop polls. */
static bool polls(struct guest *guest)
{
	const unsigned before = guest->looks;

	run_round(guest->loop);
	return guest->looks > before;
}

static void run_rounds(struct guest *guest)
{
	for (unsigned i = 0; i < MANY; i++)
		run_round(guest->loop);
}

/* So many notifications, one this long after the other. */
static void call(struct guest *guest, unsigned count, uint64_t ns)
{
	for (unsigned i = 0; i < count; i++) {
		clock_ns += ns;
		polling_busy(&guest->polling);
	}
	run_round(guest->loop);
}

static void expect_stats(struct guest *guest, uint64_t begun, uint64_t found, uint64_t ns)
{
	struct polling_stats stats;

	polling_stats_get(&guest->polling, &stats);
	assert_int_equal(stats.begun, begun);
	assert_int_equal(stats.looks, guest->looks);
	assert_int_equal(stats.found, found);
	assert_int_equal(stats.ns, ns);
}

static void test_off_never_begins(void **state)
{
	struct guest guest;

	(void)state;
	create(&guest, POLLING_OFF);
	polling_ready(&guest.polling);
	call(&guest, MANY, US);
	assert_false(polls(&guest));
	assert_int_equal(guest.begun, 0);
	expect_stats(&guest, 0, 0, 0);
	destroy(&guest);
}

static void test_auto_begins_after_close_calls(void **state)
{
	struct guest guest;

	(void)state;
	create(&guest, POLLING_AUTO);
	polling_ready(&guest.polling);
	assert_false(polls(&guest));
	call(&guest, 2, US);
	assert_false(polls(&guest));
	call(&guest, MANY, US);
	assert_true(polls(&guest));
	assert_int_equal(guest.begun, 1);
	destroy(&guest);
}

static bool spare(void *opaque)
{
	return *(const bool *)opaque;
}

/* The host may move threads at any time; it is asked again a second later. */
static void test_auto_begins_where_there_is_a_processor_to_spare(void **state)
{
	struct guest guest;
	bool has_spare = false;

	(void)state;
	create(&guest, POLLING_AUTO);
	loop_set_spare(guest.loop, spare, &has_spare);
	call(&guest, MANY, US);
	assert_false(polls(&guest));
	has_spare = true;
	call(&guest, MANY, US);
	assert_false(polls(&guest));
	clock_ns += S;
	call(&guest, MANY, US);
	assert_true(polls(&guest));
	destroy(&guest);

	has_spare = false;
	create(&guest, POLLING_ALWAYS);
	loop_set_spare(guest.loop, spare, &has_spare);
	call(&guest, 1, US);
	assert_true(polls(&guest));
	destroy(&guest);
}

static void test_auto_does_not_begin_after_calls_that_are_far_apart(void **state)
{
	struct guest guest;

	(void)state;
	create(&guest, POLLING_AUTO);
	call(&guest, MANY, S);
	assert_int_equal(guest.begun, 0);
	/* What is close is counted from its beginning. */
	for (unsigned i = 0; i < MANY; i++) {
		call(&guest, 2, US);
		call(&guest, 1, S);
	}
	assert_int_equal(guest.begun, 0);
	destroy(&guest);
}

static void test_auto_ends_when_nothing_came_for_a_while(void **state)
{
	struct guest guest;

	(void)state;
	create(&guest, POLLING_AUTO);
	call(&guest, MANY, US);
	run_rounds(&guest);
	assert_int_equal(guest.ended, 0);
	clock_ns += S;
	run_rounds(&guest);
	assert_int_equal(guest.ended, 1);
	assert_int_equal(guest.looks_after_end, 0);
	assert_false(polls(&guest));
	expect_stats(&guest, 1, 0, S);
	call(&guest, MANY, US);
	assert_true(polls(&guest));
	assert_int_equal(guest.begun, 2);
	destroy(&guest);
}

static void test_auto_goes_on_while_something_comes(void **state)
{
	struct guest guest;

	(void)state;
	create(&guest, POLLING_AUTO);
	call(&guest, MANY, US);
	for (unsigned i = 0; i < MANY; i++) {
		clock_ns += S;
		guest.finds = true;
		run_round(guest.loop);
		guest.finds = false;
		run_rounds(&guest);
	}
	assert_int_equal(guest.ended, 0);
	assert_int_equal(guest.begun, 1);
	destroy(&guest);
}

/* Polls with success for so long, then in vain: for how many ms it goes on, of 30. */
static unsigned goes_on_for(uint64_t useful_ns)
{
	struct guest guest;
	unsigned ms = 0;

	create(&guest, POLLING_AUTO);
	call(&guest, MANY, US);
	clock_ns += useful_ns;
	guest.finds = true;
	run_round(guest.loop);
	guest.finds = false;
	for (; ms < 30; ms++) {
		clock_ns += 1000 * US;
		run_rounds(&guest);
		if (guest.ended)
			break;
	}
	destroy(&guest);
	return ms;
}

static void test_auto_is_in_vain_for_as_long_as_it_was_of_use(void **state)
{
	(void)state;
	assert_in_range(goes_on_for(US), 3, 4);
	assert_in_range(goes_on_for(9000 * US), 8, 9);
	assert_in_range(goes_on_for(S), 19, 20);
}

static void test_always_begins_when_ready_and_goes_on_until_stopped(void **state)
{
	struct guest guest;

	(void)state;
	create(&guest, POLLING_ALWAYS);
	assert_false(polls(&guest));
	polling_ready(&guest.polling);
	run_round(guest.loop);
	assert_true(polls(&guest));
	clock_ns += 1000ull * S;
	run_rounds(&guest);
	assert_true(polls(&guest));
	assert_int_equal(guest.begun, 1);
	polling_stop(&guest.polling);
	assert_false(polls(&guest));
	assert_int_equal(guest.ended, 0);
	expect_stats(&guest, 1, 0, 1000ull * S);
	/* A driver comes back. */
	polling_ready(&guest.polling);
	run_round(guest.loop);
	assert_true(polls(&guest));
	destroy(&guest);
}

static void test_always_begins_with_the_first_call_where_it_was_refused(void **state)
{
	struct guest guest;

	(void)state;
	create(&guest, POLLING_ALWAYS);
	guest.refuses = true;
	polling_ready(&guest.polling);
	run_round(guest.loop);
	assert_int_equal(guest.begun, 1);
	assert_false(polls(&guest));
	expect_stats(&guest, 0, 0, 0);
	guest.refuses = false;
	call(&guest, 1, S);
	assert_true(polls(&guest));
	destroy(&guest);
}

static void test_stop_takes_back_a_beginning(void **state)
{
	struct guest guest;

	(void)state;
	create(&guest, POLLING_ALWAYS);
	polling_ready(&guest.polling);
	polling_stop(&guest.polling);
	assert_false(polls(&guest));
	assert_int_equal(guest.begun, 0);
	destroy(&guest);
}

static void stops_in_a_look(bool finds)
{
	struct guest guest;

	create(&guest, POLLING_AUTO);
	call(&guest, MANY, US);
	guest.stops = true;
	guest.finds = finds;
	clock_ns += S;
	run_rounds(&guest);
	assert_int_equal(guest.looks, 1);
	assert_int_equal(guest.ended, 0);
	expect_stats(&guest, 1, finds, S);
	destroy(&guest);
}

static void test_stop_inside_a_look_is_the_last_one(void **state)
{
	(void)state;
	stops_in_a_look(false);
	stops_in_a_look(true);
}

static void test_stats_count_what_was_found_and_for_how_long(void **state)
{
	struct guest guest;
	unsigned found;

	(void)state;
	create(&guest, POLLING_ALWAYS);
	polling_ready(&guest.polling);
	run_round(guest.loop);
	guest.finds = true;
	run_round(guest.loop);
	found = guest.looks;
	assert_true(found > 0);
	guest.finds = false;
	clock_ns += 7 * US;
	run_rounds(&guest);
	expect_stats(&guest, 1, found, 7 * US);
	clock_ns += 3 * US;
	polling_stop(&guest.polling);
	clock_ns += S;
	expect_stats(&guest, 1, found, 10 * US);
	destroy(&guest);
}

/* Pollers of a loop that take one of themselves off, or add one, when they are called first. */
struct crowd;

struct member {
	struct loop_poller poller;
	struct crowd *crowd;
	struct member *removes, *adds;
	bool removed;
	unsigned calls;
};

enum { MEMBERS = 4 };

struct crowd {
	struct loop *loop;
	struct member member[MEMBERS];
};

static void member_poll(void *opaque)
{
	struct member *member = opaque;
	struct member *removes = member->removes, *adds = member->adds;

	member->calls++;
	assert_false(member->removed);
	member->removes = member->adds = NULL;
	if (removes) {
		loop_poller_remove(member->crowd->loop, &removes->poller);
		removes->removed = true;
	}
	if (adds)
		loop_poller_add(member->crowd->loop, &adds->poller);
}

static void crowd_create(struct crowd *crowd, unsigned added)
{
	assert_int_equal(loop_create(&crowd->loop), 0);
	for (unsigned i = 0; i < MEMBERS; i++) {
		struct member *member = &crowd->member[i];

		*member = (struct member){.poller = {.poll = member_poll, .opaque = member}, .crowd = crowd};
		if (i < added)
			loop_poller_add(crowd->loop, &member->poller);
	}
}

static unsigned round_of(struct crowd *crowd, const struct member *member)
{
	const unsigned before = member->calls;

	run_round(crowd->loop);
	return member->calls - before;
}

/* Whatever the order in which they are called: each one removes each, itself too. */
static void test_pollers_remove_each_other(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MEMBERS * MEMBERS; i++) {
		struct crowd crowd;
		struct member *remover = &crowd.member[i / MEMBERS], *removed = &crowd.member[i % MEMBERS];

		crowd_create(&crowd, MEMBERS);
		remover->removes = removed;
		run_round(crowd.loop);
		assert_null(remover->removes);
		assert_true(removed->removed);
		for (unsigned k = 0; k < MEMBERS; k++)
			assert_true(!round_of(&crowd, &crowd.member[k]) == (&crowd.member[k] == removed));
		/* It is there no more, which does no harm. */
		loop_poller_remove(crowd.loop, &removed->poller);
		loop_destroy(crowd.loop);
	}
}

static void test_a_poller_takes_the_place_of_another(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_create(&crowd, 2);
	crowd.member[1].removes = &crowd.member[0];
	crowd.member[1].adds = &crowd.member[2];
	run_round(crowd.loop);
	assert_int_equal(round_of(&crowd, &crowd.member[0]), 0);
	assert_true(round_of(&crowd, &crowd.member[1]) > 0);
	assert_true(round_of(&crowd, &crowd.member[2]) > 0);
	loop_destroy(crowd.loop);
}

/* A loop that polls, what wakes it, and a thread that stops it. */
struct busy_loop {
	struct loop *loop;
	struct loop_poller poller;
	struct loop_watch watch;
	struct loop_work work;
	_Atomic unsigned looks, served, worked;
};

static void busy_poll(void *opaque)
{
	struct busy_loop *busy = opaque;

	busy->looks++;
}

static void busy_ready(void *opaque, uint32_t events)
{
	struct busy_loop *busy = opaque;
	eventfd_t count;

	(void)events;
	assert_int_equal(eventfd_read(busy->watch.fd, &count), 0);
	busy->served++;
}

static void busy_work(void *opaque)
{
	struct busy_loop *busy = opaque;

	busy->worked++;
}

static void *run_busy_loop(void *opaque)
{
	struct busy_loop *busy = opaque;

	assert_int_equal(loop_run(busy->loop), 0);
	return NULL;
}

static void await(_Atomic unsigned *count, unsigned wanted)
{
	while (*count < wanted)
		usleep(100);
}

static void test_a_loop_that_polls_serves_all_else_and_ends(void **state)
{
	struct busy_loop busy = {.poller = {.poll = busy_poll, .opaque = &busy},
				 .watch = {.ready = busy_ready, .opaque = &busy},
				 .work = {.run = busy_work, .opaque = &busy}};
	pthread_t thread;

	(void)state;
	assert_int_equal(loop_create(&busy.loop), 0);
	busy.watch.fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(loop_add(busy.loop, &busy.watch, EPOLLIN), 0);
	loop_poller_add(busy.loop, &busy.poller);
	assert_int_equal(pthread_create(&thread, NULL, run_busy_loop, &busy), 0);
	for (unsigned i = 1; i <= MANY; i++) {
		assert_int_equal(eventfd_write(busy.watch.fd, 1), 0);
		await(&busy.served, i);
		loop_post(busy.loop, &busy.work);
		await(&busy.worked, i);
		await(&busy.looks, busy.looks + 1);
	}
	loop_stop(busy.loop);
	pthread_join(thread, NULL);
	/* And begins anew, without being woken first. */
	loop_poller_remove(busy.loop, &busy.poller);
	run_round(busy.loop);
	loop_remove(busy.loop, &busy.watch);
	close(busy.watch.fd);
	loop_destroy(busy.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off_never_begins),
		cmocka_unit_test(test_auto_begins_after_close_calls),
		cmocka_unit_test(test_auto_begins_where_there_is_a_processor_to_spare),
		cmocka_unit_test(test_auto_does_not_begin_after_calls_that_are_far_apart),
		cmocka_unit_test(test_auto_ends_when_nothing_came_for_a_while),
		cmocka_unit_test(test_auto_goes_on_while_something_comes),
		cmocka_unit_test(test_auto_is_in_vain_for_as_long_as_it_was_of_use),
		cmocka_unit_test(test_always_begins_when_ready_and_goes_on_until_stopped),
		cmocka_unit_test(test_always_begins_with_the_first_call_where_it_was_refused),
		cmocka_unit_test(test_stop_takes_back_a_beginning),
		cmocka_unit_test(test_stop_inside_a_look_is_the_last_one),
		cmocka_unit_test(test_stats_count_what_was_found_and_for_how_long),
		cmocka_unit_test(test_pollers_remove_each_other),
		cmocka_unit_test(test_a_poller_takes_the_place_of_another),
		cmocka_unit_test(test_a_loop_that_polls_serves_all_else_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
