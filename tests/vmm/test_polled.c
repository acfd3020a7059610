/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices whose queues the I/O thread polls: a network card and a disk. What the driver offers is served without a
 * notification while that goes on, and none is lost when it ends, for whatever reason. The clock stands still.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/net_driver.h"
#include "tests/support/pci_bar.h"
#include "vmm/util/loop.h"

enum { RX = 0, TX = 1, DISK_QUEUE = 0, DISK = 1 << 20, FRAME = 60, MANY = 40, ROUNDS = 20, FEW = 3 };
enum { S = 1000000000, IDLE_NS = 10000000 };

#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)

/* The time, and what is called when somebody reads it. */
static uint64_t clock_ns;
static void (*clock_read)(void);
static struct net_fixture *machine;
static char disk[] = "/tmp/viommu-polled-XXXXXX";

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	if (clock_read)
		clock_read();
	*now = (struct timespec){.tv_sec = (time_t)(clock_ns / S), .tv_nsec = (long)(clock_ns % S)};
	return 0;
}

/* A device, one of its queues, and something that a driver asks for in it. */
struct kind {
	unsigned queue;
	void (*create)(struct net_fixture *f, uint64_t features);
	void (*add)(struct net_fixture *f);
};

static void create_card(struct net_fixture *f, uint64_t features)
{
	net_boot(f, 1, features);
}

static void add_frame(struct net_fixture *f)
{
	memset(f->ram + BUFFERS, 0, TAP_HEADER_SIZE + FRAME);
	net_add(f, TX, BUFFERS, TAP_HEADER_SIZE + FRAME, false);
}

static void create_disk(struct net_fixture *f, uint64_t features)
{
	const struct virtio_env env = {.loop = f->loop, .poll = f->poll};
	const struct virtio_disk_config config = {.path = disk, .queues = 1};

	if (!f->pci)
		assert_int_equal(virtio_blk_create(&env, &config, &f->pci), 0);
	net_start_device(f, features);
}

static void add_read(struct net_fixture *f)
{
	const struct virtio_blk_outhdr header = {.type = htole32(VIRTIO_BLK_T_IN)};

	net_add_command(f, DISK_QUEUE, &header, sizeof(header), 512 + 1);
}

static const struct kind card_sends = {TX, create_card, add_frame};
static const struct kind disk_reads = {DISK_QUEUE, create_disk, add_read};

/* A device, and how its driver asks to be asked. */
struct way {
	const struct kind *kind;
	bool event_idx;
};

static struct kick_stats stats_of(struct net_fixture *f)
{
	struct kick_stats stats = {0};

	assert_true(f->pci->ops->kick_stats(f->pci, &stats));
	return stats;
}

static uint64_t features_of(const struct way *way)
{
	return way->event_idx ? ~0ull : ~EVENT_IDX;
}

static void each_way(void (*test)(struct net_fixture *f, const struct way *way), enum polling_mode poll)
{
	for (unsigned i = 0; i < 4; i++) {
		const struct way way = {i & 1 ? &card_sends : &disk_reads, i & 2};
		void *state;

		clock_ns = 1000ull * S;
		clock_read = NULL;
		net_setup(&state);
		machine = state;
		machine->poll = poll;
		way.kind->create(machine, features_of(&way));
		test(machine, &way);
		net_teardown(&state);
	}
}

static void runs(struct net_fixture *f)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		net_settle(f);
}

/* A disk takes its time, which is not the clock's. */
static void expect_served(struct net_fixture *f, const struct way *way)
{
	uint64_t address;
	uint32_t used;

	for (unsigned i = 0; i < 1000 && !net_is_used(f, way->kind->queue); i++) {
		poll(NULL, 0, i ? 1 : 0);
		net_settle(f);
	}
	assert_true(net_used(f, way->kind->queue, &used, &address));
}

static void expect_found(struct net_fixture *f, const struct way *way)
{
	way->kind->add(f);
	expect_served(f, way);
}

static void expect_not_found(struct net_fixture *f, const struct way *way)
{
	way->kind->add(f);
	runs(f);
	assert_false(net_is_used(f, way->kind->queue));
}

