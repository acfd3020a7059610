/* SPDX-License-Identifier: BSD-2-Clause */
/* Real taps, in a network of their own: that one is deleted is heard of, whatever else happens to interfaces. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "vmm/net/tap.h"
#include "vmm/net/tap_watch.h"

static struct loop *loop;
static struct loop_watch end;
static int fds[TAP_MAX_QUEUES], lines[2];
static unsigned lost_count;
static int lost_error;
static bool possible;

static void lost(void *opaque, int error)
{
	(void)opaque;
	lost_count++;
	lost_error = error;
}

static void stop(void *opaque, uint32_t events)
{
	uint64_t count;

	(void)opaque;
	(void)events;
	if (read(end.fd, &count, sizeof(count)) == sizeof(count))
		loop_stop(loop);
}

static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

/* What has happened by now is told. */
static void settle(void)
{
	timerfd_settime(end.fd, 0, &(struct itimerspec){.it_value = {0, 200000000}}, NULL);
	assert_int_equal(loop_run(loop), 0);
}

/* The first line of the log in `line`; how many there were. */
static unsigned take_lines(char *line, size_t size)
{
	static char all[4096];
	ssize_t got = read(lines[0], all, sizeof(all) - 1);
	unsigned count = 0;

	all[got > 0 ? got : 0] = 0;
	for (const char *at = all; (at = strchr(at, '\n')); at++)
		count++;
	snprintf(line, size, "%.*s", (int)strcspn(all, "\n"), all);
	return count;
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	end = (struct loop_watch){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), .ready = stop};
	assert_int_equal(loop_add(loop, &end, EPOLLIN), 0);
	lost_count = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	loop_remove(loop, &end);
	close(end.fd);
	loop_destroy(loop);
	return 0;
}

static void delete_and_expect(const char *make, unsigned queues)
{
	struct tap_watch tap = {.name = "tap0", .loop = loop, .lost = lost};
	int saved = dup(STDERR_FILENO);
	char line[256];

	run(make);
	assert_int_equal(tap_open("tap0", queues, fds), 0);
	for (unsigned i = 1; i < queues; i++)
		assert_int_equal(tap_attach(fds[i], false), 0);
	tap.tap_fd = fds[0];
	tap_watch_init(&tap);
	assert_true(tap.watch.fd >= 0);
	assert_int_equal(pipe2(lines, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(lines[1], STDERR_FILENO);
	run("ip link set tap0 up && ip link set tap0 down && ip tuntap add dev other mode tap && ip link delete other");
	settle();
	assert_int_equal(lost_count, 0);
	run("ip link delete tap0");
	settle();
	run("ip tuntap add dev other mode tap && ip link delete other");
	settle();
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(lost_count, 1);
	assert_int_equal(lost_error, EBADFD);
	assert_int_equal(take_lines(line, sizeof(line)), 1);
	assert_string_equal(line, "viommu: net tap0: the tap interface is lost: it has been deleted");
	close(lines[0]);
	close(lines[1]);
	tap_watch_fini(&tap);
	tap_close(fds, queues);
}

static void test_deleted(void **state)
{
	(void)state;
	if (!possible)
		skip();
	delete_and_expect("ip tuntap add dev tap0 mode tap", 1);
}

/* Queues that are not in use are no sign of it. */
static void test_deleted_with_many_queues(void **state)
{
	(void)state;
	if (!possible)
		skip();
	delete_and_expect("ip tuntap add dev tap0 mode tap multi_queue", 3);
}

/* A great many news, more than the socket takes: what counts is not lost among them. */
static void test_deleted_among_many_news(void **state)
{
	struct tap_watch tap = {.name = "tap0", .loop = loop, .lost = lost};

	(void)state;
	if (!possible)
		skip();
	run("ip tuntap add dev tap0 mode tap && ip tuntap add dev other mode tap");
	assert_int_equal(tap_open("tap0", 1, fds), 0);
	tap.tap_fd = fds[0];
	tap_watch_init(&tap);
	run("for i in $(seq 1000); do echo link set other up; echo link set other down; done | ip -batch -");
	run("ip link delete tap0");
	run("for i in $(seq 100); do echo link set other up; echo link set other down; done | ip -batch -");
	for (unsigned i = 0; i < 10; i++)
		settle();
	assert_int_equal(lost_count, 1);
	run("ip link delete other");
	tap_watch_fini(&tap);
	tap_close(fds, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deleted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deleted_with_many_queues, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deleted_among_many_news, set_up, tear_down),
	};

	/* Not for every user. */
	possible = !access("/dev/net/tun", W_OK) && !unshare(CLONE_NEWNET) && !system("ip link set lo up");
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
