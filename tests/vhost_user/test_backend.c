/* SPDX-License-Identifier: BSD-2-Clause */
/* The back end's device IOTLB and its queues, before a front end that means well. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/front.h"
#include "tests/support/test.h"

enum { PAGE = FRONT_PAGE, IOVA = 0x40000 };

static struct front front;

static int open_front(void **state)
{
	(void)state;
	front_open(&front, 60000);
	front_setup(&front, FRONT_PLATFORM);
	return 0;
}

static int close_front(void **state)
{
	(void)state;
	front_close(&front);
	return 0;
}

static uint8_t seen(uint64_t iova)
{
	void *host = NULL;

	assert_int_equal(front_touch(&front, iova, VIOMMU_READ, &host), 0);
	return *(uint8_t *)host;
}

static void test_features_are_offered(void **state)
{
	(void)state;
	assert_int_equal(front_ask(&front, VHU_GET_FEATURES, NULL, 0, NULL, 0), FRONT_PLATFORM | 1ull << VHU_F_LOG_ALL);
	uint64_t protocol = front_ask(&front, VHU_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0);

	assert_true(protocol >> VHU_PROTOCOL_F_REPLY_ACK & 1);
	assert_true(protocol >> VHU_PROTOCOL_F_BACKEND_REQ & 1);
	assert_true(protocol >> VHU_PROTOCOL_F_CONFIG & 1);
	assert_false(protocol >> VHU_PROTOCOL_F_MTU & 1);
	assert_int_equal(front_ask(&front, VHU_GET_QUEUE_NUM, NULL, 0, NULL, 0), FRONT_QUEUES);
	assert_int_equal(front.features, FRONT_PLATFORM);
}

static void test_miss_is_asked_once_and_answered(void **state)
{
	struct vhu_iotlb iotlb;

	(void)state;
	assert_int_equal(front_touch(&front, IOVA + 5, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_touch(&front, IOVA + 9, VIOMMU_READ, NULL), -EAGAIN);
	assert_true(front_hear(&front, &iotlb));
	assert_int_equal(iotlb.type, VHU_IOTLB_MISS);
	assert_int_equal(iotlb.iova, IOVA + 5);
	assert_int_equal(iotlb.access, VHU_ACCESS_RO);
	assert_false(front_hear(&front, &iotlb));
	assert_int_equal(front_update(&front, IOVA, FRONT_USER + 7 * PAGE, 2 * PAGE, VHU_ACCESS_RO), 0);
	assert_int_equal(front.retries, 1);
	assert_int_equal(seen(IOVA), 7);
	assert_int_equal(seen(IOVA + 2 * PAGE - 1), 8);
	assert_int_equal(front_touch(&front, IOVA + 2 * PAGE, VIOMMU_READ, NULL), -EAGAIN);
}

static void test_invalidated_entry_is_asked_again(void **state)
{
	struct vhu_iotlb iotlb;

	(void)state;
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, 4 * PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(front_invalidate(&front, IOVA + PAGE, 1), 0);
	assert_int_equal(front_touch(&front, IOVA + PAGE, VIOMMU_WRITE, NULL), -EAGAIN);
	assert_true(front_hear(&front, &iotlb));
	assert_int_equal(iotlb.access, VHU_ACCESS_WO);
	assert_int_equal(seen(IOVA), 0);
	assert_int_equal(seen(IOVA + 2 * PAGE), 2);
}

/* What a back end must not do: keep the entry that it has, or give the tail of another. */
static void test_permission_upgrade_lands(void **state)
{
	void *host = NULL;

	(void)state;
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, 2 * PAGE, VHU_ACCESS_RO), 0);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_WRITE, NULL), -EAGAIN);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, 2 * PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(front_touch(&front, IOVA + PAGE, VIOMMU_WRITE, &host), 0);
	assert_int_equal(*(uint8_t *)host, 1);
}

