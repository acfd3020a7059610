/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The back end before a front end that does not mean well: what is wrong is refused, or ends the connection, and leaves
 * nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/front.h"
#include "tests/support/lingering.h"
#include "tests/support/seeds.h"
#include "tests/support/test.h"

enum { PAGE = FRONT_PAGE, IOVA = 0x40000, DESCRIPTORS = 256, RANDOM_MESSAGES = 3000, LINGER_S = 30, ALARM_S = 100 };

static struct front front;
static unsigned descriptors; /* open before a test */

static unsigned count_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < DESCRIPTORS; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int open_front(void **state)
{
	(void)state;
	descriptors = count_descriptors();
	front_open(&front, 60000);
	front_setup(&front, FRONT_PLATFORM);
	return 0;
}

static int close_front(void **state)
{
	(void)state;
	front_close(&front);
	while (count_descriptors() != descriptors) /* what a peer sent is closed on another thread */
		usleep(1000);
	return 0;
}

/* The connection ends, and the next one is as good as new. */
static void expect_end(int error)
{
	front_serve(&front);
	assert_int_equal(front.served, error);
	close_front(NULL);
	open_front(NULL);
}

static void test_wrong_sizes_end_the_connection(void **state)
{
	static const struct {
		uint32_t request, size;
	} wrong[] = {
		{VHU_GET_FEATURES, 8},       {VHU_SET_FEATURES, 4},      {VHU_SET_FEATURES, 16},
		{VHU_SET_MEM_TABLE, 4},      {VHU_SET_MEM_TABLE, 1024},  {VHU_SET_VRING_NUM, 4},
		{VHU_SET_VRING_ADDR, 32},    {VHU_SET_VRING_BASE, 0},    {VHU_GET_VRING_BASE, 16},
		{VHU_SET_VRING_KICK, 4},     {VHU_SET_VRING_ENABLE, 12}, {VHU_IOTLB_MSG, 24},
		{VHU_IOTLB_MSG, 40},         {VHU_GET_CONFIG, 8},        {VHU_ADD_MEM_REG, 32},
		{VHU_REM_MEM_REG, 8},        {VHU_SET_STATUS, 0},        {VHU_GET_STATUS, 8},
		{VHU_SET_BACKEND_REQ_FD, 8}, {VHU_RESET_DEVICE, 8},      {VHU_GET_QUEUE_NUM, 4},
	};
	const uint8_t bytes[1024] = {0};

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		front_send(&front, wrong[i].request, VHU_NEED_REPLY, bytes, wrong[i].size, NULL, 0);
		expect_end(-EPROTO);
	}
}

static void test_missing_and_surplus_descriptors_end_the_connection(void **state)
{
	struct vhu_memory memory = {.count = 1, .regions = {front_region()}};
	struct vhu_single_region single = {.region = front_region()};
	uint64_t index = 0, none = VHU_VRING_NO_FD;
	int fds[16];

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		fds[i] = STDERR_FILENO;
	front_send(&front, VHU_SET_MEM_TABLE, 0, &memory, 40, NULL, 0);
	expect_end(-EPROTO);
	front_send(&front, VHU_SET_MEM_TABLE, 0, &memory, 40, fds, 2);
	expect_end(-EPROTO);
	front_send(&front, VHU_ADD_MEM_REG, 0, &single, sizeof(single), NULL, 0);
	expect_end(-EPROTO);
	front_send(&front, VHU_SET_VRING_KICK, 0, &index, sizeof(index), NULL, 0);
	expect_end(-EPROTO);
	front_send(&front, VHU_SET_VRING_CALL, 0, &none, sizeof(none), fds, 1);
	expect_end(-EPROTO);
	front_send(&front, VHU_GET_FEATURES, 0, NULL, 0, fds, 1);
	expect_end(-EPROTO);
	front_send(&front, VHU_SET_BACKEND_REQ_FD, 0, NULL, 0, NULL, 0);
	expect_end(-EPROTO);
	front_send(&front, VHU_GET_FEATURES, 0, NULL, 0, fds, 16);
	expect_end(-EPROTO);
}

