/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network back end between a driver, a front end and a tap that the test plays, while translations come late and go
 * at any time: each frame arrives once, whole, and in order. Rings and buffers lie scattered in guest memory, page by
 * page.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net-backend/device.h"
#include "tests/support/front.h"
#include "tests/support/test.h"
#include "vmm/util/log.h"

enum {
	PAGE = FRONT_PAGE,
	SIZE = 256,
	FRAMES = 2000,
	FULL_FRAMES = 200000,
	BUFFER = 1700,
	BUFFERS = 40,
	FRAME_MAX = 1500
};

#define IOVA 0x1000000ull
#define FEATURES (FRONT_PLATFORM | 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_RING_F_EVENT_IDX)

/* One queue as its driver sees it: a chain is a header and a frame, each a buffer of its own in memory. */
struct driver {
	uint64_t desc, avail, used, buffers; /* IOVAs */
	int kick;
	uint16_t next_avail, next_used;
	unsigned next_sent, next_seen; /* frames */
};

static struct front front;
static struct loop *loop;
static struct net_backend device;
static struct loop_work stop_work;
static int tap; /* our end */
static int device_tap;
static struct driver rx, tx;
static unsigned seed;
static uint64_t refusals; /* misses of what the driver never mapped: none */

int tap_open(const char *name, unsigned queues, int *fds)
{
	(void)name;
	assert_int_equal(queues, 1);
	fds[0] = device_tap;
	return 0;
}

void tap_close(const int *fds, unsigned queues)
{
	close(fds[queues - 1]);
}

unsigned tap_offloads(int fd)
{
	(void)fd;
	return 0;
}

int tap_set_offloads(int fd, unsigned offloads)
{
	(void)fd;
	(void)offloads;
	return 0;
}

int tap_attach(int fd, bool attach)
{
	(void)fd;
	(void)attach;
	return 0;
}

unsigned tap_mtu(const char *name)
{
	(void)name;
	return FRAME_MAX;
}

static unsigned chance(unsigned of)
{
	return (unsigned)rand_r(&seed) % of;
}

/* Which page of guest memory a page of IOVA space is. */
static unsigned page_at(uint64_t iova)
{
	return (unsigned)((iova - IOVA) / PAGE * 37 % FRONT_PAGES);
}

static void *at(uint64_t iova)
{
	return front.memory + page_at(iova) * PAGE + iova % PAGE;
}

static void copy(uint64_t iova, void *bytes, size_t len, bool to_guest)
{
	for (size_t i = 0; i < len; i++)
		if (to_guest)
			*(uint8_t *)at(iova + i) = ((uint8_t *)bytes)[i];
		else
			((uint8_t *)bytes)[i] = *(uint8_t *)at(iova + i);
}

static void stop_loop(void *opaque)
{
	(void)opaque;
	loop_stop(loop);
}

static void run_loop(struct front *f)
{
	(void)f;
	for (unsigned i = 0; i < 4; i++) {
		loop_post(loop, &stop_work);
		assert_int_equal(loop_run(loop), 0);
	}
}

static void over(void *opaque, int error)
{
	(void)opaque;
	(void)error;
}

static void place(struct driver *driver, uint64_t iova)
{
	*driver = (struct driver){
		.desc = iova,
		.avail = iova + 16 * SIZE + 2, /* a page and more, at addresses that suit and no more */
		.used = iova + 16 * SIZE + 0x300 + 4,
		.buffers = iova + 16 * SIZE + 0x300 + 8 * SIZE + 100,
		.kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
}

static void set_queue(unsigned index, const struct driver *driver)
{
	const struct vhu_vring_state size = {index, SIZE}, base = {index, 0}, on = {index, 1};
	const struct vhu_vring_addr addr = {
		.index = index, .desc = driver->desc, .avail = driver->avail, .used = driver->used};
	uint64_t which = index;

	assert_int_equal(front_ask(&front, VHU_SET_VRING_NUM, &size, sizeof(size), NULL, 0), 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_BASE, &base, sizeof(base), NULL, 0), 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_KICK, &which, sizeof(which), &driver->kick, 1), 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0), 0);
}