static void serve_notified(struct net_fixture *f, const struct way *way)
{
	way->kind->add(f);
	net_kick_queue(f, way->kind->queue);
	expect_served(f, way);
}

/* As a driver finds out before it notifies of the next chain (virtio 1.2, sections 2.7.7.1 and 2.7.10.1). */
static bool queue_is_to_notify(struct net_fixture *f, unsigned queue, bool event_idx)
{
	const struct vring vring = net_ring(f, queue);

	if (event_idx)
		return *(uint16_t *)&vring.used->ring[vring.num] == vring.avail->idx;
	return !(vring.used->flags & VRING_USED_F_NO_NOTIFY);
}

static bool is_to_notify(struct net_fixture *f, const struct way *way)
{
	return queue_is_to_notify(f, way->kind->queue, way->event_idx);
}

static bool is_polled(struct net_fixture *f)
{
	const uint64_t before = stats_of(f).polling.looks;

	runs(f);
	return stats_of(f).polling.looks != before;
}

/* Notifications that come close together, until polling begins. */
static void make_busy(struct net_fixture *f, const struct way *way)
{
	for (unsigned i = 0; i < MANY && !stats_of(f).polling.begun; i++)
		serve_notified(f, way);
	assert_int_equal(stats_of(f).polling.begun, 1);
	expect_found(f, way);
	assert_false(is_to_notify(f, way));
}

static void let_polling_end(struct net_fixture *f)
{
	clock_ns += IDLE_NS;
	runs(f);
	assert_false(is_polled(f));
}

static void expect_as_notified(struct net_fixture *f, const struct way *way)
{
	assert_true(is_to_notify(f, way));
	way->kind->add(f);
	runs(f);
	assert_false(net_is_used(f, way->kind->queue));
	net_kick_queue(f, way->kind->queue);
	expect_served(f, way);
	assert_true(is_to_notify(f, way));
}

static void is_never_polled(struct net_fixture *f, const struct way *way)
{
	for (unsigned i = 0; i < MANY; i++)
		serve_notified(f, way);
	expect_as_notified(f, way);
	assert_int_equal(stats_of(f).notifications, MANY + 1);
	assert_int_equal(stats_of(f).polling.begun, 0);
	assert_false(is_polled(f));
}

static void test_off(void **state)
{
	(void)state;
	each_way(is_never_polled, POLLING_OFF);
}

static void needs_no_notification(struct net_fixture *f, const struct way *way)
{
	const uint64_t before = stats_of(f).notifications;

	for (unsigned i = 0; i < FEW; i++) {
		expect_found(f, way);
		assert_false(is_to_notify(f, way));
	}
	assert_int_equal(stats_of(f).notifications, before);
	assert_int_equal(stats_of(f).polling.begun, 1);
	assert_in_range(stats_of(f).polling.found, FEW, 2 * FEW); /* a disk's request is found twice */
	clock_ns += IDLE_NS;
	assert_true(is_polled(f));
}

static void test_polled_queue_needs_no_notification(void **state)
{
	(void)state;
	each_way(needs_no_notification, POLLING_ALWAYS);
}

static void begins_and_ends(struct net_fixture *f, const struct way *way)
{
	make_busy(f, way);
	let_polling_end(f);
	expect_as_notified(f, way);
}

static void test_after_polling_the_driver_is_asked_to_notify(void **state)
{
	(void)state;
	each_way(begins_and_ends, POLLING_AUTO);
}

static void stays_off_where_idle(struct net_fixture *f, const struct way *way)
{
	for (unsigned i = 0; i < MANY; i++) {
		clock_ns += IDLE_NS;
		serve_notified(f, way);
	}
	assert_int_equal(stats_of(f).polling.begun, 0);
	assert_false(is_polled(f));
}

static void test_few_notifications_begin_nothing(void **state)
{
	(void)state;
	each_way(stays_off_where_idle, POLLING_AUTO);
}

/* A driver that is not asked to notify adds a chain when the last look is over, and polling about to end. */
static const struct way *adds;

static void add_before_the_end(void)
{
	clock_read = NULL;
	adds->kind->add(machine);
	clock_ns += IDLE_NS;
}

