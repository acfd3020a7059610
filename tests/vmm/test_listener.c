/* SPDX-License-Identifier: BSD-2-Clause */
/* A listener outlives whatever accept() fails by, does not keep its thread busy meanwhile, and says so in few lines. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "vmm/util/listener.h"
#include "vmm/util/log.h"

enum { FAILURES = 4, ALARM_S = 60 };

static struct loop *loop;
static struct listener listener;
static struct sockaddr_un address;
static int listen_fd, accepted_fd, lines[2], saved_stderr;
static unsigned calls, failures, asked;
static int failure;
static bool is_ready, dealt_with;
static struct loop_watch end;

int __real_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags);

/* The system's, but for the first so many calls. */
int __wrap_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
	calls++;
	if (!failures)
		return __real_accept4(fd, peer, size, flags);
	failures--;
	errno = failure;
	return -1;
}

static void accepted(void *opaque, int fd)
{
	(void)opaque;
	accepted_fd = fd;
	loop_stop(loop);
}

static bool ready(void *opaque)
{
	(void)opaque;
	asked++;
	return is_ready;
}

static bool crowded(void *opaque)
{
	(void)opaque;
	asked++;
	return dealt_with;
}

static const struct listener_ops plain = {.accepted = accepted};

static void stop(void *opaque, uint32_t events)
{
	(void)opaque;
	(void)events;
	loop_stop(loop);
}

/* Lines go into a pipe; two seconds are the end of a loop in which nothing comes. */
static int set_up_with(const struct listener_ops *ops)
{
	assert_int_equal(loop_create(&loop), 0);
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "viommu-test-%d", getpid());
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listen_fd, 8), 0);
	assert_int_equal(listener_init(&listener, listen_fd, "test", ops, NULL), 0);
	assert_int_equal(listener_start(&listener, loop), 0);
	end = (struct loop_watch){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), .ready = stop};
	timerfd_settime(end.fd, 0, &(struct itimerspec){.it_value = {2, 0}}, NULL);
	assert_int_equal(loop_add(loop, &end, EPOLLIN), 0);
	calls = failures = asked = 0;
	accepted_fd = -1;
	assert_int_equal(pipe(lines), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(lines[1], STDERR_FILENO);
	return 0;
}

static void tear_down(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(lines[0]);
	close(lines[1]);
	loop_remove(loop, &end);
	close(end.fd);
	listener_fini(&listener);
	loop_destroy(loop);
	close(listen_fd);
	if (accepted_fd >= 0)
		close(accepted_fd);
}

static int connect_one(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static unsigned count_lines(void)
{
	struct pollfd poll_fd = {.fd = lines[0], .events = POLLIN};
	unsigned count = 0;
	char byte;

	while (poll(&poll_fd, 1, 0) == 1 && read(lines[0], &byte, 1) == 1)
		count += byte == '\n';
	return count;
}

/* The connection is still there when it has passed. */
static void test_what_passes(void **state)
{
	static const struct {
		int error;
		bool quiet;
	} errors[] = {
		{EMFILE, false},      {ENFILE, false},      {ENOMEM, false},      {ENOBUFS, false}, {EPERM, false},
		{ENETDOWN, false},    {EPROTO, false},      {ENOPROTOOPT, false}, {ENONET, false},  {EHOSTDOWN, false},
		{ENETUNREACH, false}, {ECONNABORTED, true}, {EINTR, true},        {EAGAIN, true},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		set_up_with(&plain);
		failure = errors[i].error;
		failures = FAILURES;
		int fd = connect_one();

		assert_int_equal(loop_run(loop), 0);
		unsigned said = count_lines();

		tear_down();
		close(fd);
		assert_true(accepted_fd >= 0);
		assert_int_equal(calls, FAILURES + 1);
		assert_true(said <= !errors[i].quiet); /* one, as far as the limit of all listeners goes */
		if (!i)
			assert_int_equal(said, 1);
	}
}

/* With none of the process's descriptors left, as it is. */
static void test_descriptors_that_are_used_up(void **state)
{
	struct rlimit before, none;

	(void)state;
	set_up_with(&plain);
	int fd = connect_one(), lowest = dup(fd);

	close(lowest);
	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){(rlim_t)lowest, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	assert_int_equal(loop_run(loop), 0); /* for two seconds */
	setrlimit(RLIMIT_NOFILE, &before);
	const unsigned tries = calls;

	timerfd_settime(end.fd, 0, &(struct itimerspec){.it_value = {2, 0}}, NULL);
	assert_int_equal(loop_run(loop), 0);
	tear_down();
	close(fd);
	assert_in_range(tries, 2, 25);
	assert_true(accepted_fd >= 0);
}

static void test_one_that_is_not_ready(void **state)
{
	static const struct listener_ops ops = {.accepted = accepted, .ready = ready};

	(void)state;
	set_up_with(&ops);
	is_ready = false;
	int fd = connect_one();

	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(calls, 0);
	assert_in_range(asked, 2, 25);
	is_ready = true;
	timerfd_settime(end.fd, 0, &(struct itimerspec){.it_value = {2, 0}}, NULL);
	assert_int_equal(loop_run(loop), 0);
	tear_down();
	close(fd);
	assert_true(accepted_fd >= 0);
}

/* Who can do something about it is asked; where that is of no use, there is a pause all the same. */
static void test_one_that_turns_away(void **state)
{
	static const struct listener_ops ops = {.accepted = accepted, .crowded = crowded};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		set_up_with(&ops);
		dealt_with = i;
		failure = EMFILE;
		failures = 1000;
		int fd = connect_one();

		assert_int_equal(loop_run(loop), 0);
		tear_down();
		close(fd);
		if (dealt_with)
			assert_int_equal(asked, 1000); /* one after the other */
		else
			assert_in_range(asked, 2, 25);
	}
}

/* While it pauses. */
static void test_stop_and_start(void **state)
{
	(void)state;
	set_up_with(&plain);
	failure = ENOMEM;
	failures = UINT32_MAX;
	int fd = connect_one();

	assert_int_equal(loop_run(loop), 0);
	listener_stop(&listener);
	listener_stop(&listener);
	failures = 0;
	timerfd_settime(end.fd, 0, &(struct itimerspec){.it_value = {0, 300000000}}, NULL);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(accepted_fd, -1);
	assert_int_equal(listener_start(&listener, loop), 0);
	assert_int_equal(listener_start(&listener, loop), 0);
	assert_int_equal(loop_run(loop), 0);
	tear_down();
	close(fd);
	assert_true(accepted_fd >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_passes),           cmocka_unit_test(test_descriptors_that_are_used_up),
		cmocka_unit_test(test_one_that_is_not_ready), cmocka_unit_test(test_one_that_turns_away),
		cmocka_unit_test(test_stop_and_start),
	};

	alarm(ALARM_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
