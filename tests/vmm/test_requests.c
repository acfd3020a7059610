/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * On which thread a virtio-iommu's requests are served, and that none is lost on the way from one to another. With the
 * monitor's wiring, without a guest; the loop runs when a test says so, and the clock stands still.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <time.h>

#include "lib/spec/virtio_iommu.h"
#include "tests/support/pci_bar.h"
#include "tests/support/wired.h"
#include "vmm/util/loop.h"
#include "vmm/virtio/iommu.h"
#include "vmm/wiring/iommu.h"

enum { REQUESTS = 3, MANY = 40, ROUNDS = 20, S = 1000000000, IDLE_NS = 10000000 };

#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define ALL_FEATURES (~0ull)

/* The time, and what is called when somebody reads it. */
static uint64_t clock_ns;
static void (*clock_read)(void);
static struct wired *machine;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	if (clock_read)
		clock_read();
	*now = (struct timespec){.tv_sec = (time_t)(clock_ns / S), .tv_nsec = (long)(clock_ns % S)};
	return 0;
}

static struct virtio_dev *unit(struct wired *w)
{
	return (struct virtio_dev *)((char *)w->net.pci - offsetof(struct virtio_dev, pci));
}

static struct request_stats stats_of(struct wired *w)
{
	struct request_stats stats = {0};

	assert_true(iommu_wiring_requests(w->wiring, &stats));
	return stats;
}

static struct wired *create(enum polling_mode poll, uint64_t features)
{
	clock_ns = 1000ull * S;
	clock_read = NULL;
	machine = wired_create_virtio(poll, features);
	return machine;
}

/* Both ways to ask for notifications. */
static void each_way(void (*test)(struct wired *w, bool event_idx), enum polling_mode poll)
{
	for (unsigned i = 0; i < 2; i++) {
		struct wired *w = create(poll, i ? ALL_FEATURES : ~EVENT_IDX);

		test(w, i);
		wired_destroy(w);
	}
}

static void add(struct wired *w, const uint8_t *request, uint32_t size)
{
	net_add_command(&w->net, VIOMMU_VIRTIO_REQUESTQ, request, size, VIO_TAIL_SIZE);
}

static void add_attach(struct wired *w)
{
	uint8_t request[VIO_ATTACH_SIZE];

	add(w, request, wired_attach(request));
}

static void add_map(struct wired *w, unsigned page)
{
	uint8_t request[VIO_MAP_SIZE];

	add(w, request, wired_map(request, page));
}

static void add_unmap(struct wired *w, unsigned page)
{
	uint8_t request[VIO_UNMAP_SIZE];

	add(w, request, wired_unmap(request, page));
}

static void notify(struct wired *w)
{
	wired_notify(w, VIOMMU_VIRTIO_REQUESTQ);
}

/* Notify, and have the answer; the loop does not run. */
static void serve_here(struct wired *w)
{
	notify(w);
	wired_expect_answer(w);
}

static void attach_and_map(struct wired *w)
{
	add_attach(w);
	serve_here(w);
	add_map(w, 0);
	serve_here(w);
}

static void *notify_once(void *opaque)
{
	notify(opaque);
	return NULL;
}

/* A vCPU's thread, which comes back while nobody else does anything. */
static void notify_elsewhere(struct wired *w)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, notify_once, w), 0);
	pthread_join(thread, NULL);
}

static void runs(struct wired *w)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		net_settle(&w->net);
}

/* Without a notification: the loop finds it. */
static void expect_found(struct wired *w)
{
	runs(w);
	wired_expect_answer(w);
}

static uint16_t avail_idx(struct wired *w)
{
	return net_ring(&w->net, VIOMMU_VIRTIO_REQUESTQ).avail->idx;
}

static struct vring_used *used_ring(struct wired *w)
{
	return net_ring(&w->net, VIOMMU_VIRTIO_REQUESTQ).used;
}

static uint16_t *avail_event(struct wired *w)
{
	const struct vring vring = net_ring(&w->net, VIOMMU_VIRTIO_REQUESTQ);

	return (uint16_t *)&vring.used->ring[vring.num];
}

/* As a driver finds out before it notifies of the next request (virtio 1.2, sections 2.7.7.1 and 2.7.10.1). */
static bool is_to_notify(struct wired *w, bool event_idx)
{
	if (event_idx)
		return *avail_event(w) == avail_idx(w);
	return !(used_ring(w)->flags & VRING_USED_F_NO_NOTIFY);
}

static void answers_before_it_returns(struct wired *w, bool event_idx)
{
	assert_true(is_to_notify(w, event_idx));
	attach_and_map(w);
	assert_true(wired_reaches(w, 0));
	add_unmap(w, 0);
	notify_elsewhere(w);
	wired_expect_answer(w);
	assert_false(wired_reaches(w, 0));
	assert_true(is_to_notify(w, event_idx));
	assert_int_equal(stats_of(w).notifications, 3);
	assert_int_equal(stats_of(w).requests, 3);
	assert_int_equal(stats_of(w).polling.begun, 0);
}