static void ends_while_a_chain_comes(struct net_fixture *f, const struct way *way)
{
	make_busy(f, way);
	runs(f); /* a disk's answers are given back */
	adds = way;
	clock_read = add_before_the_end;
	expect_served(f, way);
	assert_null(clock_read);
	runs(f);
	assert_false(is_polled(f));
	assert_true(is_to_notify(f, way));
}

static void test_chain_that_comes_as_polling_ends_is_served(void **state)
{
	(void)state;
	each_way(ends_while_a_chain_comes, POLLING_AUTO);
}

static void set_master(struct net_fixture *f, bool on)
{
	pci_config_write(f->pci, PCI_COMMAND, on ? PCI_COMMAND_MASTER : 0, 2);
}

static void ends_without_bus_mastering(struct net_fixture *f, const struct way *way)
{
	make_busy(f, way);
	runs(f);
	set_master(f, false);
	way->kind->add(f);
	let_polling_end(f);
	assert_false(net_is_used(f, way->kind->queue));
	set_master(f, true);
	expect_served(f, way);
	assert_true(is_to_notify(f, way));
}

static void test_polling_ends_while_bus_mastering_is_off(void **state)
{
	(void)state;
	each_way(ends_without_bus_mastering, POLLING_AUTO);
}

static void goes_on_with_bus_mastering(struct net_fixture *f, const struct way *way)
{
	expect_found(f, way);
	runs(f);
	set_master(f, false);
	expect_not_found(f, way);
	set_master(f, true);
	expect_served(f, way);
	expect_found(f, way);
}

static void test_polling_goes_on_when_bus_mastering_is_back(void **state)
{
	(void)state;
	each_way(goes_on_with_bus_mastering, POLLING_ALWAYS);
}

static void ends_with_reset(struct net_fixture *f, const struct way *way)
{
	expect_found(f, way);
	net_device_reset(f);
	assert_false(is_polled(f));
	way->kind->create(f, features_of(way));
	expect_found(f, way);
	assert_true(is_polled(f));
	assert_int_equal(stats_of(f).polling.begun, 2);
}

static void test_polling_lasts_from_start_to_reset(void **state)
{
	(void)state;
	each_way(ends_with_reset, POLLING_ALWAYS);
}

static void begins_anew_after_reset(struct net_fixture *f, const struct way *way)
{
	make_busy(f, way);
	net_device_reset(f);
	assert_false(is_polled(f));
	way->kind->create(f, features_of(way));
	assert_false(is_polled(f));
	expect_as_notified(f, way);
}

static void test_after_a_reset_the_driver_is_asked_to_notify(void **state)
{
	(void)state;
	each_way(begins_anew_after_reset, POLLING_AUTO);
}

static void goes_on_after_queue_reset(struct net_fixture *f, const struct way *way)
{
	expect_found(f, way);
	net_queue_reset_and_enable(f, way->kind->queue);
	expect_found(f, way);
	assert_false(is_to_notify(f, way));
	assert_int_equal(stats_of(f).polling.begun, 1);
}

static void test_queue_that_was_reset_is_polled(void **state)
{
	(void)state;
	each_way(goes_on_after_queue_reset, POLLING_ALWAYS);
}

static void ends_with_broken_ring(struct net_fixture *f, const struct way *way)
{
	expect_found(f, way);
	net_ring(f, way->kind->queue).avail->idx += 2 * BAR_QUEUE_SIZE;
	runs(f);
	assert_true(net_status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_false(is_polled(f));
	net_kick_queue(f, way->kind->queue);
	assert_false(is_polled(f));
	net_device_reset(f);
	way->kind->create(f, features_of(way));
	expect_found(f, way);
}

static void test_broken_ring_ends_polling(void **state)
{
	(void)state;
	each_way(ends_with_broken_ring, POLLING_ALWAYS);
}

/* The tap's side of a card. */
static void give_frame(struct net_fixture *f)
{
	static const uint8_t frame[TAP_HEADER_SIZE + FRAME];

	assert_int_equal(send(f->tap[0], frame, sizeof(frame), 0), sizeof(frame));
}

static void add_buffer(struct net_fixture *f)
{
	net_add(f, RX, BUFFERS, BUFFER_SIZE, true);
}

static bool received(struct net_fixture *f)
{
	uint64_t address;
	uint32_t used;

	runs(f);
	return net_used(f, RX, &used, &address);
}

static void each_card(void (*test)(struct net_fixture *f, bool event_idx), enum polling_mode poll)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct way way = {&card_sends, i};
		void *state;

		clock_ns = 1000ull * S;
		clock_read = NULL;
		net_setup(&state);
		machine = state;
		machine->poll = poll;
		create_card(machine, features_of(&way));
		test(machine, i);
		net_teardown(&state);
	}
}