static void test_update_replaces_what_it_overlaps(void **state)
{
	(void)state;
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, 8 * PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(front_update(&front, IOVA + 2 * PAGE, FRONT_USER + 20 * PAGE, 2 * PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(seen(IOVA + PAGE), 1);
	assert_int_equal(seen(IOVA + 2 * PAGE), 20);
	assert_int_equal(seen(IOVA + 3 * PAGE), 21);
	assert_int_equal(seen(IOVA + 4 * PAGE), 4);
}

/* Part of what is wanted is there: the piece ends where it ends, and the rest is asked for by its own address. */
static void test_partial_hit_ends_where_it_ends(void **state)
{
	struct viommu_section section;
	struct viommu_span span;
	struct vhu_iotlb iotlb;

	(void)state;
	assert_int_equal(front_update(&front, IOVA, FRONT_USER + 3 * PAGE, PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(viommu_backend_begin(front.backend, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){IOVA + 16}, 2 * PAGE, VIOMMU_READ, &span),
			 0);
	assert_int_equal(span.len, PAGE - 16);
	assert_int_equal(*(uint8_t *)span.host, 3);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){IOVA + PAGE}, PAGE, VIOMMU_READ, &span),
			 -EAGAIN);
	viommu_backend_end(front.backend, &section);
	assert_true(front_hear(&front, &iotlb));
	assert_int_equal(iotlb.iova, IOVA + PAGE);
}

static void test_updates_reach_the_ends_of_the_address_space(void **state)
{
	(void)state;
	assert_int_equal(front_update(&front, UINT64_MAX - PAGE + 1, FRONT_USER + 5 * PAGE, PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(seen(UINT64_MAX), 5);
	assert_int_equal(front_update(&front, 0, FRONT_USER + 6 * PAGE, PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(seen(0), 6);
	/* All of it, in each of the ways that front ends write it. */
	assert_int_equal(front_invalidate(&front, 0, UINT64_MAX), 0);
	assert_int_equal(front_touch(&front, 0, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_update(&front, UINT64_MAX - PAGE + 1, FRONT_USER, PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(front_invalidate(&front, 0, 0), 0);
	assert_int_equal(front_touch(&front, UINT64_MAX, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_update(&front, UINT64_MAX - PAGE + 1, FRONT_USER, PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(front_invalidate(&front, PAGE, UINT64_MAX), 0);
	assert_int_equal(front_touch(&front, UINT64_MAX, VIOMMU_READ, NULL), -EAGAIN);
}

static void test_update_is_rounded_inwards(void **state)
{
	(void)state;
	assert_int_equal(front_update(&front, IOVA + 0x800, FRONT_USER + 0x800, 2 * PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(seen(IOVA + PAGE), 1);
	assert_int_equal(front_touch(&front, IOVA + 0x900, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_touch(&front, IOVA + 2 * PAGE, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER + 4, PAGE, VHU_ACCESS_RW), 1);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, 100, VHU_ACCESS_RW), 1);
}

static void expect_fault(int error, uint64_t iova, uint8_t access)
{
	struct vhu_iotlb iotlb;

	assert_int_equal(front_touch(&front, iova, access == VHU_ACCESS_RO ? VIOMMU_READ : VIOMMU_WRITE, NULL), error);
	assert_true(front_hear(&front, &iotlb));
	assert_int_equal(iotlb.type, VHU_IOTLB_ACCESS_FAIL);
	assert_int_equal(iotlb.iova, iova);
	assert_int_equal(iotlb.access, access);
}

static void test_answer_without_the_right_is_a_fault(void **state)
{
	struct vhu_iotlb iotlb;

	(void)state;
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_WRITE, NULL), -EAGAIN);
	assert_true(front_hear(&front, &iotlb));
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, PAGE, VHU_ACCESS_RO), 0);
	assert_int_equal(front.retries, 1);
	expect_fault(-EACCES, IOVA, VHU_ACCESS_WO);
	/* It is asked again next time. */
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_WRITE, NULL), -EAGAIN);
	assert_true(front_hear(&front, &iotlb));
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, PAGE, 0), 0);
	expect_fault(-EFAULT, IOVA, VHU_ACCESS_WO);
}

static void test_refused_miss_is_a_fault(void **state)
{
	struct vhu_iotlb iotlb;

	(void)state;
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_touch(&front, IOVA + PAGE, VIOMMU_READ, NULL), -EAGAIN);
	assert_true(front_hear(&front, &iotlb));
	assert_true(front_hear(&front, &iotlb));
	front_reply(&front, 0);
	front_reply(&front, 1);
	front_serve(&front);
	assert_int_equal(front.retries, 1);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	expect_fault(-EFAULT, IOVA + PAGE, VHU_ACCESS_RO);
}

/* A translation that cannot be taken is an answer, too, and none that is worth waiting for another one. */
static void test_miss_with_a_bad_answer_is_a_fault(void **state)
{
	(void)state;
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER + FRONT_SIZE, PAGE, VHU_ACCESS_RW), 1);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EFAULT);
	/* Part of a page. */
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, PAGE / 2, VHU_ACCESS_RW), 1);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EFAULT);
}

