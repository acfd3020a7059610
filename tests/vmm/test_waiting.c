/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line about devices that wait for their IOMMU's driver: when it comes, that it comes once, and that it stays away.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "vmm/util/loop.h"
#include "vmm/wiring/waiting.h"

enum { SOON_MS = 20, LATE_MS = 600000, PATIENCE_S = 10 };

static struct loop *loop;
static struct waiting *waiting;
static bool taken;
static unsigned asked;
static int log_fd, stderr_fd;

static bool is_taken(const void *opaque)
{
	assert_ptr_equal(opaque, &taken);
	asked++;
	return taken;
}

/* What is logged goes to a file meanwhile. */
static int set_up(void **state)
{
	char path[] = "/tmp/viommu-waiting-XXXXXX";

	(void)state;
	taken = false;
	asked = 0;
	assert_int_equal(loop_create(&loop), 0);
	log_fd = mkstemp(path);
	assert_true(log_fd >= 0);
	unlink(path);
	stderr_fd = dup(STDERR_FILENO);
	assert_true(dup2(log_fd, STDERR_FILENO) >= 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_true(dup2(stderr_fd, STDERR_FILENO) >= 0);
	close(stderr_fd);
	close(log_fd);
	loop_destroy(loop);
	return 0;
}

static void begin(unsigned after_ms, unsigned devices)
{
	const struct waiting_config config = {
		.loop = loop,
		.after_ms = after_ms,
		.taken = is_taken,
		.opaque = &taken,
		.devices = devices,
		.one = "device waits",
		.several = "devices wait",
	};

	assert_int_equal(waiting_create(&config, &waiting), 0);
}

static void stop_cb(void *opaque)
{
	loop_stop(opaque);
}

/* Run the loop until the guest's taking has been asked for so often. */
static void run_until_asked(unsigned count)
{
	struct loop_work stop = {.run = stop_cb, .opaque = loop};
	const struct timespec pause = {.tv_nsec = 1000000};
	const time_t end = time(NULL) + PATIENCE_S;

	while (asked < count) {
		assert_true(time(NULL) < end);
		nanosleep(&pause, NULL);
		loop_post(loop, &stop);
		assert_int_equal(loop_run(loop), 0);
	}
}

static void expect_log(const char *wanted)
{
	char text[256];
	ssize_t size = pread(log_fd, text, sizeof(text) - 1, 0);

	assert_true(size >= 0);
	text[size] = 0;
	assert_string_equal(text, wanted);
}

static void test_told_once_when_the_time_is_over(void **state)
{
	(void)state;
	begin(SOON_MS, 3);
	expect_log("");
	run_until_asked(1);
	expect_log("viommu: 3 devices wait\n");
	waiting_end(waiting);
	waiting_destroy(waiting);
	expect_log("viommu: 3 devices wait\n");
}

static void test_told_at_the_end_where_that_comes_first(void **state)
{
	(void)state;
	begin(LATE_MS, 1);
	waiting_end(waiting);
	waiting_destroy(waiting);
	expect_log("viommu: 1 device waits\n");
}

static void test_not_told_once_it_is_taken(void **state)
{
	(void)state;
	begin(SOON_MS, 3);
	taken = true;
	run_until_asked(1);
	waiting_end(waiting);
	waiting_destroy(waiting);
	expect_log("");
}

static void test_nothing_is_told_of_a_guest_that_never_ran(void **state)
{
	(void)state;
	begin(SOON_MS, 3);
	waiting_destroy(waiting);
	expect_log("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_told_once_when_the_time_is_over),
		TEST(test_told_at_the_end_where_that_comes_first),
		TEST(test_not_told_once_it_is_taken),
		TEST(test_nothing_is_told_of_a_guest_that_never_ran),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