static void test_notified_request_is_answered_before_it_returns(void **state)
{
	(void)state;
	each_way(answers_before_it_returns, POLLING_OFF);
	each_way(answers_before_it_returns, POLLING_AUTO);
}

static void goes_to_the_loop(struct wired *w, bool event_idx)
{
	virtio_enter(unit(w));
	add_attach(w);
	notify_elsewhere(w);
	assert_false(wired_answered(w));
	virtio_leave(unit(w));
	assert_false(wired_answered(w));
	net_settle(&w->net);
	wired_expect_answer(w);
	assert_true(is_to_notify(w, event_idx));
	assert_int_equal(stats_of(w).notifications, 1);
}

static void test_contended_notification_is_served_by_the_loop(void **state)
{
	(void)state;
	each_way(goes_to_the_loop, POLLING_OFF);
}

static void is_polled(struct wired *w, bool event_idx)
{
	uint16_t event = *avail_event(w);

	net_settle(&w->net);
	for (unsigned i = 0; i < REQUESTS; i++) {
		if (i)
			add_map(w, i);
		else
			add_attach(w);
		expect_found(w);
		if (event_idx)
			assert_int_equal(*avail_event(w), event);
		else
			assert_true(used_ring(w)->flags & VRING_USED_F_NO_NOTIFY);
	}
	assert_int_equal(stats_of(w).notifications, 0);
	assert_int_equal(stats_of(w).requests, REQUESTS);
	assert_int_equal(stats_of(w).polling.begun, 1);
	assert_int_equal(stats_of(w).polling.found, REQUESTS);
}

static void test_polled_request_needs_no_notification(void **state)
{
	(void)state;
	each_way(is_polled, POLLING_ALWAYS);
}

/* Notifications that come close together, until polling begins. */
static void make_busy(struct wired *w)
{
	add_attach(w);
	serve_here(w);
	for (unsigned i = 0; i < MANY && !stats_of(w).polling.begun; i++) {
		add_map(w, i);
		serve_here(w);
		net_settle(&w->net);
	}
	assert_int_equal(stats_of(w).polling.begun, 1);
	add_unmap(w, 0);
	expect_found(w);
}

static void let_polling_end(struct wired *w)
{
	struct polling_stats before;

	clock_ns += IDLE_NS;
	runs(w);
	before = stats_of(w).polling;
	runs(w);
	assert_int_equal(stats_of(w).polling.looks, before.looks);
}

static void ends_and_asks(struct wired *w, bool event_idx)
{
	make_busy(w);
	let_polling_end(w);
	assert_true(is_to_notify(w, event_idx));
	add_unmap(w, 0);
	runs(w);
	assert_false(wired_answered(w));
	serve_here(w);
	assert_true(is_to_notify(w, event_idx));
}

static void test_after_polling_the_driver_is_asked_to_notify(void **state)
{
	(void)state;
	each_way(ends_and_asks, POLLING_AUTO);
}

/* A driver that is not asked to notify adds a request when the last look is over, and polling about to end. */
static void add_before_the_end(void)
{
	clock_read = NULL;
	add_unmap(machine, 0);
	clock_ns += IDLE_NS;
}

static void ends_while_a_request_comes(struct wired *w, bool event_idx)
{
	make_busy(w);
	assert_false(is_to_notify(w, event_idx));
	clock_read = add_before_the_end;
	runs(w);
	assert_null(clock_read);
	wired_expect_answer(w);
	assert_true(is_to_notify(w, event_idx));
}

static void test_request_that_comes_as_polling_ends_is_served(void **state)
{
	(void)state;
	each_way(ends_while_a_request_comes, POLLING_AUTO);
}

/* What has been taken when polling ends, and waits for a device; the driver is asked to notify all the same. */
static void ends_while_one_waits(struct wired *w, bool event_idx)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	make_busy(w);
	add_map(w, 0);
	expect_found(w);
	wired_use_page(w, &section, &span, &hold);
	add_unmap(w, 0);
	runs(w);
	let_polling_end(w);
	assert_false(wired_answered(w));
	assert_true(is_to_notify(w, event_idx));
	viommu_dma_release(&hold);
	expect_found(w);
}

static void test_polling_ends_while_a_request_waits(void **state)
{
	(void)state;
	each_way(ends_while_one_waits, POLLING_AUTO);
}