static void test_unanswered_miss_is_a_fault(void **state)
{
	struct pollfd poll_fd;
	struct vhu_iotlb iotlb;

	front_close(&front);
	front_open(&front, 20);
	front_setup(&front, FRONT_PLATFORM);
	(void)state;
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	assert_true(front_hear(&front, &iotlb));
	/* Nothing but its timer makes the back end's descriptor readable. */
	for (poll_fd = (struct pollfd){viommu_backend_fd(front.backend), POLLIN, 0}; !front.retries;) {
		assert_int_equal(poll(&poll_fd, 1, 60000), 1);
		front_serve(&front);
	}
	/* It may be slow here, and forgotten again: then it is asked once more. */
	if (front_touch(&front, IOVA, VIOMMU_READ, NULL) == -EFAULT)
		assert_true(front_hear(&front, &iotlb));
}

/* A burst that only asks ahead. */
static void ask_ahead(uint64_t iova, uint64_t len, unsigned access)
{
	struct viommu_section section;

	assert_int_equal(viommu_backend_begin(front.backend, &section), 0);
	viommu_backend_prefetch(front.backend, &section, (struct viommu_iova){iova}, len, access);
	viommu_backend_end(front.backend, &section);
}

static void expect_asked(uint64_t iova)
{
	struct vhu_iotlb iotlb;

	assert_true(front_hear(&front, &iotlb));
	assert_int_equal(iotlb.iova, iova);
}

/* Later pages are asked for while the first is still missing. */
static void test_prefetch_asks_for_ranges(void **state)
{
	struct vhu_iotlb iotlb;

	(void)state;
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, PAGE, VHU_ACCESS_RW), 0);
	ask_ahead(IOVA, PAGE, VIOMMU_READ);
	ask_ahead(IOVA + 8, 4 * PAGE, VIOMMU_READ);
	ask_ahead(IOVA + 0x100000, PAGE, VIOMMU_WRITE);
	expect_asked(IOVA + PAGE);
	expect_asked(IOVA + 0x100000);
	assert_false(front_hear(&front, &iotlb));
	/* An answer for one page only: from now on each page is asked for. */
	assert_int_equal(front_update(&front, IOVA + PAGE, FRONT_USER + PAGE, PAGE, VHU_ACCESS_RW), 0);
	ask_ahead(IOVA + 8, 4 * PAGE, VIOMMU_READ);
	for (unsigned page = 2; page <= 4; page++)
		expect_asked(IOVA + page * PAGE);
	assert_false(front_hear(&front, &iotlb));
}

/*
 * What is there is not asked for, in the middle of a buffer neither: the buffer may have been used and unmapped when a
 * front end reads it, and QEMU tells the guest of a fault then.
 */
static void test_prefetch_asks_for_what_is_missing_alone(void **state)
{
	struct vhu_iotlb iotlb;

	(void)state;
	/* From an answer for one page of two the back end learns how this front end answers. */
	ask_ahead(IOVA, 2 * PAGE, VIOMMU_READ);
	expect_asked(IOVA);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, PAGE, VHU_ACCESS_RW), 0);

	assert_int_equal(front_update(&front, IOVA + 2 * PAGE, FRONT_USER + 2 * PAGE, PAGE, VHU_ACCESS_RW), 0);
	ask_ahead(IOVA + 8, 4 * PAGE, VIOMMU_READ);
	expect_asked(IOVA + PAGE);
	expect_asked(IOVA + 3 * PAGE);
	expect_asked(IOVA + 4 * PAGE);
	assert_false(front_hear(&front, &iotlb));
}