/* What is well-formed and cannot be done is refused, and the connection goes on. */
static void test_senseless_messages_are_refused(void **state)
{
	const struct vhu_vring_state bad[] = {{FRONT_QUEUES, 8}, {0, 7}, {0, 0}, {0, 4096}, {UINT32_MAX, 8}};
	const struct vhu_vring_state on = {0, 2};
	const struct vhu_log log = {UINT64_MAX, UINT64_MAX};
	uint64_t index = FRONT_QUEUES, all = UINT64_MAX, strange = 1ull << 20 | VHU_VRING_NO_FD;
	struct viommu_backend_stats stats = {.size = sizeof(struct viommu_backend_stats)};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(front_ask(&front, VHU_SET_VRING_NUM, &bad[i], sizeof(bad[i]), NULL, 0), 1);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0), 1);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_CALL, &index, sizeof(index), &front.memory_fd, 1), 1);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_CALL, &strange, sizeof(strange), NULL, 0), 1);
	assert_int_equal(front_ask(&front, VHU_SET_FEATURES, &all, sizeof(all), NULL, 0), 1);
	assert_int_equal(front_ask(&front, VHU_SET_PROTOCOL_FEATURES, &all, sizeof(all), NULL, 0), 1);
	assert_int_equal(front_ask(&front, VHU_SET_STATUS, &all, sizeof(all), NULL, 0), 1);
	assert_int_equal(front_ask(&front, VHU_NET_SET_MTU, &index, sizeof(index), NULL, 0), 1);
	assert_int_equal(front_ask(&front, 12345, &all, sizeof(all), &front.memory_fd, 1), 1);
	assert_int_equal(front_ask(&front, VHU_SET_LOG_BASE, &log, sizeof(log), &front.memory_fd, 1), 1);
	viommu_backend_stats_get(front.backend, &stats);
	assert_int_equal(stats.refused, 14);
	assert_int_equal(front_ask(&front, VHU_GET_QUEUE_NUM, NULL, 0, NULL, 0), FRONT_QUEUES);
}

static void test_updates_that_reach_too_far_are_refused(void **state)
{
	(void)state;
	/* They wrap, are empty, or leave the memory table by a byte, a page, or all of it. */
	assert_int_equal(front_update(&front, UINT64_MAX - PAGE + 1, FRONT_USER, 2 * PAGE, VHU_ACCESS_RW), 1);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, 0, VHU_ACCESS_RW), 1);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, UINT64_MAX, VHU_ACCESS_RW), 1);
	assert_int_equal(front_update(&front, 0, 0, UINT64_MAX, VHU_ACCESS_RW), 1);
	assert_int_equal(front_update(&front, IOVA, UINT64_MAX - PAGE + 1, PAGE, VHU_ACCESS_RW), 1);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, FRONT_SIZE + PAGE, VHU_ACCESS_RW), 1);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER - PAGE, 2 * PAGE, VHU_ACCESS_RW), 1);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER + FRONT_SIZE, PAGE, VHU_ACCESS_RW), 1);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, PAGE, 7), 1);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_update(&front, 0, FRONT_USER, FRONT_SIZE, VHU_ACCESS_RW), 0);
}

static void test_bad_memory_tables_change_nothing(void **state)
{
	const struct vhu_region good = front_region();
	const struct vhu_region bad[] = {
		{good.guest_address + 1, PAGE, good.user_address, 0},
		{good.guest_address, PAGE + 1, good.user_address, 0},
		{good.guest_address, 0, good.user_address, 0},
		{good.guest_address, FRONT_SIZE + PAGE, good.user_address, 0},
		{good.guest_address, FRONT_SIZE, good.user_address, PAGE},
		{good.guest_address, PAGE, good.user_address, UINT64_MAX - PAGE + 1},
		{good.guest_address, UINT64_MAX - PAGE + 1, good.user_address, PAGE},
		{UINT64_MAX - PAGE + 1, 2 * PAGE, good.user_address, 0},
		{good.guest_address, 2 * PAGE, UINT64_MAX - PAGE + 1, 0},
	};
	const struct vhu_region twice[] = {good, {good.guest_address + FRONT_SIZE - PAGE, PAGE, 0x10000, 0}};
	struct vhu_memory many = {.count = UINT32_MAX};

	(void)state;
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, PAGE, VHU_ACCESS_RW), 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(front_memory_table(&front, &bad[i], 1), 1);
	assert_int_equal(front_memory_table(&front, twice, 2), 1);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), 0);
	front_send(&front, VHU_SET_MEM_TABLE, 0, &many, sizeof(many), NULL, 0);
	expect_end(-EPROTO);
}