static int open_device(void **state)
{
	int fds[2], fd = front_connect(&front);

	(void)state;
	seed = 1;
	memset(front.memory, 0, FRONT_SIZE);
	front.serve = run_loop;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	tap = fds[0];
	device_tap = fds[1];
	stop_work = (struct loop_work){.run = stop_loop};
	assert_int_equal(loop_create(&loop), 0);
	device = (struct net_backend){.over = over};
	assert_int_equal(net_backend_init(&device, loop, "tap", 1), 0);
	assert_int_equal(net_backend_connect(&device, fd), 0);
	front_setup(&front, FEATURES);
	place(&rx, IOVA);
	place(&tx, IOVA + 32 * PAGE);
	set_queue(NET_RX, &rx);
	set_queue(NET_TX, &tx);
	return 0;
}

static int close_device(void **state)
{
	(void)state;
	net_backend_fini(&device);
	loop_destroy(loop);
	close(tap);
	close(rx.kick);
	close(tx.kick);
	front_disconnect(&front);
	return 0;
}

static void kick(const struct driver *driver)
{
	uint64_t one = 1;

	assert_int_equal(write(driver->kick, &one, sizeof(one)), sizeof(one));
}

static uint16_t used_index(const struct driver *driver)
{
	return *(volatile uint16_t *)at(driver->used + 2);
}

static void describe(const struct driver *driver, unsigned slot, uint64_t iova, uint32_t len, uint16_t flags)
{
	struct vring_desc desc = {htole64(iova), htole32(len), htole16(flags), htole16((uint16_t)(slot + 1))};

	copy(driver->desc + 16 * slot, &desc, sizeof(desc), true);
}

static void offer(struct driver *driver, unsigned head)
{
	uint16_t index;

	*(uint16_t *)at(driver->avail + 4 + 2 * (driver->next_avail % SIZE)) = (uint16_t)head;
	index = ++driver->next_avail;
	__atomic_store_n((uint16_t *)at(driver->avail + 2), index, __ATOMIC_RELEASE);
}

static size_t frame_size(unsigned number)
{
	return 60 + number * 97 % (FRAME_MAX - 60);
}

static void make_frame(uint8_t *frame, unsigned number)
{
	for (size_t i = 0; i < frame_size(number); i++)
		frame[i] = (uint8_t)(number + i * 7);
	memcpy(frame, &number, sizeof(number));
}

static void check_frame(const uint8_t *frame, size_t len, unsigned number)
{
	uint8_t expected[FRAME_MAX];

	make_frame(expected, number);
	assert_int_equal(len, frame_size(number));
	assert_memory_equal(frame, expected, len);
}

/* Three descriptors: the header, and the frame in two parts. */
static void send_frame(unsigned number)
{
	uint8_t bytes[TAP_HEADER_SIZE + FRAME_MAX] = {0};
	unsigned slot = number % BUFFERS;
	uint64_t iova = tx.buffers + (uint64_t)slot * BUFFER;
	uint32_t size = (uint32_t)frame_size(number);

	make_frame(bytes + TAP_HEADER_SIZE, number);
	copy(iova, bytes, TAP_HEADER_SIZE + size, true);
	describe(&tx, 3 * slot, iova, TAP_HEADER_SIZE, VRING_DESC_F_NEXT);
	describe(&tx, 3 * slot + 1, iova + TAP_HEADER_SIZE, 40, VRING_DESC_F_NEXT);
	describe(&tx, 3 * slot + 2, iova + TAP_HEADER_SIZE + 40, size - 40, 0);
	offer(&tx, 3 * slot);
}

static void drive_tx(unsigned goal)
{
	uint8_t bytes[TAP_HEADER_SIZE + FRAME_MAX];
	ssize_t n;

	while (tx.next_sent < goal && (uint16_t)(tx.next_avail - used_index(&tx)) < BUFFERS && chance(8))
		send_frame(tx.next_sent++);
	kick(&tx);
	while ((n = recv(tap, bytes, sizeof(bytes), 0)) > 0)
		check_frame(bytes + TAP_HEADER_SIZE, (size_t)n - TAP_HEADER_SIZE, tx.next_seen++);
}

static void offer_buffer(unsigned slot)
{
	describe(&rx, slot, rx.buffers + (uint64_t)slot * BUFFER, BUFFER, VRING_DESC_F_WRITE);
	offer(&rx, slot);
}

