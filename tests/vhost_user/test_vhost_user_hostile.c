/* SPDX-License-Identifier: BSD-2-Clause */
/* Back ends that are broken or worse: refused, reported in one line, and never waited for without end. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/files.h"
#include "tests/support/lingering.h"
#include "tests/support/vhu_front.h"

/* One thing that a back end does wrong in place of an answer. */
enum wrong {
	SHORT,
	LONG,
	WITH_FD,
	OTHER_REQUEST,
	NOT_A_REPLY,
	TWICE,
	NOT_ZERO,
	OTHER_RING,
	HUGE_BASE,
	VERSION,
	GARBAGE,
};

struct offence {
	uint32_t request;
	enum wrong wrong;
	const char *why;
};

static const struct offence *offence;

static void send_raw(struct back *back, const void *bytes, size_t size)
{
	assert_int_equal(send(back->channel.fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void reply_with_fd(struct back *back, const struct channel_message *message)
{
	struct channel_message reply = {
		.header = {.request = message->header.request, .flags = VHU_REPLY, .size = sizeof(reply.u64)},
	};

	reply.fds[reply.fd_count++] = back->channel.fd;
	channel_send(&back->channel, &reply);
}

static bool offend(struct back *back, struct channel_message *message)
{
	struct vhu_vring_state state = {.index = message->state.index};
	struct channel_message other = *message;
	uint8_t bytes[64] = {0};

	if (message->header.request != offence->request)
		return false;
	switch (offence->wrong) {
	case SHORT:
		back_reply(back, message, bytes, 4);
		break;
	case LONG:
		back_reply(back, message, bytes, 64);
		break;
	case WITH_FD:
		reply_with_fd(back, message);
		break;
	case OTHER_REQUEST:
		other.header.request++;
		back_reply_u64(back, &other, 0);
		break;
	case NOT_A_REPLY:
		other.header.flags = 0;
		other.header.size = 8;
		channel_send(&back->channel, &other);
		break;
	case TWICE:
		back_reply_u64(back, message, 0);
		back_reply_u64(back, message, 0);
		break;
	case NOT_ZERO:
		back_reply_u64(back, message, 1);
		break;
	case OTHER_RING:
		state.index++;
		back_reply(back, message, &state, sizeof(state));
		break;
	case HUGE_BASE:
		state.num = 0x10000;
		back_reply(back, message, &state, sizeof(state));
		break;
	case VERSION:
		other.header.flags = VHU_REPLY | 2;
		other.header.size = 8;
		send_raw(back, &other.header, sizeof(other.header));
		break;
	case GARBAGE:
		memset(bytes, 0xff, sizeof(bytes));
		send_raw(back, bytes, sizeof(bytes));
		break;
	}
	return true;
}

/* All of a life, until the back end has done its wrong. */
static void live(struct front *f)
{
	front_connect(f);
	front_pump(f);
	if (!front_start(f, 2))
		front_pump(f);
	if (f->started) {
		front_map(f, 0x200000, 0x1000, 0x40000, 3);
		back_iotlb(&f->back, VHU_IOTLB_MISS, 0x200000, VIOMMU_READ, 0);
		front_pump(f);
	}
	viommu_vhu_stop(f->vhu);
	front_pump(f);
}

static const struct offence offences[] = {
	{VHU_GET_FEATURES, SHORT, "malformed answer to request 1"},
	{VHU_GET_FEATURES, LONG, "malformed answer to request 1"},
	{VHU_GET_FEATURES, WITH_FD, "malformed answer to request 1"},
	{VHU_GET_FEATURES, OTHER_REQUEST, "an answer to request 2 in place of 1"},
	{VHU_GET_FEATURES, NOT_A_REPLY, "request 1 over the socket for answers"},
	{VHU_GET_FEATURES, VERSION, "malformed message from the back end"},
	{VHU_GET_FEATURES, GARBAGE, "malformed message from the back end"},
	{VHU_GET_PROTOCOL_FEATURES, SHORT, "malformed answer to request 15"},
	{VHU_GET_QUEUE_NUM, LONG, "malformed answer to request 17"},
	{VHU_SET_BACKEND_REQ_FD, NOT_ZERO, "the back end refuses request 21"},
	{VHU_SET_BACKEND_REQ_FD, SHORT, "malformed acknowledgement of request 21"},
	{VHU_GET_CONFIG, SHORT, "malformed answer to request 24"},
	{VHU_GET_CONFIG, NOT_ZERO, "malformed answer to request 24"},
	{VHU_GET_CONFIG, WITH_FD, "malformed answer to request 24"},
	{VHU_SET_FEATURES, NOT_ZERO, "the back end refuses request 2"},
	{VHU_SET_FEATURES, WITH_FD, "malformed acknowledgement of request 2"},
	{VHU_SET_MEM_TABLE, NOT_ZERO, "the back end refuses request 5"},
	{VHU_GET_INFLIGHT_FD, LONG, "malformed answer to request 31"},
	{VHU_GET_INFLIGHT_FD, NOT_ZERO, "malformed answer to request 31"},
	{VHU_SET_INFLIGHT_FD, NOT_ZERO, "the back end refuses request 32"},
	{VHU_SET_VRING_NUM, NOT_ZERO, "the back end refuses request 8"},
	{VHU_SET_VRING_ADDR, TWICE, "an answer to request 9 in place of 14"},
	{VHU_SET_VRING_KICK, LONG, "malformed acknowledgement of request 12"},
	{VHU_SET_VRING_ENABLE, NOT_ZERO, "the back end refuses request 18"},
	{VHU_IOTLB_MSG, SHORT, "malformed acknowledgement of an IOTLB message"},
	{VHU_IOTLB_MSG, TWICE, "an answer to nothing (request 22)"},
	{VHU_IOTLB_MSG, WITH_FD, "malformed acknowledgement of an IOTLB message"},
	{VHU_GET_VRING_BASE, SHORT, "malformed answer to request 11"},
	{VHU_GET_VRING_BASE, OTHER_RING, "malformed answer to request 11"},
	{VHU_GET_VRING_BASE, HUGE_BASE, "malformed answer to request 11"},
};

static void test_wrong_answers(void **state)
{
	for (unsigned i = 0; i < sizeof(offences) / sizeof(offences[0]); i++) {
		struct front *f = *state;
		unsigned fds = files_open();

		offence = &offences[i];
		f->config.config_size = 16;
		f->config.exact = true;
		front_recreate(f);
		front_map(f, 0x10000, 0x6000, 0x10000, 3);
		f->back.hook = offend;
		live(f);
		assert_int_equal(f->lost, 1);
		assert_string_equal(f->why, offence->why);
		assert_false(viommu_vhu_ready(f->vhu));
		/* A better one is welcome. */
		f->back.hook = NULL;
		front_connect(f);
		front_pump(f);
		assert_true(viommu_vhu_ready(f->vhu));
		assert_int_equal(f->lost, 1);
		viommu_vhu_disconnect(f->vhu);
		back_close(&f->back);
		while (files_open() != fds) /* what a peer sent is closed on another thread */
			usleep(1000);
		front_teardown(state);
		front_setup(state);
	}
}

/* What a back end offers may not be enough. */
static const struct {
	uint64_t features, protocol, queues;
	const char *why;
} offers[] = {
	{~(1ull << 33), UINT64_MAX, 4, "the back end has no device IOTLB (VIRTIO_F_ACCESS_PLATFORM)"},
	{~(1ull << 30), UINT64_MAX, 4, "the back end has no protocol features"},
	{UINT64_MAX, ~(1ull << VHU_PROTOCOL_F_REPLY_ACK), 4,
	 "the back end has a device IOTLB without REPLY_ACK and BACKEND_REQ"},
	{UINT64_MAX, ~(1ull << VHU_PROTOCOL_F_BACKEND_REQ), 4,
	 "the back end has a device IOTLB without REPLY_ACK and BACKEND_REQ"},
	{UINT64_MAX, ~(1ull << VHU_PROTOCOL_F_CONFIG), 4, "the back end does not give its configuration (CONFIG)"},
	{UINT64_MAX, UINT64_MAX, 0, "the back end serves 0 queues, not 2"},
};

static void test_poor_offers(void **state)
{
	struct front *f = *state;

	f->config.config_size = 16;
	front_recreate(f);
	for (unsigned i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
		front_connect(f);
		f->back.features = offers[i].features;
		f->back.protocol = offers[i].protocol;
		f->back.queues = offers[i].queues;
		front_pump(f);
		assert_int_equal(f->lost, i + 1);
		assert_string_equal(f->why, offers[i].why);
	}
	assert_int_equal(f->ready, 0);
}

static void test_queue_number_is_no_trap(void **state)
{
	struct front *f = *state;

	front_connect(f);
	f->back.queues = UINT64_MAX;
	front_pump(f);
	assert_int_equal(viommu_vhu_queues(f->vhu), VIOMMU_VHU_RINGS);
}

static void start(struct front *f)
{
	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	front_connect(f);
	front_pump(f);
	assert_int_equal(front_start(f, 2), 0);
	front_pump(f);
	assert_int_equal(f->started, 1);
	front_ask(f);
}

static void expect_lost(struct front *f, const char *why)
{
	front_pump(f);
	assert_int_equal(f->lost, 1);
	assert_string_equal(f->why, why);
}

static void test_answer_to_nothing(void **state)
{
	struct front *f = *state;

	start(f);
	back_reply_u64(&f->back, &(struct channel_message){.header = {.request = VHU_IOTLB_MSG}}, 0);
	expect_lost(f, "an answer to nothing (request 22)");
}

static void test_refused_invalidation(void **state)
{
	static const struct offence refusal = {VHU_IOTLB_MSG, NOT_ZERO, NULL};
	struct front *f = *state;

	start(f);
	offence = &refusal;
	f->back.hook = offend;
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	expect_lost(f, "the back end refuses an invalidation (status 1)");
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

/* Over the back end's own channel. */
static void test_requests_before_there_is_an_iotlb(void **state)
{
	struct front *f = *state;

	front_connect(f);
	front_pump(f);
	back_iotlb(&f->back, VHU_IOTLB_MISS, 0x1000, VIOMMU_READ, 0);
	expect_lost(f, "an IOTLB message from a back end without IOTLB");
}

static void test_iotlb_message_of_a_wrong_size(void **state)
{
	struct front *f = *state;
	uint8_t bytes[33] = {0};

	start(f);
	back_request(&f->back, VHU_BACKEND_IOTLB_MSG, 0, bytes, 33);
	expect_lost(f, "malformed IOTLB message from the back end");
}

static void test_iotlb_message_without_access(void **state)
{
	struct front *f = *state;

	start(f);
	back_iotlb(&f->back, VHU_IOTLB_MISS, 0x10000, 0, 0);
	expect_lost(f, "an IOTLB message with access 0 from the back end");
}

static void test_iotlb_message_with_unknown_access(void **state)
{
	struct front *f = *state;

	start(f);
	back_iotlb(&f->back, VHU_IOTLB_ACCESS_FAIL, 0x10000, 4, 0);
	expect_lost(f, "an IOTLB message with access 4 from the back end");
}

static void test_descriptors_with_a_request(void **state)
{
	struct front *f = *state;
	struct channel_message message = {.header = {.request = VHU_BACKEND_CONFIG_CHANGE_MSG}};

	start(f);
	message.fds[message.fd_count++] = f->back.requests.fd;
	channel_send(&f->back.requests, &message);
	expect_lost(f, "descriptors with a request of the back end");
}

static void test_answer_over_the_requests(void **state)
{
	struct front *f = *state;

	start(f);
	back_request(&f->back, VHU_BACKEND_IOTLB_MSG, VHU_REPLY, NULL, 0);
	expect_lost(f, "an answer to nothing over the back end's channel");
}

static void test_malformed_request(void **state)
{
	struct front *f = *state;
	const struct vhu_header header = {VHU_BACKEND_IOTLB_MSG, VHU_VERSION, 4096};

	start(f);
	assert_int_equal(write(f->back.requests.fd, &header, sizeof(header)), sizeof(header));
	expect_lost(f, "malformed message over the back end's channel");
}

static void test_closed_channel(void **state)
{
	struct front *f = *state;

	start(f);
	channel_fini(&f->back.requests);
	f->back.requests_open = false;
	expect_lost(f, "the back end has closed its channel");
}

/* Unknown requests are refused, and said so where an answer is wanted; the lines are few. */
static void test_unknown_requests(void **state)
{
	struct front *f = *state;
	struct viommu_vhu_stats stats = {.size = sizeof(struct viommu_vhu_stats)};
	uint64_t status = 0;

	start(f);
	back_request(&f->back, 999, VHU_NEED_REPLY, NULL, 0);
	front_pump(f);
	assert_true(back_request_answer(&f->back, &status));
	assert_int_equal(status, 1);
	for (unsigned i = 0; i < 200; i++)
		back_request(&f->back, 3, 0, NULL, 0);
	back_request(&f->back, VHU_BACKEND_CONFIG_CHANGE_MSG, 0, NULL, 0); /* of a configuration that is not its own */
	back_iotlb(&f->back, VHU_IOTLB_UPDATE, 0, 3, 0);
	for (unsigned i = 0; i < 10; i++)
		front_pump(f);
	viommu_vhu_stats_get(f->vhu, &stats);
	assert_int_equal(stats.refused, 203);
	assert_int_equal(f->lines, 10);
	assert_int_equal(f->lost, 0);
}

/* It asks for answers that it never reads: what waits for it is bounded. */
static void test_answers_that_are_not_read(void **state)
{
	struct front *f = *state;

	start(f);
	for (unsigned i = 0; i < 100000 && !f->lost; i++) {
		back_request(&f->back, 3, VHU_NEED_REPLY, NULL, 0);
		if (i % 64 == 0)
			front_pump(f);
	}
	expect_lost(f, "the back end does not read answers to its requests");
}

/* One call does a bounded amount of work, however much there is to do. */
static void test_flood_is_served_in_portions(void **state)
{
	struct front *f = *state;
	struct viommu_vhu_stats stats = {.size = sizeof(struct viommu_vhu_stats)};
	unsigned before = 0;

	start(f);
	for (unsigned i = 0; i < 200; i++)
		back_request(&f->back, 3, 0, NULL, 0);
	for (unsigned i = 0; i < 4; i++) {
		viommu_vhu_serve(f->vhu);
		viommu_vhu_stats_get(f->vhu, &stats);
		assert_true(stats.refused - before <= 64);
		before = (unsigned)stats.refused;
	}
	assert_int_equal(before, 200);
}

static bool silent(struct back *back, struct channel_message *message)
{
	(void)back;
	return message->header.request == offence->request;
}

static void wait_until_lost(struct front *f)
{
	struct pollfd poll_fd = {.fd = viommu_vhu_fd(f->vhu), .events = POLLIN};

	while (!f->lost && poll(&poll_fd, 1, 60000) == 1)
		front_pump(f);
	assert_int_equal(f->lost, 1);
}

/* The back end does not answer the first request. */
static void connect_to_silence(struct front *f)
{
	static const struct offence features = {.request = VHU_GET_FEATURES};

	f->config.setup_ms = 120;
	front_recreate(f);
	offence = &features;
	f->back.hook = silent;
	front_connect(f);
	front_pump(f);
}

static void test_answer_that_never_comes(void **state)
{
	struct front *f = *state;

	connect_to_silence(f);
	wait_until_lost(f);
	assert_string_equal(f->why, "no answer to request 1 within 30 ms");
}

static void test_acknowledgement_that_never_comes(void **state)
{
	static const struct offence iotlb = {.request = VHU_IOTLB_MSG};
	struct front *f = *state;

	f->config.reply_ms = 1000; /* for the answers before */
	front_recreate(f);
	start(f);
	offence = &iotlb;
	f->back.hook = silent;
	front_map(f, 0x200000, 0x1000, 0x40000, 3);
	front_unmap(f, 0x200000, 0x1000);
	front_pump(f);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	wait_until_lost(f);
	assert_string_equal(f->why, "no answer to request 22 within 1000 ms");
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

/* From one request on there is no answer to anything: answers come in order. */
static bool silenced;

static bool silent_from(struct back *back, struct channel_message *message)
{
	(void)back;
	silenced |= message->header.request == offence->request;
	return silenced;
}

/* What begins when the back end is busy with something else that takes it long, and takes its time for that. */
static void stop_rings(struct front *f)
{
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
}

static void disable_ring(struct front *f)
{
	assert_int_equal(viommu_vhu_enable(f->vhu, 0, false), 0);
}

static void change_memory(struct front *f)
{
	f->back.hook = NULL;
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	front_pump(f);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){1ull << 32}, VHU_PAGE, f->ram, f->ram_fd, 0), 0);
	f->back.hook = silent_from;
	assert_int_equal(front_start(f, 2), 0);
}

static void test_invalidation_behind_a_slow_answer(void **state)
{
	static const struct {
		struct offence busy;
		void (*begin)(struct front *f);
	} slow[] = {
		{{.request = VHU_GET_VRING_BASE}, stop_rings},
		{{.request = VHU_SET_VRING_ENABLE}, disable_ring},
		{{.request = VHU_SET_MEM_TABLE}, change_memory},
	};

	for (unsigned i = 0; i < sizeof(slow) / sizeof(slow[0]); i++) {
		struct front *f = *state;

		f->config.reply_ms = 300; /* far from what the others may take: 30 and 120 seconds */
		front_recreate(f);
		start(f);
		front_map(f, 0x200000, 0x1000, 0x40000, 3);
		offence = &slow[i].busy;
		f->back.hook = silent_from;
		slow[i].begin(f);
		front_pump(f);
		assert_int_equal(f->lost, 0);
		assert_true(back_saw(&f->back, offence->request) > 0);
		front_unmap(f, 0x200000, 0x1000);
		alarm(10);
		wait_until_lost(f);
		alarm(0);
		assert_string_equal(f->why, "no answer to request 22 within 300 ms");
		assert_int_equal(viommu_inval_poll(f->inval), 0);
		silenced = false;
		f->back.hook = NULL;
		front_teardown(state);
		front_setup(state);
	}
}

/* An update keeps nobody waiting: it has the time of what is in front of it. */
static void test_update_behind_a_slow_answer(void **state)
{
	static const struct offence busy = {.request = VHU_SET_VRING_ENABLE};
	struct front *f = *state;

	f->config.reply_ms = 100;
	f->config.setup_ms = 4000;
	front_recreate(f);
	start(f);
	offence = &busy;
	f->back.hook = silent_from;
	disable_ring(f);
	front_pump(f);
	back_iotlb(&f->back, VHU_IOTLB_MISS, 0x11000, VIOMMU_READ, 0);
	wait_until_lost(f);
	assert_string_equal(f->why, "no answer to request 18 within 1000 ms");
	silenced = false;
}

static struct channel_message held[2];
static unsigned held_count;

static bool hold_back(struct back *back, struct channel_message *message)
{
	(void)back;
	silenced |= message->header.request == offence->request;
	if (!silenced)
		return false;
	assert_true(held_count < 2);
	held[held_count++] = *message;
	return true;
}

/* Its own time begins when the answer in front of it is there. */
static void test_update_after_a_slow_answer(void **state)
{
	static const struct offence busy = {.request = VHU_SET_VRING_ENABLE};
	struct front *f = *state;

	f->config.reply_ms = 200;
	front_recreate(f);
	start(f);
	offence = &busy;
	f->back.hook = hold_back;
	disable_ring(f);
	front_pump(f);
	back_iotlb(&f->back, VHU_IOTLB_MISS, 0x11000, VIOMMU_READ, 0);
	front_pump(f);
	assert_int_equal(held_count, 2);
	usleep(300000);
	back_reply_u64(&f->back, &held[0], 0);
	front_pump(f);
	assert_int_equal(f->lost, 0);
	back_reply_u64(&f->back, &held[1], 0);
	front_pump(f);
	assert_int_equal(f->lost, 0);
	silenced = false;
	held_count = 0;
}

/*
 * It comes again each time and makes the guest wait again: not for ever. Nor behind something else that it does not
 * answer.
 */
static void be_late_three_times(struct front *f, const struct offence *silence, void (*begin)(struct front *f))
{
	f->config.reply_ms = 300;
	front_recreate(f);
	start(f);
	offence = silence;
	for (unsigned i = 1; i <= 3; i++) {
		f->back.hook = silent_from;
		front_map(f, 0x200000, 0x1000, 0x40000, 3);
		if (begin)
			begin(f);
		front_unmap(f, 0x200000, 0x1000);
		while (f->lost < i)
			front_pump(f);
		assert_int_equal(viommu_inval_poll(f->inval), 0);
		assert_int_equal(viommu_vhu_stuck(f->vhu), i == 3);
		silenced = false;
		f->back.hook = NULL;
		if (begin)
			viommu_vhu_enable(f->vhu, 0, true);
		if (i < 3) {
			front_connect(f);
			front_pump(f);
			front_ask(f);
		}
	}
	/* Until the driver begins anew. */
	viommu_vhu_stop(f->vhu);
	assert_false(viommu_vhu_stuck(f->vhu));
	front_connect(f);
	front_pump(f);
	assert_true(viommu_vhu_ready(f->vhu));
}

static void test_who_is_late_again_and_again_is_given_up(void **state)
{
	static const struct offence iotlb = {.request = VHU_IOTLB_MSG};

	be_late_three_times(*state, &iotlb, NULL);
}

static void test_who_is_late_behind_something_else_is_given_up(void **state)
{
	static const struct offence enable = {.request = VHU_SET_VRING_ENABLE};

	alarm(60);
	be_late_three_times(*state, &enable, disable_ring);
	alarm(0);
}

/* It reads nothing at all: invalidations do not pile up without bound, and whoever begins them is not held up. */
static void test_back_end_that_does_not_read(void **state)
{
	struct front *f = *state;

	f->config.reply_ms = 1000;
	front_recreate(f);
	start(f);
	for (unsigned i = 0; i < 5000; i++) {
		front_map(f, 0x200000, 0x1000, 0x40000, 3);
		assert_int_equal(viommu_unmap(f->domain, (struct viommu_iova){0x200000}, (struct viommu_iova){0x200fff},
					      f->inval, NULL),
				 0);
		if (i % 100 == 99) {
			viommu_inval_begin(f->inval);
			while (viommu_inval_poll(f->inval) == -EAGAIN && !f->lost) {
				struct pollfd poll_fd = {.fd = viommu_vhu_fd(f->vhu), .events = POLLIN};

				poll(&poll_fd, 1, 60000);
				viommu_vhu_serve(f->vhu);
			}
			assert_int_equal(viommu_inval_poll(f->inval), 0);
		}
	}
	assert_string_equal(f->why, "no answer to request 22 within 1000 ms");
	assert_int_equal(f->lost, 1);
}

/* A half message, and then nothing. */
static void test_torn_answer(void **state)
{
	struct front *f = *state;

	connect_to_silence(f);
	send_raw(&f->back, "\1\0\0\0\5", 5);
	wait_until_lost(f);
	assert_string_equal(f->why, "no answer to request 1 within 30 ms");
}

/* Other ends of what hostile answers carry, so that it lingers. */
enum { LINGER_S = 30, OTHERS = 128 };
static int others[OTHERS];
static unsigned other_count;

static bool give_lingering(struct back *back, struct channel_message *message)
{
	const struct vhu_inflight inflight = {.mmap_size = 4096};
	struct channel_message reply = {.header = message->header, .fd_count = 1};

	if (message->header.request != VHU_GET_INFLIGHT_FD)
		return false;
	reply.header.flags = VHU_REPLY;
	reply.inflight = inflight;
	reply.header.size = sizeof(inflight);
	assert_true(other_count < OTHERS);
	reply.fds[0] = lingering(LINGER_S, &others[other_count++]);
	channel_send(&back->channel, &reply);
	channel_close_fds(&reply);
	return true;
}

/* A guest that resets its device again and again helps: what cannot be closed is bounded within a connection, too. */
static void test_descriptors_that_cannot_be_closed(void **state)
{
	struct front *f = *state;

	f->config.exact = true;
	front_recreate(f);
	start(f);
	viommu_vhu_stop(f->vhu);
	front_pump(f);
	f->back.hook = give_lingering;
	while (!f->lost) {
		assert_int_equal(front_start(f, 2), 0);
		front_pump(f);
		viommu_vhu_stop(f->vhu);
		front_pump(f);
	}
	assert_string_equal(f->why, "what the back end has sent cannot be closed");
	assert_in_range(other_count, 9, 80);
	assert_true(viommu_vhu_crowded(f->vhu));
	assert_int_equal(viommu_vhu_connect(f->vhu, dup(STDERR_FILENO)), -ETOOMANYREFS);
	f->back.hook = NULL;
	while (other_count)
		close(others[--other_count]);
	while (viommu_vhu_crowded(f->vhu))
		usleep(1000);
	front_connect(f);
	front_pump(f);
	assert_true(viommu_vhu_ready(f->vhu));
}

/* Of two back ends one is hostile: the other comes back as often as it likes. */
static void test_one_back_end_is_not_in_the_way_of_another(void **state)
{
	struct front *f = *state;
	struct viommu_vhu *bad;
	struct back back;
	const unsigned before = f->ready;

	f->config.exact = true;
	front_recreate(f);
	start(f);
	viommu_vhu_stop(f->vhu);
	front_pump(f);
	f->back.hook = give_lingering;
	assert_int_equal(front_start(f, 2), 0);
	front_pump(f);
	viommu_vhu_stop(f->vhu);
	front_pump(f);
	assert_int_equal(other_count, 1);
	bad = f->vhu;
	back = f->back;
	f->back = (struct back){0};
	assert_int_equal(viommu_vhu_create(&f->config, &f->vhu), 0);
	for (unsigned i = 0; i < 30; i++) {
		alarm(10);
		while (viommu_vhu_crowded(f->vhu))
			usleep(1000);
		front_connect(f);
		front_pump(f);
		assert_true(viommu_vhu_ready(f->vhu));
		viommu_vhu_disconnect(f->vhu);
	}
	alarm(0);
	assert_int_equal(f->ready, before + 31);
	viommu_vhu_destroy(bad);
	back_close(&back);
	while (other_count)
		close(others[--other_count]);
}

static void test_too_many_regions(void **state)
{
	struct front *f = *state;

	for (unsigned i = 1; i <= VHU_REGIONS_MAX; i++)
		assert_int_equal(
			viommu_mem_add(f->v, (struct viommu_gpa){(uint64_t)i << 32}, VHU_PAGE, f->ram, f->ram_fd, 0),
			0);
	front_connect(f);
	expect_lost(f, "guest memory has more than 8 regions");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_wrong_answers),
		TEST(test_poor_offers),
		TEST(test_queue_number_is_no_trap),
		TEST(test_answer_to_nothing),
		TEST(test_refused_invalidation),
		TEST(test_requests_before_there_is_an_iotlb),
		TEST(test_iotlb_message_of_a_wrong_size),
		TEST(test_iotlb_message_without_access),
		TEST(test_iotlb_message_with_unknown_access),
		TEST(test_descriptors_with_a_request),
		TEST(test_answer_over_the_requests),
		TEST(test_malformed_request),
		TEST(test_closed_channel),
		TEST(test_unknown_requests),
		TEST(test_answers_that_are_not_read),
		TEST(test_flood_is_served_in_portions),
		TEST(test_answer_that_never_comes),
		TEST(test_acknowledgement_that_never_comes),
		TEST(test_invalidation_behind_a_slow_answer),
		TEST(test_update_behind_a_slow_answer),
		TEST(test_update_after_a_slow_answer),
		TEST(test_who_is_late_again_and_again_is_given_up),
		TEST(test_who_is_late_behind_something_else_is_given_up),
		TEST(test_back_end_that_does_not_read),
		TEST(test_torn_answer),
		TEST(test_descriptors_that_cannot_be_closed),
		TEST(test_one_back_end_is_not_in_the_way_of_another),
		TEST(test_too_many_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
