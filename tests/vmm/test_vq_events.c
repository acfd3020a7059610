/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notifications in both directions (virtio 1.2, sections 2.7.7 to 2.7.10), by flags and by events: compared with what
 * the text says over more than all values of the index, and between two threads, of which none may sleep for ever.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/ring_driver.h"

enum { SIZE = 16, ENTRIES = 3 << 16, ROUNDS = 300000, FULL_ROUNDS = 5000000, PATIENCE = 10 };

static uint32_t random_from(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Section 2.7.7.1, word by word: is the entry that was placed at index `event` among those from `from` to `to` - 1? */
static bool event_among(uint32_t from, uint32_t to, uint16_t event)
{
	for (; from != to; from++)
		if ((uint16_t)from == event)
			return true;
	return false;
}

static void test_interrupts_by_event(void **state)
{
	struct ring *ring = ring_create(SIZE);
	uint32_t seed = 1, from = 0, to = 0, wanted = 0;

	(void)state;
	ring->vq.event_idx = true;
	while (to < ENTRIES) {
		const uint32_t batch = random_from(&seed) % (SIZE + 1);
		/* Near the present as a rule; anywhere at times. The flag says "none" and is to be ignored. */
		const uint16_t event =
			(uint16_t)(random_from(&seed) % 8 ? from + random_from(&seed) % (2 * SIZE) - SIZE / 2
							  : random_from(&seed));

		ring_store(ring, RING_AVAIL, VRING_AVAIL_F_NO_INTERRUPT);
		ring_store(ring, ring_used_event(ring), event);
		for (uint32_t i = 0; i < batch; i++)
			assert_int_equal(vq_push(&ring->vq, &ring->section, 0, 0), 0);
		to += batch;
		assert_int_equal(vq_wants_interrupt(&ring->vq, &ring->section), event_among(from, to, event));
		wanted += event_among(from, to, event);
		from = to;
	}
	assert_true(wanted > 1000);
	ring_destroy(ring);
}

/* A batch as long as the index allows: every event lies in it, and one entry less leaves just one out. */
static void test_interrupts_of_longest_batch(void **state)
{
	struct ring *ring = ring_create(SIZE);

	(void)state;
	ring->vq.event_idx = true;
	for (uint32_t i = 0; i < UINT16_MAX; i++)
		assert_int_equal(vq_push(&ring->vq, &ring->section, 0, 0), 0);
	for (uint32_t event = 0; event <= UINT16_MAX; event++) {
		ring_store(ring, ring_used_event(ring), (uint16_t)event);
		ring->vq.signalled_used = 0;
		assert_int_equal(vq_wants_interrupt(&ring->vq, &ring->section), event != UINT16_MAX);
	}
	ring_destroy(ring);
}

static void test_interrupts_by_flag(void **state)
{
	struct ring *ring = ring_create(SIZE);

	(void)state;
	assert_int_equal(vq_wants_interrupt(&ring->vq, &ring->section), 0);
	assert_int_equal(vq_push(&ring->vq, &ring->section, 0, 0), 0);
	assert_int_equal(vq_wants_interrupt(&ring->vq, &ring->section), 1);
	assert_int_equal(vq_wants_interrupt(&ring->vq, &ring->section), 0);
	ring_store(ring, RING_AVAIL, VRING_AVAIL_F_NO_INTERRUPT);
	assert_int_equal(vq_push(&ring->vq, &ring->section, 0, 0), 0);
	assert_int_equal(vq_wants_interrupt(&ring->vq, &ring->section), 0);
	ring_destroy(ring);
}

/* After each time that the device finds nothing, the very next chain is to be notified; and none while it refuses. */
static void test_kicks_by_event(void **state)
{
	struct ring *ring = ring_create(SIZE);
	uint32_t seed = 2, index = 0;

	(void)state;
	ring->vq.event_idx = true;
	ring_store(ring, RING_USED, VRING_USED_F_NO_NOTIFY);
	while (index < ENTRIES) {
		const uint32_t batch = 1 + random_from(&seed) % SIZE;

		assert_int_equal(ring_pop(ring), 0);
		assert_true(event_among(index, index + batch, ring_load(ring, ring_avail_event(ring))));
		assert_int_equal(vq_ask_kicks(&ring->vq, &ring->section, false), 0);
		for (uint32_t i = 0; i < batch; i++)
			ring_offer(ring, 0);
		for (uint32_t i = 0; i < batch; i++)
			assert_int_equal(ring_pop(ring), 1);
		assert_int_equal(ring_pop(ring), 0);
		index += batch;
		assert_false(event_among(index, index + SIZE, ring_load(ring, ring_avail_event(ring))));
		assert_int_equal(vq_ask_kicks(&ring->vq, &ring->section, true), 0);
	}
	assert_int_equal(ring_load(ring, RING_USED), 0);
	ring_destroy(ring);
}

static void test_kicks_by_flag(void **state)
{
	struct ring *ring = ring_create(SIZE);

	(void)state;
	assert_int_equal(vq_ask_kicks(&ring->vq, &ring->section, false), 0);
	assert_int_equal(ring_load(ring, RING_USED), VRING_USED_F_NO_NOTIFY);
	assert_int_equal(ring_pop(ring), 0);
	assert_int_equal(ring_load(ring, RING_USED), VRING_USED_F_NO_NOTIFY);
	assert_int_equal(vq_ask_kicks(&ring->vq, &ring->section, true), 0);
	assert_int_equal(ring_load(ring, RING_USED), 0);
	ring_destroy(ring);
}

/* Event fields that cannot be reached are as bad as any other part of the rings. */
static void test_events_out_of_reach(void **state)
{
	struct ring *ring = ring_create(SIZE);

	(void)state;
	ring->vq.event_idx = true;
	ring_page(ring, RING_USED, VIOMMU_READ);
	assert_int_equal(ring_pop(ring), -EACCES);
	assert_int_equal(vq_ask_kicks(&ring->vq, &ring->section, true), -EACCES);
	assert_int_equal(vq_ask_kicks(&ring->vq, &ring->section, false), 0);
	assert_int_equal(ring_pop(ring), 0);
	ring_destroy(ring);
}

/* Driver and device, each on its thread; both sleep whenever the other one owes them a notification. */
struct pair {
	struct ring *ring;
	_Atomic uint32_t kicked, interrupted;
	_Atomic bool asleep; /* somebody slept for too long */
	_Atomic bool stop;
	uint16_t taken; /* used entries that the driver has seen */
};

/*
 * Sleep until the other side notifies. As a loop: what a real sleep costs would keep the two from ever meeting in the
 * few instructions that matter.
 */
static bool sleep_on(struct pair *pair, _Atomic uint32_t *bell)
{
	const time_t until = time(NULL) + PATIENCE;

	for (unsigned i = 1; !atomic_exchange(bell, 0); i++) {
		if (i % 1024)
			continue;
		sched_yield();
		if (time(NULL) > until) {
			atomic_store(&pair->asleep, true);
			return false;
		}
	}
	return true;
}

/* A few chains are given back, as a device does it. What it ended with, as vq_pop(). */
static int device_burst(struct pair *pair)
{
	struct ring *ring = pair->ring;
	int ret = 0;

	for (unsigned i = 0; i < SIZE / 4; i++) {
		ret = ring_pop(ring);
		if (ret <= 0)
			break;
		assert_int_equal(vq_push(&ring->vq, &ring->section, ring->chain.head, 0), 0);
	}
	if (vq_wants_interrupt(&ring->vq, &ring->section))
		atomic_store(&pair->interrupted, 1);
	return ret;
}

/* Refuses kicks while it is at work, and looks once more when it has asked for them again. */
static void *careful_device(void *opaque)
{
	struct pair *pair = opaque;
	struct ring *ring = pair->ring;

	while (sleep_on(pair, &pair->kicked) && !atomic_load(&pair->stop)) {
		do {
			assert_int_equal(vq_ask_kicks(&ring->vq, &ring->section, false), 0);
			while (device_burst(pair))
				;
			assert_int_equal(vq_ask_kicks(&ring->vq, &ring->section, true), 0);
		} while (vq_waiting(&ring->vq, &ring->section));
	}
	return NULL;
}

/* Knows nothing of all that: takes what there is until nothing is left. */
static void *simple_device(void *opaque)
{
	struct pair *pair = opaque;

	while (sleep_on(pair, &pair->kicked) && !atomic_load(&pair->stop))
		while (device_burst(pair))
			;
	return NULL;
}

static uint16_t used_index(struct pair *pair)
{
	return ring_load(pair->ring, RING_USED + offsetof(struct vring_used, idx));
}

/* Make chains available, and notify if the device wants to know. */
static void driver_offer(struct pair *pair, unsigned count)
{
	struct ring *ring = pair->ring;
	const uint16_t old = ring->avail_idx;
	bool kick;

	while (count--)
		ring_offer(ring, 0);
	/* Partner: the device's fence between its event or flag and its look at avail's idx. */
	atomic_thread_fence(memory_order_seq_cst);
	if (ring->vq.event_idx)
		kick = event_among(old, old < ring->avail_idx ? ring->avail_idx : ring->avail_idx + (1u << 16),
				   ring_load(ring, ring_avail_event(ring)));
	else
		kick = !(ring_load(ring, RING_USED) & VRING_USED_F_NO_NOTIFY);
	if (kick)
		atomic_store(&pair->kicked, 1);
}

/* Sleep until something comes back; false: it did not. */
static bool driver_wait(struct pair *pair)
{
	struct ring *ring = pair->ring;

	while (used_index(pair) == pair->taken) {
		if (ring->vq.event_idx)
			ring_store(ring, ring_used_event(ring), pair->taken);
		else
			ring_store(ring, RING_AVAIL, 0);
		/* Partner: the device's fence between its idx store and its look at our event or flag. */
		atomic_thread_fence(memory_order_seq_cst);
		if (used_index(pair) == pair->taken && !sleep_on(pair, &pair->interrupted))
			return false;
	}
	ring_store(ring, RING_AVAIL, VRING_AVAIL_F_NO_INTERRUPT);
	pair->taken = used_index(pair);
	return true;
}

static unsigned room(const struct pair *pair)
{
	return SIZE - (uint16_t)(pair->ring->avail_idx - pair->taken);
}

static void delay(uint32_t turns)
{
	while (turns--)
		atomic_signal_fence(memory_order_seq_cst);
}

static void run_pair(void *(*device)(void *opaque), bool event_idx)
{
	const uint32_t rounds = getenv("FULL") ? FULL_ROUNDS : ROUNDS;
	struct pair pair = {.ring = ring_create(SIZE)};
	uint32_t seed = 3, i = 0;
	pthread_t thread;

	pair.ring->vq.event_idx = event_idx;
	assert_int_equal(pthread_create(&thread, NULL, device, &pair), 0);
	for (; i < rounds; i++) {
		driver_offer(&pair, 1);
		/*
		 * Sleep with much in flight or with little; else come again about when the device finds nothing more.
		 */
		if (room(&pair) && random_from(&seed) % 8)
			delay(random_from(&seed) % 256);
		else if (!driver_wait(&pair))
			break;
	}
	assert_false(atomic_load(&pair.asleep));
	assert_int_equal(i, rounds);
	atomic_store(&pair.stop, true);
	atomic_store(&pair.kicked, 1);
	pthread_join(thread, NULL);
	ring_destroy(pair.ring);
}

static void test_no_wake_up_lost_by_flags(void **state)
{
	(void)state;
	run_pair(careful_device, false);
}

static void test_no_wake_up_lost_by_events(void **state)
{
	(void)state;
	run_pair(careful_device, true);
}

static void test_no_wake_up_lost_by_simple_device(void **state)
{
	(void)state;
	run_pair(simple_device, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupts_by_event),
		cmocka_unit_test(test_interrupts_of_longest_batch),
		cmocka_unit_test(test_interrupts_by_flag),
		cmocka_unit_test(test_kicks_by_event),
		cmocka_unit_test(test_kicks_by_flag),
		cmocka_unit_test(test_events_out_of_reach),
		cmocka_unit_test(test_no_wake_up_lost_by_flags),
		cmocka_unit_test(test_no_wake_up_lost_by_events),
		cmocka_unit_test(test_no_wake_up_lost_by_simple_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
