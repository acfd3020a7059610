/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vhost-user's message channel: torn, oversized and malformed messages, descriptors, a socket that is full, a peer that
 * goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/vhost_user/wire/channel.h"

#include "tests/support/files.h"
#include "tests/support/test.h"

struct fixture {
	struct channel a, b;
	unsigned fds_before;
	int peer; /* of b: for a test to send bytes with */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	f->fds_before = files_open();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(channel_init(&f->a, pair[0], NULL), 0);
	assert_int_equal(channel_init(&f->b, pair[1], NULL), 0);
	f->peer = pair[1];
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	channel_fini(&f->a);
	channel_fini(&f->b);
	assert_int_equal(files_open(), f->fds_before); /* none leaks, whatever came */
	free(f);
	return 0;
}

static struct channel_message request(uint32_t number, uint32_t size)
{
	struct channel_message message = {.header = {.request = number, .size = size}};

	memset(message.payload, (int)number, size);
	return message;
}

static void send_bytes(struct fixture *f, const void *bytes, size_t size, unsigned fds)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * 32)];
	} control = {0};
	struct iovec iov = {(void *)bytes, size};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fds) {
		hdr.msg_control = control.bytes;
		hdr.msg_controllen = CMSG_SPACE(sizeof(int) * fds);
		control.header = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int) * fds), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		for (unsigned i = 0; i < fds; i++)
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &f->peer, sizeof(int));
	}
	assert_int_equal(sendmsg(f->peer, &hdr, MSG_NOSIGNAL), (ssize_t)size);
}

static void test_message_arrives_whole(void **state)
{
	struct fixture *f = *state;
	struct channel_message out = request(7, 1024), in;

	assert_int_equal(channel_receive(&f->b, &in), -EAGAIN);
	assert_int_equal(channel_send(&f->a, &out), 0);
	assert_int_equal(channel_receive(&f->b, &in), 0);
	assert_int_equal(in.header.request, 7);
	assert_int_equal(in.header.flags, VHU_VERSION);
	assert_memory_equal(in.payload, out.payload, 1024);
	out = request(8, 0);
	assert_int_equal(channel_send(&f->a, &out), 0);
	assert_int_equal(channel_receive(&f->b, &in), 0);
	assert_int_equal(in.header.size, 0);
	assert_int_equal(in.payload[0], 0); /* nothing is left of the one before */
	assert_int_equal(channel_receive(&f->b, &in), -EAGAIN);
}

static void test_torn_message(void **state)
{
	struct fixture *f = *state;
	struct channel_message out = request(3, 100), in;
	uint8_t bytes[12 + 100];

	out.header.flags = VHU_VERSION;
	memcpy(bytes, &out.header, 12);
	memcpy(bytes + 12, out.payload, 100);
	for (unsigned i = 0; i + 1 < sizeof(bytes); i++) {
		send_bytes(f, bytes + i, 1, i == 0);
		assert_int_equal(channel_receive(&f->a, &in), -EAGAIN);
	}
	/* The last byte comes with the next message's first ones. */
	send_bytes(f, bytes + sizeof(bytes) - 1, 1, 0);
	send_bytes(f, bytes, 20, 0);
	assert_int_equal(channel_receive(&f->a, &in), 0);
	assert_int_equal(in.header.size, 100);
	assert_memory_equal(in.payload, out.payload, 100);
	assert_int_equal(in.fd_count, 1);
	channel_close_fds(&in);
	assert_int_equal(channel_receive(&f->a, &in), -EAGAIN);
	send_bytes(f, bytes + 20, sizeof(bytes) - 20, 0);
	assert_int_equal(channel_receive(&f->a, &in), 0);
	assert_int_equal(in.fd_count, 0);
}

static void test_malformed_header(void **state)
{
	static const struct vhu_header bad[] = {
		{1, 0, 8}, {1, 2, 8}, {1, 3, 8}, {1, VHU_VERSION, 1025}, {1, VHU_VERSION, UINT32_MAX},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fixture *f = *state;
		struct channel_message in;

		send_bytes(f, &bad[i], sizeof(bad[i]), 2);
		assert_int_equal(channel_receive(&f->a, &in), -EPROTO);
		assert_int_equal(channel_receive(&f->a, &in), -EPROTO); /* for good */
		teardown(state);
		setup(state);
	}
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return !fstat(a, &x) && !fstat(b, &y) && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static void test_descriptors_go_with_their_message(void **state)
{
	struct fixture *f = *state;
	struct channel_message out, in;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (unsigned i = 0; i <= CHANNEL_FDS; i++) {
		out = request(i, 8);
		for (out.fd_count = 0; out.fd_count < i;)
			out.fds[out.fd_count++] = fd;
		assert_int_equal(channel_send(&f->a, &out), 0);
	}
	for (unsigned i = 0; i <= CHANNEL_FDS; i++) {
		assert_int_equal(channel_receive(&f->b, &in), 0);
		assert_int_equal(in.header.request, i);
		assert_int_equal(in.fd_count, i);
		for (unsigned j = 0; j < i; j++) {
			assert_true(same_file(in.fds[j], fd));
			assert_int_equal(fcntl(in.fds[j], F_GETFD), FD_CLOEXEC);
		}
		channel_close_fds(&in);
	}
	close(fd);
}

static void test_too_many_descriptors(void **state)
{
	struct fixture *f = *state;
	struct vhu_header header = {1, VHU_VERSION, 0};
	struct channel_message in;

	send_bytes(f, &header, sizeof(header), CHANNEL_FDS + 1);
	assert_int_equal(channel_receive(&f->a, &in), -EPROTO);
	teardown(state);
	setup(state);
	f = *state;
	send_bytes(f, &header, sizeof(header), 30);
	assert_int_equal(channel_receive(&f->a, &in), -EPROTO);
}

/* A few with each byte: none of the reads has too many, the message has. */
static void test_too_many_descriptors_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct vhu_header header = {1, VHU_VERSION, 0};
	struct channel_message in;
	int err = -EAGAIN;

	for (unsigned i = 0; i < sizeof(header) && err == -EAGAIN; i++) {
		send_bytes(f, (uint8_t *)&header + i, 1, 3);
		err = channel_receive(&f->a, &in);
	}
	assert_int_equal(err, -EPROTO);
}