/* An invalidation is acknowledged when nobody uses the address any more; what comes meanwhile is done. */
static void test_invalidation_waits_for_the_burst(void **state)
{
	const struct vhu_iotlb iotlb = {.iova = IOVA, .size = PAGE, .type = VHU_IOTLB_INVALIDATE};
	const struct vhu_iotlb other = {.iova = IOVA + PAGE,
					.size = PAGE,
					.user_address = FRONT_USER + PAGE,
					.access = VHU_ACCESS_RW,
					.type = VHU_IOTLB_UPDATE};
	struct viommu_section section;
	struct viommu_span span;
	struct channel_message answer;

	(void)state;
	assert_int_equal(front_update(&front, IOVA, FRONT_USER + 9 * PAGE, PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(viommu_backend_begin(front.backend, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){IOVA}, 8, VIOMMU_READ, &span), 0);
	front_send(&front, VHU_IOTLB_MSG, VHU_NEED_REPLY, &iotlb, sizeof(iotlb), NULL, 0);
	front_send(&front, VHU_IOTLB_MSG, VHU_NEED_REPLY, &other, sizeof(other), NULL, 0);
	front_serve(&front);
	assert_false(front_answer(&front, &answer));
	assert_int_equal(seen(IOVA + PAGE), 1);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(*(uint8_t *)span.host, 9);
	viommu_backend_end(front.backend, &section);
	front_serve(&front);
	assert_true(front_answer(&front, &answer));
	assert_int_equal(answer.u64, 0);
	assert_true(front_answer(&front, &answer));
	assert_int_equal(answer.u64, 0);
}

/* Its deadline is so far away that nothing is done for the deadline's sake. */
static int open_front_without_deadline(void **state)
{
	int fd = front_connect(&front);

	(void)state;
	front.miss_ms = 60000;
	front.deadline_ms = 100000000;
	assert_int_equal(front_create(&front, fd, NULL), 0);
	front_setup(&front, FRONT_PLATFORM);
	return 0;
}

/* Is there anything to serve, in so many milliseconds? */
static bool wakes(int ms)
{
	struct pollfd poll_fd = {.fd = viommu_backend_fd(front.backend), .events = POLLIN};

	return poll(&poll_fd, 1, ms) == 1;
}

static void *end_burst(void *section)
{
	viommu_backend_end(front.backend, section);
	return NULL;
}

static void *release_hold(void *hold)
{
	viommu_dma_release(hold);
	return NULL;
}

/* Served as soon as both have let go, on threads of their own, and not before. */
static void test_letting_go_wakes_the_serving_thread(void **state)
{
	enum { NOT_MS = 20, LOST_MS = 10000 };
	const struct vhu_iotlb iotlb = {.iova = IOVA, .size = PAGE, .type = VHU_IOTLB_INVALIDATE};
	struct viommu_section section, holding;
	struct viommu_span span;
	struct viommu_hold hold = {0};
	struct channel_message answer;
	pthread_t thread;

	(void)state;
	assert_int_equal(front_update(&front, IOVA, FRONT_USER + 9 * PAGE, PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(viommu_backend_begin(front.backend, &holding), 0);
	assert_int_equal(viommu_dma_translate(&holding, (struct viommu_iova){IOVA}, 8, VIOMMU_READ, &span), 0);
	viommu_dma_hold(&holding, &hold, &span, 1);
	viommu_backend_end(front.backend, &holding);
	assert_int_equal(viommu_backend_begin(front.backend, &section), 0);
	front_send(&front, VHU_IOTLB_MSG, VHU_NEED_REPLY, &iotlb, sizeof(iotlb), NULL, 0);
	front_serve(&front);
	assert_false(wakes(NOT_MS));
	assert_int_equal(pthread_create(&thread, NULL, end_burst, &section), 0);
	pthread_join(thread, NULL);
	assert_true(wakes(LOST_MS));
	front_serve(&front);
	assert_false(front_answer(&front, &answer));
	assert_false(wakes(NOT_MS));
	assert_int_equal(pthread_create(&thread, NULL, release_hold, &hold), 0);
	pthread_join(thread, NULL);
	assert_true(wakes(LOST_MS));
	front_serve(&front);
	assert_true(front_answer(&front, &answer));
	assert_int_equal(answer.u64, 0);
}

static void test_new_memory_table_makes_entries_go(void **state)
{
	struct vhu_region region = front_region();

	(void)state;
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, PAGE, VHU_ACCESS_RW), 0);
	region.mmap_offset = PAGE;
	region.size -= PAGE;
	assert_int_equal(front_memory_table(&front, &region, 1), 0);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(seen(IOVA), 1);
}

static void test_regions_come_and_go(void **state)
{
	const struct vhu_single_region other = {.region = {0x10000000, FRONT_SIZE, 0x7e0000000000, 0}};
	struct vhu_single_region first = {.region = front_region()};

	(void)state;
	assert_int_equal(front_ask(&front, VHU_GET_MAX_MEM_SLOTS, NULL, 0, NULL, 0), 64);
	assert_int_equal(front_ask(&front, VHU_ADD_MEM_REG, &other, sizeof(other), &front.memory_fd, 1), 0);
	assert_int_equal(front_update(&front, IOVA, 0x7e0000000000 + 2 * PAGE, PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(seen(IOVA), 2);
	assert_int_equal(front_ask(&front, VHU_ADD_MEM_REG, &other, sizeof(other), &front.memory_fd, 1), 1);
	assert_int_equal(front_ask(&front, VHU_REM_MEM_REG, &other, sizeof(other), NULL, 0), 0);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), -EAGAIN);
	assert_int_equal(front_update(&front, IOVA, 0x7e0000000000, PAGE, VHU_ACCESS_RW), 1);
	first.region.size -= PAGE;
	assert_int_equal(front_ask(&front, VHU_REM_MEM_REG, &first, sizeof(first), NULL, 0), 1);
}

/* Neighbours for the front end that are none in guest memory. */
static void test_update_may_span_regions(void **state)
{
	const struct vhu_region regions[] = {
		{0x0, 2 * PAGE, FRONT_USER, 0},
		{0x100000000, 2 * PAGE, FRONT_USER + 2 * PAGE, 4 * PAGE},
	};

	(void)state;
	assert_int_equal(front_memory_table(&front, regions, 2), 0);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, 4 * PAGE, VHU_ACCESS_RW), 0);
	assert_int_equal(seen(IOVA + PAGE), 1);
	assert_int_equal(seen(IOVA + 2 * PAGE), 4);
	assert_int_equal(seen(IOVA + 3 * PAGE), 5);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, 5 * PAGE, VHU_ACCESS_RW), 1);
}