/* A pipe's end is no memory, nor is a file that may only be read. */
static void test_descriptors_of_the_wrong_kind_are_refused(void **state)
{
	struct vhu_single_region single = {.region = {0x10000000, PAGE, 0x10000, 0}};
	char path[32];
	int fds[2], fd;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(front_ask(&front, VHU_ADD_MEM_REG, &single, sizeof(single), &fds[0], 1), 1);
	close(fds[0]);
	close(fds[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", front.memory_fd);
	fd = open(path, O_RDONLY);
	assert_int_equal(front_ask(&front, VHU_ADD_MEM_REG, &single, sizeof(single), &fd, 1), 1);
	close(fd);
}

/* Whoever reads or writes them could be made to wait, or be killed by SIGPIPE. */
static void test_eventfds_are_nothing_else(void **state)
{
	static const uint32_t requests[] = {VHU_SET_VRING_KICK, VHU_SET_VRING_CALL, VHU_SET_VRING_ERR};
	uint64_t index = 0;
	int pipes[2], sockets[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	for (unsigned i = 0; i < 3; i++) {
		const int wrong[] = {front.memory_fd, pipes[1], sockets[0]};

		for (unsigned j = 0; j < 3; j++)
			assert_int_equal(front_ask(&front, requests[i], &index, sizeof(index), &wrong[j], 1), 1);
	}
	close(pipes[0]);
	close(pipes[1]);
	close(sockets[0]);
	close(sockets[1]);
}

static void test_memory_slots_are_bounded(void **state)
{
	unsigned added = 0;

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		const struct vhu_single_region single = {
			.region = {0x10000000 + i * PAGE, PAGE, 0x10000 + i * PAGE, 0}};

		added += !front_ask(&front, VHU_ADD_MEM_REG, &single, sizeof(single), &front.memory_fd, 1);
	}
	assert_int_equal(added, 63);
}

static void test_disconnection_in_the_middle(void **state)
{
	const struct vhu_header header = {VHU_IOTLB_MSG, VHU_VERSION, sizeof(struct vhu_iotlb)};
	uint64_t half = 1;

	(void)state;
	front_start_queue(&front, 0, IOVA);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(send(front.fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(send(front.fd, &half, sizeof(half), 0), sizeof(half));
	front_serve(&front);
	assert_int_equal(front.served, 0);
	shutdown(front.fd, SHUT_RDWR);
	front_serve(&front);
	assert_int_equal(front.served, -EPIPE);
}

static void test_garbage_on_the_back_channel_ends_the_connection(void **state)
{
	const uint64_t garbage[4] = {UINT64_MAX, 1, 2, 3};

	(void)state;
	assert_int_equal(send(front.back_fd, garbage, sizeof(garbage), 0), sizeof(garbage));
	expect_end(-EPROTO);
	/* A reply to nothing. */
	front_reply(&front, 0);
	expect_end(-EPROTO);
}

/* A front end that keeps our end of it as well must not keep us busy with what comes in there. */
static void test_replaced_back_channel_is_not_watched(void **state)
{
	struct pollfd poll_fd = {.fd = viommu_backend_fd(front.backend), .events = POLLIN};
	int old[2], new[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, old), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, new), 0);
	assert_int_equal(front_ask(&front, VHU_SET_BACKEND_REQ_FD, NULL, 0, &old[1], 1), 0);
	assert_int_equal(front_ask(&front, VHU_SET_BACKEND_REQ_FD, NULL, 0, &new[1], 1), 0);
	send(old[0], "garbage", 7, MSG_NOSIGNAL); /* the old one may be shut down */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(viommu_backend_serve(front.backend), 0);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	/* Nor one that is closed. */
	shutdown(new[0], SHUT_RDWR);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(viommu_backend_serve(front.backend), 0);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		close(old[i]);
		close(new[i]);
	}
}

/* What goes wrong again and again is not said again and again. */
static void test_lines_are_bounded(void **state)
{
	const uint64_t features = 1ull << 32 | 1ull << VHU_F_PROTOCOL_FEATURES;
	struct vhu_region region = front_region();
	time_t begin = time(NULL);

	(void)state;
	assert_int_equal(front_ask(&front, VHU_SET_FEATURES, &features, sizeof(features), NULL, 0), 0);
	front_start_queue(&front, 0, FRONT_USER);
	for (unsigned i = 0; i < 1000; i++) {
		const struct vhu_vring_addr nowhere = {.index = 0, .desc = 0x1000, .avail = 0x2000, .used = 0x3000};

		assert_int_equal(front_ask(&front, VHU_SET_VRING_ADDR, &nowhere, sizeof(nowhere), NULL, 0), 1);
	}
	region.size += PAGE;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(front_memory_table(&front, &region, 1), 1);
	/* Ten in five seconds. */
	assert_in_range(front.lines, 1, 10 * (2 + (uint64_t)(time(NULL) - begin) / 5));
}

/* Who reads nothing is asked a bounded number of times, and nobody waits for him. */
static void test_back_channel_that_is_not_read(void **state)
{
	struct viommu_backend_stats stats = {.size = sizeof(struct viommu_backend_stats)};
	struct vhu_iotlb iotlb;
	int small = 1;
	unsigned asked = 0;

	(void)state;
	setsockopt(front.back_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(front_touch(&front, IOVA + i * PAGE, VIOMMU_READ, NULL), -EAGAIN);
	front_serve(&front);
	assert_int_equal(front.served, 0);
	viommu_backend_stats_get(front.backend, &stats);
	assert_true(stats.misses <= 128);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, FRONT_SIZE, VHU_ACCESS_RW), 0);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), 0);
	while (front_hear(&front, &iotlb))
		asked++;
	assert_true(asked >= 1 && asked <= 128);
}