/* No batch is left to take the next request in, so the ring cannot be looked at; it is when one is complete. */
static void ends_while_all_batches_wait(struct wired *w, bool event_idx)
{
	struct viommu_section section;
	struct viommu_span span;

	make_busy(w);
	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++) {
		add_unmap(w, i);
		expect_found(w);
		add_map(w, i);
		expect_found(w);
	}
	wired_use_page(w, &section, &span, NULL);
	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++) {
		add_unmap(w, i);
		runs(w);
	}
	let_polling_end(w);
	add_map(w, MANY);
	runs(w);
	assert_false(wired_answered(w));
	viommu_dma_end(&section);
	runs(w);
	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES + 1; i++)
		wired_expect_answer(w);
	assert_true(is_to_notify(w, event_idx));
}

static void test_polling_ends_while_all_batches_wait(void **state)
{
	(void)state;
	each_way(ends_while_all_batches_wait, POLLING_AUTO);
}

static void master_off_as_polling_ends(struct wired *w, bool event_idx)
{
	make_busy(w);
	wired_master(w, false);
	add_map(w, 0);
	let_polling_end(w);
	assert_false(wired_answered(w));
	wired_master(w, true);
	expect_found(w);
	assert_true(is_to_notify(w, event_idx));
}

static void test_polling_ends_while_bus_mastering_is_off(void **state)
{
	(void)state;
	each_way(master_off_as_polling_ends, POLLING_AUTO);
}

static void notified_without_bus_mastering(struct wired *w, bool event_idx)
{
	wired_master(w, false);
	add_attach(w);
	notify(w);
	runs(w);
	assert_false(wired_answered(w));
	wired_master(w, true);
	expect_found(w);
	assert_true(is_to_notify(w, event_idx));
}

static void test_notified_while_bus_mastering_is_off(void **state)
{
	(void)state;
	each_way(notified_without_bus_mastering, POLLING_OFF);
}

static unsigned held_batches(struct wired *w)
{
	const struct virtio_iommu *iommu = iommu_of(unit(w));
	unsigned held = 0;

	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++)
		held += iommu->batches[i].held;
	return held;
}

/* The request was taken, so its answer waits, but nothing of it is pending as PCI has it. */
static void answers_when_the_master_is_back(struct wired *w, bool event_idx)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	attach_and_map(w);
	wired_use_page(w, &section, &span, &hold);
	add_unmap(w, 0);
	notify(w);
	runs(w);
	assert_int_equal(held_batches(w), 1);
	wired_master(w, false);
	viommu_dma_release(&hold);
	runs(w);
	assert_false(wired_answered(w));
	assert_false(net_status(&w->net) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(held_batches(w), 0);
	wired_master(w, true);
	expect_found(w);
	assert_true(is_to_notify(w, event_idx));
	add_map(w, 0);
	serve_here(w);
}

static void test_answer_waits_for_bus_mastering(void **state)
{
	(void)state;
	each_way(answers_when_the_master_is_back, POLLING_OFF);
	each_way(answers_when_the_master_is_back, POLLING_AUTO);
}

static void resets_while_an_answer_waits(struct wired *w, bool event_idx)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	(void)event_idx;
	attach_and_map(w);
	wired_use_page(w, &section, &span, &hold);
	add_unmap(w, 0);
	notify(w);
	wired_master(w, false);
	viommu_dma_release(&hold);
	runs(w);
	net_device_reset(&w->net);
	net_start_device(&w->net, event_idx ? ALL_FEATURES : ~EVENT_IDX);
	wired_master(w, true);
	runs(w);
	assert_false(wired_answered(w));
	attach_and_map(w);
}

static void test_reset_while_an_answer_waits_for_bus_mastering(void **state)
{
	(void)state;
	each_way(resets_while_an_answer_waits, POLLING_OFF);
}

/* The driver makes more available than the queue has. */
static void break_queue(struct wired *w)
{
	net_ring(&w->net, VIOMMU_VIRTIO_REQUESTQ).avail->idx += 0x4000;
}

static void fails_and_is_not_polled(struct wired *w, bool event_idx)
{
	uint64_t looks;

	net_settle(&w->net);
	assert_int_equal(stats_of(w).polling.begun, 1);
	break_queue(w);
	runs(w);
	assert_true(net_status(&w->net) & VIRTIO_CONFIG_S_NEEDS_RESET);
	looks = stats_of(w).polling.looks;
	runs(w);
	notify(w);
	runs(w);
	assert_int_equal(stats_of(w).polling.looks, looks);
	net_device_reset(&w->net);
	net_start_device(&w->net, event_idx ? ALL_FEATURES : ~EVENT_IDX);
	wired_master(w, true);
	add_attach(w);
	expect_found(w);
	assert_int_equal(stats_of(w).polling.begun, 2);
}

static void test_failed_device_is_not_polled_until_it_is_reset(void **state)
{
	(void)state;
	each_way(fails_and_is_not_polled, POLLING_ALWAYS);
}