/* The driver's buffers are found by looks, the tap's frames by the loop. */
static void frames_are_found(struct net_fixture *f, bool event_idx)
{
	for (unsigned i = 0; i < FEW; i++) {
		give_frame(f);
		runs(f);
		add_buffer(f);
		assert_true(received(f));
		assert_false(queue_is_to_notify(f, RX, event_idx));
	}
	assert_int_equal(stats_of(f).notifications, 0);
	assert_int_equal(stats_of(f).polling.found, FEW);
	add_buffer(f);
	runs(f);
	assert_int_equal(f->net->pairs[0].events, EPOLLIN);
}

static void test_polled_tap(void **state)
{
	(void)state;
	each_card(frames_are_found, POLLING_ALWAYS);
}

/* One that takes several buffers, of which the last ones come late. */
static void frame_waits_for_buffers(struct net_fixture *f, bool event_idx)
{
	for (unsigned i = 0; i < FEW; i++) {
		assert_false(received(f));
		net_add(f, RX, BUFFERS, TAP_HEADER_SIZE + FRAME / FEW, true);
		if (!i)
			give_frame(f);
		runs(f);
		assert_false(queue_is_to_notify(f, RX, event_idx));
	}
	for (unsigned i = 0; i < FEW; i++)
		assert_true(received(f));
	assert_int_equal(stats_of(f).notifications, 0);
}

static void test_polled_frame_waits_for_buffers(void **state)
{
	(void)state;
	each_card(frame_waits_for_buffers, POLLING_ALWAYS);
}

static void be_busy_with_frames(struct net_fixture *f)
{
	for (unsigned i = 0; i < MANY; i++)
		add_buffer(f);
	net_kick_queue(f, RX);
	for (unsigned i = 0; i < MANY / 2 && !stats_of(f).polling.begun; i++) {
		give_frame(f);
		assert_true(received(f));
	}
	assert_int_equal(stats_of(f).polling.begun, 1);
}

/* Frames alone begin it, and the end of it leaves the tap watched. */
static void frames_begin_it(struct net_fixture *f, bool event_idx)
{
	(void)event_idx;
	be_busy_with_frames(f);
	let_polling_end(f);
	give_frame(f);
	assert_true(received(f));
	assert_false(is_polled(f));
}

static void test_frames_begin_polling(void **state)
{
	(void)state;
	each_card(frames_begin_it, POLLING_AUTO);
}

static void take_all_buffers(struct net_fixture *f)
{
	const struct vring vring = net_ring(f, RX);

	while (f->used[RX] != vring.avail->idx) {
		give_frame(f);
		assert_true(received(f));
	}
}

static void add_buffer_before_the_end(void)
{
	clock_read = NULL;
	add_buffer(machine);
	clock_ns += IDLE_NS;
}

/* A frame waits for a buffer, which comes as polling ends. */
static void buffer_comes_at_the_end(struct net_fixture *f, bool event_idx)
{
	be_busy_with_frames(f);
	take_all_buffers(f);
	give_frame(f);
	runs(f);
	assert_false(queue_is_to_notify(f, RX, event_idx));
	clock_read = add_buffer_before_the_end;
	assert_true(received(f));
	assert_null(clock_read);
	assert_false(is_polled(f));
	give_frame(f);
	runs(f);
	assert_true(queue_is_to_notify(f, RX, event_idx));
	add_buffer(f);
	net_kick_queue(f, RX);
	assert_true(received(f));
}

static void test_buffer_that_comes_as_polling_ends_is_filled(void **state)
{
	(void)state;
	each_card(buffer_comes_at_the_end, POLLING_AUTO);
}