static void test_queue_starts_when_enabled(void **state)
{
	const struct vhu_vring_state off = {1, 0}, base = {1, 7}, which = {1, 0};
	struct channel_message answer;

	(void)state;
	assert_int_equal(front_ask(&front, VHU_SET_VRING_BASE, &base, sizeof(base), NULL, 0), 0);
	front_start_queue(&front, 1, IOVA);
	assert_true(front.queues[1].running);
	assert_int_equal(front.queues[1].starts, 1);
	assert_int_equal(front.queues[1].ring.desc.value, IOVA);
	assert_int_equal(front.queues[1].ring.base, 7);
	assert_true(front.queues[1].ring.kick_fd >= 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_ENABLE, &off, sizeof(off), NULL, 0), 0);
	assert_false(front.queues[1].running);
	front_send(&front, VHU_GET_VRING_BASE, 0, &which, sizeof(which), NULL, 0);
	front_serve(&front);
	assert_true(front_answer(&front, &answer));
	assert_int_equal(answer.state.index, 1);
	assert_int_equal(answer.state.num, 7);
}

static void test_stop_is_answered_when_the_queue_has_stopped(void **state)
{
	const struct vhu_vring_state which = {0, 0};
	struct channel_message answer;

	(void)state;
	front_start_queue(&front, 0, IOVA);
	front.queues[0].late = true;
	front.queues[0].next = 42;
	front_send(&front, VHU_GET_VRING_BASE, 0, &which, sizeof(which), NULL, 0);
	front_serve(&front);
	assert_false(front.queues[0].running);
	assert_false(front_answer(&front, &answer));
	front.queues[0].late = false;
	viommu_backend_stopped(front.backend, 0, 42);
	front_serve(&front);
	assert_true(front_answer(&front, &answer));
	assert_int_equal(answer.state.num, 42);
}