static void take_frame(void)
{
	uint8_t bytes[TAP_HEADER_SIZE + FRAME_MAX];
	struct vring_used_elem element;
	struct virtio_net_hdr_mrg_rxbuf header;

	copy(rx.used + 4 + 8ull * (rx.next_used % SIZE), &element, sizeof(element), false);
	rx.next_used++;
	assert_true(element.id < BUFFERS);
	assert_int_equal(element.len, TAP_HEADER_SIZE + frame_size(rx.next_seen));
	copy(rx.buffers + (uint64_t)element.id * BUFFER, bytes, element.len, false);
	memcpy(&header, bytes, sizeof(header));
	assert_int_equal(header.num_buffers, 1);
	check_frame(bytes + TAP_HEADER_SIZE, element.len - TAP_HEADER_SIZE, rx.next_seen++);
	offer_buffer(element.id);
}

static void drive_rx(unsigned goal)
{
	uint8_t bytes[TAP_HEADER_SIZE + FRAME_MAX];

	while (rx.next_sent < goal && rx.next_sent - rx.next_seen < BUFFERS / 2 && chance(8)) {
		memset(bytes, 0, TAP_HEADER_SIZE);
		make_frame(bytes + TAP_HEADER_SIZE, rx.next_sent);
		if (send(tap, bytes, TAP_HEADER_SIZE + frame_size(rx.next_sent), 0) < 0)
			break;
		rx.next_sent++;
	}
	while (rx.next_used != used_index(&rx))
		take_frame();
	kick(&rx);
}

/* The front end answers some of what it is asked, a page at a time. */
static void answer_misses(void)
{
	struct vhu_iotlb miss;

	while (chance(6) && front_hear(&front, &miss)) {
		uint64_t iova = miss.iova & ~(uint64_t)(PAGE - 1);

		if (miss.type == VHU_IOTLB_ACCESS_FAIL || iova < IOVA || iova >= IOVA + FRONT_SIZE) {
			refusals++;
			continue;
		}
		assert_int_equal(
			front_update(&front, iova, FRONT_USER + (uint64_t)page_at(iova) * PAGE, PAGE, VHU_ACCESS_RW),
			0);
		front_reply(&front, 0);
	}
}

/* A lazy guest lets everything go at once, a strict one page by page. */
static void take_away(void)
{
	if (!chance(10))
		assert_int_equal(front_invalidate(&front, 0, 0), 0);
	else if (!chance(3))
		assert_int_equal(front_invalidate(&front, IOVA + chance(FRONT_PAGES) * PAGE, PAGE), 0);
}

static void test_frames_arrive_once_whole_and_in_order(void **state)
{
	const unsigned goal = getenv("FULL") ? FULL_FRAMES : FRAMES;
	struct viommu_backend_stats stats = {.size = sizeof(struct viommu_backend_stats)};

	(void)state;
	for (unsigned slot = 0; slot < BUFFERS; slot++)
		offer_buffer(slot);
	while (tx.next_seen < goal || rx.next_seen < goal) {
		drive_tx(goal);
		drive_rx(goal);
		take_away();
		run_loop(&front);
		answer_misses();
	}
	assert_int_equal(refusals, 0);
	assert_int_equal(tx.next_seen, goal);
	viommu_backend_stats_get(device.connection, &stats);
	assert_true(stats.misses > goal / 10 && stats.invalidates > goal / 100);
	assert_int_equal(stats.faults, 0);
}

/* The queue stops in the middle of it and goes on elsewhere: nothing that was taken is forgotten. */
static void test_queue_stops_and_goes_on(void **state)
{
	const struct vhu_vring_state which = {NET_TX, 0};
	struct channel_message reply;

	(void)state;
	for (unsigned slot = 0; slot < BUFFERS; slot++)
		offer_buffer(slot);
	for (unsigned turn = 0; tx.next_seen < 200; turn++) {
		drive_tx(200);
		take_away();
		answer_misses();
		if (turn % 16)
			continue;
		front_send(&front, VHU_GET_VRING_BASE, 0, &which, sizeof(which), NULL, 0);
		run_loop(&front);
		assert_true(front_answer(&front, &reply));
		assert_int_equal(reply.state.num, used_index(&tx));
		const struct vhu_vring_state base = {NET_TX, reply.state.num};
		const uint64_t index = NET_TX;

		assert_int_equal(front_ask(&front, VHU_SET_VRING_BASE, &base, sizeof(base), NULL, 0), 0);
		assert_int_equal(front_ask(&front, VHU_SET_VRING_KICK, &index, sizeof(index), &tx.kick, 1), 0);
	}
}