static unsigned fill(struct fixture *f, uint32_t size)
{
	struct channel_message out = request(5, size);
	unsigned sent = 0;

	while (!channel_unsent(&f->a)) {
		out.header.request = ++sent;
		assert_int_equal(channel_send(&f->a, &out), 0);
	}
	return sent;
}

static void test_full_socket(void **state)
{
	struct fixture *f = *state;
	struct channel_message in, out;
	unsigned sent = fill(f, 1000), received = 0;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(channel_flush(&f->a), -EAGAIN);
	out = request(++sent, 1000);
	out.fds[out.fd_count++] = fd;
	assert_int_equal(channel_send(&f->a, &out), 0);
	close(fd); /* what waits has a copy */
	while (received < sent) {
		int err = channel_receive(&f->b, &in);

		if (err == -EAGAIN) {
			channel_flush(&f->a);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(in.header.request, ++received);
		assert_int_equal(in.payload[999], received == sent ? sent & 0xff : 5);
		assert_int_equal(in.fd_count, received == sent);
		channel_close_fds(&in);
	}
	assert_false(channel_unsent(&f->a));
	assert_int_equal(channel_flush(&f->a), 0);
}

static void test_peer_that_does_not_read(void **state)
{
	struct fixture *f = *state;
	struct channel_message out = request(5, 8);
	int err = 0;
	unsigned sent;

	fill(f, 8);
	for (sent = 0; !err && sent < 2 * CHANNEL_WAITING; sent++)
		err = channel_send(&f->a, &out);
	assert_int_equal(err, -ENOBUFS);
	assert_in_range(sent, CHANNEL_WAITING - 1, CHANNEL_WAITING + 1);
	assert_int_equal(channel_send(&f->a, &out), -ENOBUFS); /* one is lost: what follows would be nonsense */
	assert_int_equal(channel_flush(&f->a), -ENOBUFS);
}

static void test_peer_that_goes(void **state)
{
	struct fixture *f = *state;
	struct channel_message out = request(5, 8), in;

	assert_int_equal(channel_send(&f->b, &out), 0);
	shutdown(f->peer, SHUT_RDWR);
	assert_int_equal(channel_receive(&f->a, &in), 0); /* what it had sent */
	assert_int_equal(channel_receive(&f->a, &in), -EPIPE);
	assert_int_equal(channel_send(&f->a, &out), -EPIPE);
	assert_int_equal(channel_send(&f->a, &out), -EPIPE);
}

static void test_peer_that_goes_in_mid_message(void **state)
{
	struct fixture *f = *state;
	struct vhu_header header = {1, VHU_VERSION, 100};
	struct channel_message in;

	send_bytes(f, &header, sizeof(header), 1);
	assert_int_equal(channel_receive(&f->a, &in), -EAGAIN);
	shutdown(f->peer, SHUT_RDWR);
	assert_int_equal(channel_receive(&f->a, &in), -EPIPE);
}

static void test_closed_with_messages_waiting(void **state)
{
	struct fixture *f = *state;
	struct channel_message out = request(5, 8);

	fill(f, 1000);
	for (out.fd_count = 0; out.fd_count < CHANNEL_FDS;)
		out.fds[out.fd_count++] = f->peer;
	assert_int_equal(channel_send(&f->a, &out), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_message_arrives_whole),
		TEST(test_torn_message),
		TEST(test_malformed_header),
		TEST(test_descriptors_go_with_their_message),
		TEST(test_too_many_descriptors),
		TEST(test_too_many_descriptors_in_pieces),
		TEST(test_full_socket),
		TEST(test_peer_that_does_not_read),
		TEST(test_peer_that_goes),
		TEST(test_peer_that_goes_in_mid_message),
		TEST(test_closed_with_messages_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
