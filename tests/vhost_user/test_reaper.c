/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors that take long to be closed keep nobody waiting, and are counted. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/vhost_user/wire/channel.h"
#include "lib/vhost_user/wire/reaper.h"
#include "tests/support/lingering.h"
#include "tests/support/test.h"

enum { LINGER_S = 2, LONG_S = 30, ALARM_S = 60 };

static void wait_for(const struct reaper_account *account, unsigned unclosed)
{
	while (reaper_unclosed(account) != unclosed)
		poll(NULL, 0, 1);
}

static void test_it_is_closed(void **state)
{
	struct reaper_account *account;
	int pair[2];
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(reaper_open(&account), 0);
	reaper_close(account, pair[0]);
	assert_int_equal(read(pair[1], &byte, 1), 0);
	wait_for(account, 0);
	reaper_leave(account);
	close(pair[1]);
}

/* Had it been closed here and now, there would be nothing left to be closed. */
static void test_nobody_waits(void **state)
{
	struct reaper_account *account;
	int other;

	(void)state;
	assert_int_equal(reaper_open(&account), 0);
	reaper_close(account, lingering(LINGER_S, &other));
	assert_int_equal(reaper_unclosed(account), 1);
	wait_for(account, 0);
	reaper_leave(account);
	close(other);
}

static void test_an_account_can_be_left(void **state)
{
	struct reaper_account *account, *next;
	int other, pair[2];

	(void)state;
	assert_int_equal(reaper_open(&account), 0);
	reaper_close(account, lingering(LINGER_S, &other));
	reaper_leave(account);
	assert_int_equal(reaper_open(&next), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (unsigned i = 0; i < 2; i++)
		reaper_close(next, pair[i]);
	wait_for(next, 0);
	reaper_leave(next);
	close(other);
}

/* One peer's takes its time; what others have sent is closed meanwhile, also where it comes later. */
static void test_no_account_waits_for_another(void **state)
{
	struct reaper_account *slow, *quick[8];
	int other, pair[2];

	(void)state;
	assert_int_equal(reaper_open(&slow), 0);
	reaper_close(slow, lingering(LONG_S, &other));
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(reaper_open(&quick[i]), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		reaper_close(quick[i], pair[0]);
		reaper_close(quick[i], pair[1]);
	}
	for (unsigned i = 0; i < 8; i++) {
		wait_for(quick[i], 0);
		reaper_leave(quick[i]);
	}
	assert_int_equal(reaper_unclosed(slow), 1);
	close(other); /* with bytes unread: a reset, which ends the lingering */
	wait_for(slow, 0);
	reaper_leave(slow);
}

static unsigned count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* It has a thread while there is something to do, and no longer. */
static void test_an_idle_account_has_no_thread(void **state)
{
	const unsigned before = count_threads();
	struct reaper_account *account;
	int other;

	(void)state;
	assert_int_equal(reaper_open(&account), 0);
	assert_int_equal(count_threads(), before);
	reaper_close(account, lingering(LONG_S, &other));
	assert_int_equal(count_threads(), before + 1);
	for (unsigned i = 0; i < 100; i++)
		reaper_close(account, dup(STDERR_FILENO));
	assert_int_equal(count_threads(), before + 1);
	close(other);
	wait_for(account, 0);
	while (count_threads() != before)
		poll(NULL, 0, 1);
	reaper_leave(account);
}

#ifdef __SANITIZE_THREAD__
enum { CHILD_HAS_THREADS = false }; /* the sanitizer ends it */
#else
enum { CHILD_HAS_THREADS = true };
#endif

/* A child has none of its parent's threads, and makes its own. */
static void test_an_account_of_a_child(void **state)
{
	struct reaper_account *account;
	int other, status, fd;

	(void)state;
	if (!CHILD_HAS_THREADS)
		skip();
	fd = lingering(LONG_S, &other);
	assert_int_equal(reaper_open(&account), 0);
	reaper_close(account, fd);
	while (fcntl(fd, F_GETFD) >= 0) /* the number goes first: the parent's thread is at it */
		poll(NULL, 0, 1);
	pid_t child = fork();

	if (!child) {
		alarm(ALARM_S);
		close(other);
		reaper_close(account, dup(STDERR_FILENO));
		while (reaper_unclosed(account) > 1) /* one of these is the parent's affair */
			poll(NULL, 0, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(other);
	wait_for(account, 0);
	reaper_leave(account);
}

static void send_fds(int to, const int *fds, unsigned count)
{
	struct vhu_header header = {VHU_GET_FEATURES, VHU_VERSION, 0};
	char control[CMSG_SPACE(sizeof(int) * 64)] = {0};
	struct iovec iov = {&header, sizeof(header)};
	struct msghdr hdr = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);

	*c = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int) * count), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	assert_int_equal(sendmsg(to, &hdr, MSG_NOSIGNAL), sizeof(header));
}

/*
 * More than a message may have: the kernel must not close what does not fit. And one that nobody has read when the
 * socket is closed.
 */
static void test_messages_with_such_descriptors(void **state)
{
	struct reaper_account *account;
	struct channel_message message;
	struct channel channel;
	int pair[2], fds[64], other;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(reaper_open(&account), 0);
	assert_int_equal(channel_init(&channel, pair[0], account), 0);
	fds[0] = lingering(LINGER_S, &other);
	for (unsigned i = 1; i < 64; i++)
		fds[i] = dup(fds[0]);
	send_fds(pair[1], fds, 64);
	send_fds(pair[1], fds, 1);
	for (unsigned i = 0; i < 64; i++)
		close(fds[i]);
	assert_int_equal(channel_receive(&channel, &message), -EPROTO);
	channel_fini(&channel);
	assert_true(reaper_unclosed(account) > 0);
	wait_for(account, 0);
	reaper_leave(account);
	close(pair[1]);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_closed),
		cmocka_unit_test(test_nobody_waits),
		cmocka_unit_test(test_an_account_can_be_left),
		cmocka_unit_test(test_no_account_waits_for_another),
		cmocka_unit_test(test_an_idle_account_has_no_thread),
		cmocka_unit_test(test_an_account_of_a_child),
		cmocka_unit_test(test_messages_with_such_descriptors),
	};

	alarm(ALARM_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