/* Answers that are not read pile up to a bound, which is the end of the connection. */
static void test_front_channel_that_is_not_read(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200000 && !front.served; i++) {
		const struct vhu_header header = {VHU_GET_FEATURES, VHU_VERSION, 0};

		if (send(front.fd, &header, sizeof(header), MSG_DONTWAIT) < 0)
			break;
		if (i % 16 == 0)
			front_serve(&front);
	}
	front_serve(&front);
	assert_int_equal(front.served, -ENOBUFS);
}

/* A socket that lingers, and behind it as many other descriptors as it likes. */
static void send_unclosable(unsigned *sent, int *other)
{
	uint64_t index = 0;
	int fd = eventfd(0, 0);

	front_send(&front, VHU_SET_VRING_ERR, 0, &index, sizeof(index), &fd, 1);
	close(fd);
	fd = lingering(LINGER_S, other);
	front_send(&front, VHU_SET_VRING_CALL, 0, &index, sizeof(index), &fd, 1); /* refused, as it is no eventfd */
	close(fd);
	for (*sent = 0; *sent < 1000; ++*sent) {
		fd = eventfd(0, EFD_NONBLOCK);
		front_send(&front, VHU_SET_VRING_ERR, 0, &index, sizeof(index), &fd, 1);
		close(fd);
		if (*sent % 16 == 15)
			front_serve(&front);
		if (front.served)
			return;
		if (*sent > 100)
			usleep(5000);
	}
}

static void test_descriptors_that_cannot_be_closed(void **state)
{
	unsigned sent, open;
	int other;

	(void)state;
	send_unclosable(&sent, &other);
	open = count_descriptors();
	while (!front.served) { /* it has a second */
		usleep(10000);
		front_serve(&front);
	}
	assert_int_equal(front.served, -EPROTO);
	assert_string_equal(front.line, "the front end has sent descriptors that cannot be closed");
	assert_in_range(open, descriptors, descriptors + 100);
	viommu_backend_destroy(front.backend);
	front.backend = NULL;
	close(other);
	while (count_descriptors() > descriptors + 3) /* the front end's own */
		usleep(1000);
}

/* While it waits for that it does not keep its thread busy, also where the front end has gone. */
static void test_waiting_for_closes_is_not_busy(void **state)
{
	struct pollfd poll_fd = {.fd = viommu_backend_fd(front.backend), .events = POLLIN};
	unsigned sent, rounds = 0;
	int other;

	(void)state;
	send_unclosable(&sent, &other);
	shutdown(front.fd, SHUT_RDWR);
	for (front.served = 0; !front.served; rounds++) {
		assert_int_equal(poll(&poll_fd, 1, 10000), 1);
		front.served = viommu_backend_serve(front.backend);
	}
	assert_true(rounds < 3000); /* in one second at most */
	close(other);
	while (viommu_backend_destroy(front.backend), front.backend = NULL, count_descriptors() > descriptors + 3)
		usleep(1000);
}

/* It lies in the socket, and goes with it. Returns its other end. */
static int send_lingering(int to)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);
	int other, fd = lingering(LINGER_S, &other);

	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(to, &hdr, MSG_NOSIGNAL), 1);
	close(fd);
	return other;
}