static void test_new_ring_addresses_start_it_anew(void **state)
{
	const struct vhu_vring_addr addr = {.index = 0, .desc = 0x80000, .avail = 0x80100, .used = 0x80200};
	const struct vhu_vring_addr odd = {.index = 0, .desc = 0x80001, .avail = 0x80100, .used = 0x80200};

	(void)state;
	front_start_queue(&front, 0, IOVA);
	front.queues[0].next = 3;
	assert_int_equal(front_ask(&front, VHU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(front.queues[0].starts, 2);
	assert_int_equal(front.queues[0].ring.desc.value, 0x80000);
	assert_int_equal(front.queues[0].ring.base, 3);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_ADDR, &odd, sizeof(odd), NULL, 0), 1);
}

static void test_queue_without_an_iommu_is_found_by_user_address(void **state)
{
	const uint64_t features = 1ull << 32;
	struct vhu_region region = front_region();

	(void)state;
	assert_int_equal(front_ask(&front, VHU_SET_FEATURES, &features, sizeof(features), NULL, 0), 0);
	front_start_queue(&front, 0, FRONT_USER + 3 * PAGE);
	assert_int_equal(front.queues[0].ring.used.value, FRONT_GPA + 3 * PAGE + 0x200);
	assert_int_equal(seen(FRONT_GPA + 5 * PAGE), 5);
	assert_int_equal(front_touch(&front, FRONT_GPA + FRONT_SIZE, VIOMMU_READ, NULL), -EFAULT);
	/* The memory moves, and the ring with it. */
	region.guest_address = 0x200000;
	assert_int_equal(front_memory_table(&front, &region, 1), 0);
	assert_int_equal(front.queues[0].ring.desc.value, 0x200000 + 3 * PAGE);
	assert_true(front.queues[0].running);
	region.size = 2 * PAGE;
	assert_int_equal(front_memory_table(&front, &region, 1), 0);
	assert_false(front.queues[0].running);
}

static void test_interrupts_and_errors_reach_their_descriptors(void **state)
{
	int call = eventfd(0, EFD_NONBLOCK), err = eventfd(0, EFD_NONBLOCK);
	uint64_t index = 2, none = 2 | VHU_VRING_NO_FD, count;

	(void)state;
	assert_int_equal(front_ask(&front, VHU_SET_VRING_CALL, &index, sizeof(index), &call, 1), 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_ERR, &index, sizeof(index), &err, 1), 0);
	viommu_backend_interrupt(front.backend, 2);
	assert_int_equal(read(call, &count, sizeof(count)), sizeof(count));
	assert_int_equal(read(err, &count, sizeof(count)), -1);
	viommu_backend_error(front.backend, 2);
	assert_int_equal(read(err, &count, sizeof(count)), sizeof(count));
	assert_int_equal(front_ask(&front, VHU_SET_VRING_CALL, &none, sizeof(none), NULL, 0), 0);
	viommu_backend_interrupt(front.backend, 2);
	assert_int_equal(read(call, &count, sizeof(count)), -1);
	close(call);
	close(err);
}

/* A front end sends the descriptor when it likes, perhaps after the queue has begun. */
static void test_interrupt_waits_for_its_descriptor(void **state)
{
	uint64_t count, index = 0;
	int call = eventfd(0, EFD_NONBLOCK);

	(void)state;
	front_start_queue(&front, 0, IOVA);
	viommu_backend_interrupt(front.backend, 0);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_CALL, &index, sizeof(index), &call, 1), 0);
	assert_int_equal(read(call, &count, sizeof(count)), sizeof(count));
	/* Once. */
	assert_int_equal(front_ask(&front, VHU_SET_VRING_CALL, &index, sizeof(index), &call, 1), 0);
	assert_int_equal(read(call, &count, sizeof(count)), -1);
	close(call);
}