/* The tap takes nothing more when polling ends: what waits goes out when it does, without a notification. */
static void tap_is_full_at_the_end(struct net_fixture *f, bool event_idx)
{
	const struct way way = {&card_sends, event_idx};
	unsigned sent = 0, taken = 0;
	char frame[TAP_HEADER_SIZE + FRAME];
	uint64_t address;
	uint32_t used;

	make_busy(f, &way);
	do {
		add_frame(f);
		runs(f);
		sent++;
	} while (net_used(f, TX, &used, &address));
	let_polling_end(f);
	while (recv(f->tap[0], frame, sizeof(frame), MSG_DONTWAIT) > 0)
		taken++;
	expect_served(f, &way);
	assert_int_equal(recv(f->tap[0], frame, sizeof(frame), MSG_DONTWAIT), sizeof(frame));
	assert_true(taken >= sent - 1);
	expect_as_notified(f, &way);
}

static void test_polling_ends_while_the_tap_is_full(void **state)
{
	(void)state;
	each_card(tap_is_full_at_the_end, POLLING_AUTO);
}

/* Without a tap there is nothing to look for; the driver notifies, and what it sends is dropped. */
static void tap_is_lost(struct net_fixture *f, bool event_idx)
{
	const struct way way = {&card_sends, event_idx};

	expect_found(f, &way);
	net_tap_lost(&f->net->card, EBADFD);
	add_frame(f);
	expect_served(f, &way);
	runs(f);
	assert_false(is_polled(f));
	expect_as_notified(f, &way);
	assert_false(is_polled(f));
	assert_int_equal(stats_of(f).polling.begun, 1);
}

static void test_lost_tap_ends_polling(void **state)
{
	(void)state;
	each_card(tap_is_lost, POLLING_ALWAYS);
}

/* All pairs are looked at, those in use and what is left in the others. */
static void test_pairs(void **state)
{
	(void)state;
	for (unsigned pair = 0; pair < 2; pair++) {
		const struct way way = {&(struct kind){2 * pair + TX, create_card, add_frame}, false};
		uint64_t address;
		uint32_t used;
		void *fixture;

		clock_ns = 1000ull * S;
		net_setup(&fixture);
		machine = fixture;
		machine->poll = POLLING_ALWAYS;
		net_boot(machine, 2, features_of(&way));
		net_add(machine, way.kind->queue, BUFFERS, TAP_HEADER_SIZE + FRAME, false);
		runs(machine);
		assert_true(net_used(machine, way.kind->queue, &used, &address));
		assert_false(is_to_notify(machine, &way));
		net_teardown(&fixture);
	}
}

static int make_disk(void **state)
{
	int fd = mkstemp(disk);

	(void)state;
	if (fd < 0 || ftruncate(fd, DISK))
		return -1;
	return close(fd);
}

static int remove_disk(void **state)
{
	(void)state;
	return unlink(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_polled_queue_needs_no_notification),
		cmocka_unit_test(test_after_polling_the_driver_is_asked_to_notify),
		cmocka_unit_test(test_few_notifications_begin_nothing),
		cmocka_unit_test(test_chain_that_comes_as_polling_ends_is_served),
		cmocka_unit_test(test_polling_ends_while_bus_mastering_is_off),
		cmocka_unit_test(test_polling_goes_on_when_bus_mastering_is_back),
		cmocka_unit_test(test_polling_lasts_from_start_to_reset),
		cmocka_unit_test(test_after_a_reset_the_driver_is_asked_to_notify),
		cmocka_unit_test(test_queue_that_was_reset_is_polled),
		cmocka_unit_test(test_broken_ring_ends_polling),
		cmocka_unit_test(test_polled_tap),
		cmocka_unit_test(test_polled_frame_waits_for_buffers),
		cmocka_unit_test(test_frames_begin_polling),
		cmocka_unit_test(test_buffer_that_comes_as_polling_ends_is_filled),
		cmocka_unit_test(test_polling_ends_while_the_tap_is_full),
		cmocka_unit_test(test_lost_tap_ends_polling),
		cmocka_unit_test(test_pairs),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, make_disk, remove_disk);
}