/* To connect again lifts no bound: neither of descriptors, nor of lines. */
static void test_peer_that_connects_again(void **state)
{
	unsigned lines = 0, sent, connections = 0;
	struct viommu_backend_peer *peer;
	time_t begin = time(NULL);
	int other, other_in_socket = -1;

	close_front(state);
	assert_int_equal(viommu_backend_peer_create(&peer), 0);
	for (unsigned i = 0; i < 500; i++) {
		const struct vhu_header header = {VHU_GET_FEATURES, 7, 0};

		while (viommu_backend_peer_crowded(peer))
			usleep(100);
		front_open_of(&front, 60000, peer);
		assert_int_equal(send(front.fd, &header, sizeof(header), 0), sizeof(header));
		front_serve(&front);
		assert_int_equal(front.served, -EPROTO);
		lines += front.lines;
		front_close(&front);
	}
	/* Ten in five seconds. */
	assert_in_range(lines, 1, 10 * (2 + (uint64_t)(time(NULL) - begin) / 5));

	front_open_of(&front, 60000, peer);
	front_setup(&front, FRONT_PLATFORM);
	send_unclosable(&sent, &other);
	front_close(&front);
	while (viommu_backend_peer_crowded(peer) && connections < 3) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		if (!connections)
			other_in_socket = send_lingering(pair[1]);
		assert_int_equal(front_create(&front, pair[0], peer), -ETOOMANYREFS);
		close(pair[1]);
		connections++;
	}
	assert_int_equal(connections, 3);
	assert_true(time(NULL) - begin < LINGER_S); /* nor did anything wait for that */
	close(other_in_socket);
	close(other);
	while (viommu_backend_peer_crowded(peer))
		usleep(1000);
	front_open_of(&front, 60000, peer);
	front_setup(&front, FRONT_PLATFORM);
	front_close(&front);
	viommu_backend_peer_destroy(peer);
	open_front(state);
}

/* Nothing of a seed's random messages may do harm; what is said of them does not matter. */
static void random_message(unsigned *seed)
{
	static const uint32_t sizes[] = {0, 8, 8, 8, 12, 32, 40, 40, 72, 264};
	uint8_t payload[264];
	int fds[2] = {front.memory_fd, front.memory_fd};
	uint32_t size = sizes[rand_r(seed) % 10];

	for (unsigned i = 0; i < size; i++)
		payload[i] = rand_r(seed) % 4 ? 0 : (uint8_t)rand_r(seed);
	if (rand_r(seed) % 2 && size >= 8)
		payload[0] = (uint8_t)(rand_r(seed) % 5);
	front_send(&front, (uint32_t)rand_r(seed) % 42, rand_r(seed) % 2 ? VHU_NEED_REPLY : 0, payload, size, fds,
		   rand_r(seed) % 4 ? 0 : 1 + (unsigned)rand_r(seed) % 2);
}

static void test_random_messages(void **state)
{
	unsigned seed = (unsigned)seeds_number("VIOMMU_TEST_SEED", 1);
	struct channel_message answer;

	(void)state;
	for (unsigned i = 0; i < RANDOM_MESSAGES; i++) {
		random_message(&seed);
		front_serve(&front);
		while (front_answer(&front, &answer))
			;
		if (!front.served)
			continue;
		close_front(NULL);
		open_front(NULL);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_front, close_front)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_wrong_sizes_end_the_connection),
		CASE(test_missing_and_surplus_descriptors_end_the_connection),
		CASE(test_senseless_messages_are_refused),
		CASE(test_updates_that_reach_too_far_are_refused),
		CASE(test_bad_memory_tables_change_nothing),
		CASE(test_descriptors_of_the_wrong_kind_are_refused),
		CASE(test_eventfds_are_nothing_else),
		CASE(test_memory_slots_are_bounded),
		CASE(test_disconnection_in_the_middle),
		CASE(test_garbage_on_the_back_channel_ends_the_connection),
		CASE(test_replaced_back_channel_is_not_watched),
		CASE(test_lines_are_bounded),
		CASE(test_back_channel_that_is_not_read),
		CASE(test_front_channel_that_is_not_read),
		CASE(test_descriptors_that_cannot_be_closed),
		CASE(test_waiting_for_closes_is_not_busy),
		CASE(test_peer_that_connects_again),
		CASE(test_random_messages),
	};

	alarm(ALARM_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