static void test_configuration_and_status(void **state)
{
	struct {
		struct vhu_config head;
		uint8_t bytes[4];
	} config = {{2, 4, 0}, {1, 2, 3, 4}};
	struct channel_message answer;
	uint64_t status = 7;

	(void)state;
	assert_int_equal(front_ask(&front, VHU_SET_CONFIG, &config, sizeof(config), NULL, 0), 0);
	front_send(&front, VHU_GET_CONFIG, 0, &config, sizeof(config), NULL, 0);
	front_serve(&front);
	assert_true(front_answer(&front, &answer));
	assert_int_equal(answer.header.size, sizeof(config));
	assert_memory_equal(answer.payload + sizeof(config.head), config.bytes, 4);
	config.head.size = 5;
	front_send(&front, VHU_GET_CONFIG, 0, &config, sizeof(config), NULL, 0);
	front_serve(&front);
	assert_true(front_answer(&front, &answer));
	assert_int_equal(answer.header.size, 0);
	assert_int_equal(front_ask(&front, VHU_SET_STATUS, &status, sizeof(status), NULL, 0), 0);
	assert_int_equal(front_ask(&front, VHU_GET_STATUS, NULL, 0, NULL, 0), 7);
	front_start_queue(&front, 0, IOVA);
	status = 0;
	assert_int_equal(front_ask(&front, VHU_SET_STATUS, &status, sizeof(status), NULL, 0), 0);
	assert_false(front.queues[0].running);
}

/* How many descriptors are open; *next: the one that the process gets next. */
static unsigned count_fds(int *next)
{
	unsigned count = 0;

	*next = -1;
	for (int fd = 0; fd < 256; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
		else if (*next < 0)
			*next = fd;
	}
	return count;
}

/* Each descriptor that a back end is made of is refused once: nothing of it stays, and its socket is closed. */
static void test_create_without_descriptors_leaves_nothing(void **state)
{
	struct rlimit limit;
	unsigned failures = 0;
	int err = -EMFILE;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (rlim_t room = 0; err; room++) {
		struct front other = {0};
		int fd = front_connect(&other), next;
		unsigned before = count_fds(&next);
		const struct rlimit tight = {(rlim_t)next + room, limit.rlim_max};
		char byte;

		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		err = front_create(&other, fd, NULL);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		if (!err) {
			front_close(&other);
			break;
		}
		assert_int_equal(err, -EMFILE);
		failures++;
		assert_int_equal(read(other.fd, &byte, 1), 0);
		assert_int_equal(count_fds(&next), before - 1);
		front_disconnect(&other);
	}
	/* The epoll instance, the timer and the eventfd. */
	assert_int_equal(failures, 3);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_front, close_front)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: what others have sent may still be being closed. */
		cmocka_unit_test(test_create_without_descriptors_leaves_nothing),
		CASE(test_features_are_offered),
		CASE(test_miss_is_asked_once_and_answered),
		CASE(test_invalidated_entry_is_asked_again),
		CASE(test_permission_upgrade_lands),
		CASE(test_update_replaces_what_it_overlaps),
		CASE(test_partial_hit_ends_where_it_ends),
		CASE(test_updates_reach_the_ends_of_the_address_space),
		CASE(test_update_is_rounded_inwards),
		CASE(test_answer_without_the_right_is_a_fault),
		CASE(test_refused_miss_is_a_fault),
		CASE(test_miss_with_a_bad_answer_is_a_fault),
		CASE(test_unanswered_miss_is_a_fault),
		CASE(test_prefetch_asks_for_ranges),
		CASE(test_prefetch_asks_for_what_is_missing_alone),
		CASE(test_invalidation_waits_for_the_burst),
		cmocka_unit_test_setup_teardown(test_letting_go_wakes_the_serving_thread, open_front_without_deadline,
						close_front),
		CASE(test_new_memory_table_makes_entries_go),
		CASE(test_regions_come_and_go),
		CASE(test_update_may_span_regions),
		CASE(test_queue_starts_when_enabled),
		CASE(test_stop_is_answered_when_the_queue_has_stopped),
		CASE(test_new_ring_addresses_start_it_anew),
		CASE(test_queue_without_an_iommu_is_found_by_user_address),
		CASE(test_interrupts_and_errors_reach_their_descriptors),
		CASE(test_interrupt_waits_for_its_descriptor),
		CASE(test_configuration_and_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