/* A front end without kick descriptors. */
static void test_queue_that_nobody_kicks_is_polled(void **state)
{
	const struct vhu_vring_state which = {NET_TX, 0}, base = {NET_TX, 0};
	const uint64_t index = NET_TX | VHU_VRING_NO_FD;
	uint8_t bytes[TAP_HEADER_SIZE + FRAME_MAX];
	struct channel_message reply;
	ssize_t n;

	(void)state;
	front_send(&front, VHU_GET_VRING_BASE, 0, &which, sizeof(which), NULL, 0);
	run_loop(&front);
	assert_true(front_answer(&front, &reply));
	assert_int_equal(front_ask(&front, VHU_SET_VRING_BASE, &base, sizeof(base), NULL, 0), 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_KICK, &index, sizeof(index), NULL, 0), 0);
	for (unsigned turn = 0; tx.next_seen < 20 && turn < 100000; turn++) {
		if (tx.next_sent == tx.next_seen)
			send_frame(tx.next_sent++);
		run_loop(&front);
		answer_misses();
		while ((n = recv(tap, bytes, sizeof(bytes), 0)) > 0)
			check_frame(bytes + TAP_HEADER_SIZE, (size_t)n - TAP_HEADER_SIZE, tx.next_seen++);
	}
	assert_int_equal(tx.next_seen, 20);
}

static unsigned interrupts(int call)
{
	uint64_t count;

	return read(call, &count, sizeof(count)) == sizeof(count) ? (unsigned)count : 0;
}

static void set_call(unsigned index, int call)
{
	const uint64_t which = index;

	assert_int_equal(front_ask(&front, VHU_SET_VRING_CALL, &which, sizeof(which), &call, 1), 0);
}

/*
 * A back end was killed after it had given chains back, and before it interrupted the driver, who waits for just that
 * and makes nothing more available: the next back end interrupts, though it gives nothing back.
 */
static void test_driver_that_was_not_told_is_told(void **state)
{
	const struct vhu_vring_state which = {NET_TX, 0}, base = {NET_TX, 5};
	const uint64_t index = NET_TX;
	int call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct channel_message reply;

	(void)state;
	set_call(NET_TX, call);
	for (unsigned i = 0; i < 100; i++) {
		run_loop(&front);
		answer_misses();
	}
	interrupts(call);
	front_send(&front, VHU_GET_VRING_BASE, 0, &which, sizeof(which), NULL, 0);
	run_loop(&front);
	assert_true(front_answer(&front, &reply));
	for (uint64_t i = 0; i < 2; i++)
		*(uint16_t *)at((i ? tx.used : tx.avail) + 2) = 5;
	*(uint16_t *)at(tx.avail + 4 + 2 * SIZE) = 2; /* used_event: of the third that was given back */
	assert_int_equal(interrupts(call), 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_BASE, &base, sizeof(base), NULL, 0), 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_KICK, &index, sizeof(index), &tx.kick, 1), 0);
	for (unsigned i = 0; i < 100; i++) {
		run_loop(&front);
		answer_misses();
	}
	assert_int_equal(interrupts(call), 1);
	close(call);
}

/* The front end makes its memory's file shorter: frames for what is gone are lost, the tap is not. */
static void test_buffers_that_vanish_are_no_fault_of_the_tap(void **state)
{
	const struct vhu_vring_state off = {NET_TX, 0};
	const unsigned last = FRONT_PAGES - 1;
	uint64_t buffer = IOVA;
	uint8_t frame[TAP_HEADER_SIZE + 60] = {0};

	(void)state;
	assert_int_equal(front_ask(&front, VHU_SET_VRING_ENABLE, &off, sizeof(off), NULL, 0), 0);
	while (page_at(buffer) != last)
		buffer += PAGE;
	describe(&rx, 0, buffer, PAGE, VRING_DESC_F_WRITE);
	offer(&rx, 0);
	assert_int_equal(ftruncate(front.memory_fd, FRONT_SIZE - PAGE), 0);
	assert_int_equal(send(tap, frame, sizeof(frame), 0), sizeof(frame));
	for (unsigned i = 0; i < 200 && !used_index(&rx); i++) {
		kick(&rx);
		run_loop(&front);
		answer_misses();
	}
	assert_false(device.card.tap_gone);
	/* The buffer is given back with nothing in it. */
	assert_int_equal(used_index(&rx), 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_device, close_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_frames_arrive_once_whole_and_in_order),
		CASE(test_queue_that_nobody_kicks_is_polled),
		CASE(test_queue_stops_and_goes_on),
		CASE(test_driver_that_was_not_told_is_told),
		CASE(test_buffers_that_vanish_are_no_fault_of_the_tap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