static void fails_where_it_is_notified(struct wired *w, bool event_idx)
{
	(void)event_idx;
	break_queue(w);
	notify_elsewhere(w);
	assert_true(net_status(&w->net) & VIRTIO_CONFIG_S_NEEDS_RESET);
	notify(w);
	assert_false(wired_answered(w));
}

static void test_broken_queue_is_found_by_the_thread_that_notifies(void **state)
{
	(void)state;
	each_way(fails_where_it_is_notified, POLLING_OFF);
}

static void queue_begins_anew(struct wired *w, bool event_idx)
{
	net_settle(&w->net);
	add_attach(w);
	expect_found(w);
	net_queue_reset_and_enable(&w->net, VIOMMU_VIRTIO_REQUESTQ);
	add_map(w, 0);
	expect_found(w);
	if (!event_idx)
		assert_true(used_ring(w)->flags & VRING_USED_F_NO_NOTIFY);
	assert_int_equal(stats_of(w).notifications, 0);
	assert_true(wired_reaches(w, 0));
}

static void test_queue_reset_while_it_is_polled(void **state)
{
	(void)state;
	each_way(queue_begins_anew, POLLING_ALWAYS);
}

static bool queue_resets(struct wired *w)
{
	bar_set(w->net.pci, VIRTIO_PCI_COMMON_Q_SELECT, 2, VIOMMU_VIRTIO_REQUESTQ);
	return net_reg(&w->net, VIRTIO_PCI_COMMON_Q_RESET, 2);
}

/* A notification in the middle of it takes nothing, and does not end it. */
static void queue_reset_waits(struct wired *w, bool event_idx)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	(void)event_idx;
	attach_and_map(w);
	wired_use_page(w, &section, &span, &hold);
	add_unmap(w, 0);
	notify(w);
	bar_set(w->net.pci, VIRTIO_PCI_COMMON_Q_SELECT, 2, VIOMMU_VIRTIO_REQUESTQ);
	bar_set(w->net.pci, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	runs(w);
	add_map(w, 1);
	notify(w);
	assert_true(queue_resets(w));
	viommu_dma_release(&hold);
	notify(w);
	runs(w);
	assert_false(queue_resets(w));
	assert_false(wired_answered(w));
	assert_false(wired_reaches(w, 0));
	assert_false(wired_reaches(w, WIRED_PAGE));
}

static void test_queue_reset_waits_for_what_was_taken(void **state)
{
	(void)state;
	each_way(queue_reset_waits, POLLING_OFF);
	each_way(queue_reset_waits, POLLING_ALWAYS);
}

/* The I/O thread serves all devices: vCPUs that notify all the time must not keep it from this one. */
static atomic_bool io_entered;

static void *enter_as_io(void *opaque)
{
	struct virtio_dev *dev = opaque;

	virtio_enter(dev);
	io_entered = true;
	virtio_leave(dev);
	return NULL;
}

static bool io_waits(struct wired *w)
{
	return atomic_load(&unit(w)->entering);
}

static void test_notifications_let_the_loop_go_first(void **state)
{
	pthread_t io;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		struct wired *w = create(POLLING_OFF, ALL_FEATURES);

		io_entered = false;
		virtio_enter(unit(w));
		assert_int_equal(pthread_create(&io, NULL, enter_as_io, unit(w)), 0);
		assert_true(wired_comes_about(w, io_waits));
		add_attach(w);
		virtio_leave(unit(w));
		notify(w);
		assert_true(io_entered || !wired_answered(w));
		pthread_join(io, NULL);
		net_settle(&w->net);
		wired_expect_answer(w);
		wired_destroy(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notified_request_is_answered_before_it_returns),
		cmocka_unit_test(test_contended_notification_is_served_by_the_loop),
		cmocka_unit_test(test_polled_request_needs_no_notification),
		cmocka_unit_test(test_after_polling_the_driver_is_asked_to_notify),
		cmocka_unit_test(test_request_that_comes_as_polling_ends_is_served),
		cmocka_unit_test(test_polling_ends_while_a_request_waits),
		cmocka_unit_test(test_polling_ends_while_all_batches_wait),
		cmocka_unit_test(test_polling_ends_while_bus_mastering_is_off),
		cmocka_unit_test(test_notified_while_bus_mastering_is_off),
		cmocka_unit_test(test_answer_waits_for_bus_mastering),
		cmocka_unit_test(test_reset_while_an_answer_waits_for_bus_mastering),
		cmocka_unit_test(test_failed_device_is_not_polled_until_it_is_reset),
		cmocka_unit_test(test_broken_queue_is_found_by_the_thread_that_notifies),
		cmocka_unit_test(test_queue_reset_while_it_is_polled),
		cmocka_unit_test(test_queue_reset_waits_for_what_was_taken),
		cmocka_unit_test(test_notifications_let_the_loop_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
