/* SPDX-License-Identifier: BSD-2-Clause */
/* Eventfds that somebody else makes blocking, empties and fills: nobody waits. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viommu/event.h>

#include "tests/support/test.h"

enum { ALARM_S = 60, ROUNDS = 20000 };
static const uint64_t full = UINT64_MAX - 1;

/* Blocking, as if by somebody who has it, too. */
static int make(uint64_t count)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_true(fd >= 0);
	if (count)
		assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
	return fd;
}

static void test_signals_are_taken_once(void **state)
{
	int fd = make(0);

	(void)state;
	assert_int_equal(viommu_event_take(fd), -EAGAIN);
	assert_int_equal(viommu_event_signal(fd), 0);
	assert_int_equal(viommu_event_signal(fd), 0);
	assert_int_equal(viommu_event_take(fd), 0);
	assert_int_equal(viommu_event_take(fd), -EAGAIN);
	close(fd);
}

/* More than there is room for requests that have ended. */
static void test_each_signal_counts(void **state)
{
	int fd = make(0);
	uint64_t count;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(viommu_event_signal(fd), 0);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1000);
	close(fd);
}

static void test_a_full_counter_makes_nobody_wait(void **state)
{
	int fd = make(full);

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(viommu_event_signal(fd), 0);
	assert_int_equal(viommu_event_take(fd), 0);
	assert_int_equal(viommu_event_take(fd), -EAGAIN);
	close(fd);
}

static void test_what_is_no_eventfd_is_an_error(void **state)
{
	int pipes[2];

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(viommu_event_signal(pipes[1]), -EINVAL);
	assert_int_equal(viommu_event_take(pipes[0]), -EAGAIN);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(viommu_event_signal(pipes[1]), -EBADF);
	assert_int_equal(viommu_event_take(pipes[0]), -EBADF);
}

struct foe {
	int fd;
	_Atomic bool stop;
};

/* Fills it, empties it, and makes it blocking all the time. */
static void *fight(void *opaque)
{
	struct foe *foe = opaque;
	uint64_t count = full;

	while (!atomic_load(&foe->stop)) {
		fcntl(foe->fd, F_SETFL, O_NONBLOCK);
		if (write(foe->fd, &full, sizeof(full)) < 0 && read(foe->fd, &count, sizeof(count)) < 0)
			count = full;
		fcntl(foe->fd, F_SETFL, 0);
	}
	return NULL;
}

/* With read() and write() this hangs within a moment. */
static void test_a_foe_stops_nobody(void **state)
{
	struct foe foe = {.fd = make(0)};
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, fight, &foe), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		assert_int_equal(viommu_event_signal(foe.fd), 0);
		int err = viommu_event_take(foe.fd);

		assert_true(!err || err == -EAGAIN);
	}
	atomic_store(&foe.stop, true);
	pthread_join(thread, NULL);
	close(foe.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals_are_taken_once),
		cmocka_unit_test(test_each_signal_counts),
		cmocka_unit_test(test_a_full_counter_makes_nobody_wait),
		cmocka_unit_test(test_what_is_no_eventfd_is_an_error),
		cmocka_unit_test(test_a_foe_stops_nobody),
	};

	alarm(ALARM_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
