/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drivers offer chains to a network card and to a disk while their queues are polled, and while polling begins and
 * ends; they notify where the device asks for it, as a driver does. Each chain comes back, for a driver that waits for
 * it does nothing else: one that was left behind is waited for in vain. Then the same while the card's bus mastering
 * goes off and on.
 */
#include <endian.h>
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/net_driver.h"
#include "tests/support/pci_bar.h"
#include "vmm/util/loop.h"

enum {
	SLOTS = 8, /* chains that a driver has under way at most */
	ROUNDS = 100,
	FULL_ROUNDS = 2000,
	FRAME = 60,
	ANSWER_AT = 0x800,
	SLOT_BYTES = 0x1000,
	DRIVER_BYTES = SLOTS * SLOT_BYTES,
	DISK = 1 << 20,
	BEGUN = 3, /* so often polling has begun, and all but the last time ended, before the test is content */
	PATIENCE_S = 120
};

struct race {
	struct net_fixture *f;
	bool event_idx;
	_Atomic bool over;
	_Atomic unsigned at_work; /* drivers */
};

/* Of one queue. */
struct driver {
	struct race *race;
	pthread_t thread;
	unsigned queue;
	void (*describe)(struct driver *driver, unsigned slot);
	/* On the tap's side: before the chain is offered, or after that; and when it has come back. May be NULL. */
	void (*peer)(struct driver *driver);
	void (*taken)(struct driver *driver);
	uint16_t used_idx;
	unsigned random;
};

static char disk[] = "/tmp/viommu-polled-XXXXXX";
static const uint8_t frame[TAP_HEADER_SIZE + FRAME];

static unsigned next_random(struct driver *driver)
{
	driver->random = driver->random * 1103515245 + 12345;
	return driver->random >> 16;
}

static uint64_t slot_at(const struct driver *driver, unsigned slot)
{
	return BUFFERS + (uint64_t)driver->queue * DRIVER_BYTES + (uint64_t)slot * SLOT_BYTES;
}

static void describe_sent(struct driver *driver, unsigned slot)
{
	net_ring(driver->race->f, driver->queue).desc[slot] =
		(struct vring_desc){slot_at(driver, slot), sizeof(frame), 0, 0};
}

static void describe_received(struct driver *driver, unsigned slot)
{
	net_ring(driver->race->f, driver->queue).desc[slot] =
		(struct vring_desc){slot_at(driver, slot), sizeof(frame), VRING_DESC_F_WRITE, 0};
}

static void describe_read(struct driver *driver, unsigned slot)
{
	const struct virtio_blk_outhdr header = {.type = htole32(VIRTIO_BLK_T_IN)};
	struct vring vring = net_ring(driver->race->f, driver->queue);
	const uint64_t at = slot_at(driver, slot);

	memcpy(driver->race->f->ram + at, &header, sizeof(header));
	vring.desc[slot] = (struct vring_desc){at, sizeof(header), VRING_DESC_F_NEXT, (uint16_t)(SLOTS + slot)};
	vring.desc[SLOTS + slot] = (struct vring_desc){at + ANSWER_AT, 512 + 1, VRING_DESC_F_WRITE, 0};
}

static void give_frame(struct driver *driver)
{
	assert_int_equal(send(driver->race->f->tap[0], frame, sizeof(frame), 0), sizeof(frame));
}

static void take_frame(struct driver *driver)
{
	uint8_t bytes[sizeof(frame)];

	assert_int_equal(recv(driver->race->f->tap[0], bytes, sizeof(bytes), MSG_DONTWAIT), sizeof(bytes));
}

/* Sections 2.7.7.1 and 2.7.10.1, after the new index is there for the device. */
static bool wants_notification(const struct race *race, const struct vring *vring, uint16_t index)
{
	const uint16_t *event = (const void *)&vring->used->ring[vring->num];

	if (race->event_idx)
		return vring_need_event(__atomic_load_n(event, __ATOMIC_SEQ_CST), (uint16_t)(index + 1), index);
	return !(__atomic_load_n(&vring->used->flags, __ATOMIC_SEQ_CST) & VRING_USED_F_NO_NOTIFY);
}

static void offer(struct driver *driver, unsigned slot)
{
	struct race *race = driver->race;
	struct vring vring = net_ring(race->f, driver->queue);
	const uint16_t index = vring.avail->idx;

	driver->describe(driver, slot);
	vring.avail->ring[index % vring.num] = (uint16_t)slot;
	__atomic_store_n(&vring.avail->idx, (uint16_t)(index + 1), __ATOMIC_SEQ_CST);
	if (wants_notification(race, &vring, index))
		bar_set(race->f->pci, VIRTIO_NOTIFY + driver->queue * VIRTIO_NOTIFY_MULTIPLIER, 2, driver->queue);
}

static void await(struct driver *driver)
{
	const struct vring vring = net_ring(driver->race->f, driver->queue);
	const time_t until = time(NULL) + PATIENCE_S;

	while (__atomic_load_n(&vring.used->idx, __ATOMIC_ACQUIRE) == driver->used_idx) {
		assert_true(time(NULL) < until);
		sched_yield();
	}
	assert_in_range(vring.used->ring[driver->used_idx++ % vring.num].id, 0, SLOTS - 1);
	if (driver->taken)
		driver->taken(driver);
}

/* Shorter and longer than polling waits for something before it ends. */
static void rest(struct driver *driver)
{
	static const unsigned us[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 100, 900, 900, 1000, 1000, 1100, 1500, 21000};
	const unsigned some = us[next_random(driver) % (sizeof(us) / sizeof(us[0]))];

	if (some)
		usleep(some + next_random(driver) % 100);
}

static void run_round(struct driver *driver)
{
	const unsigned count = 1 + next_random(driver) % SLOTS;

	for (unsigned i = 0; i < count; i++) {
		const bool first = next_random(driver) & 1;

		if (driver->peer && first)
			driver->peer(driver);
		offer(driver, i);
		if (driver->peer && !first)
			driver->peer(driver);
		if (next_random(driver) % SLOTS == 0)
			rest(driver);
	}
	for (unsigned i = 0; i < count; i++)
		await(driver);
}

static void *run_driver(void *opaque)
{
	struct driver *driver = opaque;
	const unsigned rounds = getenv("FULL") ? FULL_ROUNDS : ROUNDS;

	for (unsigned i = 0; i < rounds; i++) {
		run_round(driver);
		rest(driver);
	}
	driver->race->at_work--;
	return NULL;
}

static void *run_loop(void *opaque)
{
	struct net_fixture *f = opaque;

	assert_int_equal(loop_run(f->loop), 0);
	return NULL;
}

/* A thread for the loop, and one for each driver, while this one turns bus mastering off and on. */
static void run_drivers(struct race *race, struct driver *drivers, unsigned count, bool master)
{
	pthread_t loop;

	race->at_work = count;
	assert_int_equal(pthread_create(&loop, NULL, run_loop, race->f), 0);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pthread_create(&drivers[i].thread, NULL, run_driver, &drivers[i]), 0);
	while (master && race->at_work) {
		pci_config_write(race->f->pci, PCI_COMMAND, 0, 2);
		usleep(100);
		pci_config_write(race->f->pci, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
		usleep(5000);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(drivers[i].thread, NULL);
	loop_stop(race->f->loop);
	pthread_join(loop, NULL);
}

/* Until polling has done what it should. */
static void run_race(struct race *race, struct driver *drivers, unsigned count, bool master)
{
	const time_t until = time(NULL) + PATIENCE_S;
	const enum polling_mode poll = race->f->poll;
	struct kick_stats stats;

	do {
		run_drivers(race, drivers, count, master);
		assert_true(race->f->pci->ops->kick_stats(race->f->pci, &stats));
		assert_true(time(NULL) < until);
	} while (poll == POLLING_AUTO ? stats.polling.begun < BEGUN : poll == POLLING_ALWAYS && !stats.polling.found);
	if (poll == POLLING_OFF)
		assert_int_equal(stats.polling.begun, 0);
	if (poll == POLLING_ALWAYS)
		assert_int_equal(stats.polling.begun, 1);
	assert_false(net_status(race->f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void race_card(struct race *race, uint64_t features)
{
	struct driver drivers[] = {
		{.race = race, .queue = 0, .describe = describe_received, .peer = give_frame, .random = 1},
		{.race = race, .queue = 1, .describe = describe_sent, .taken = take_frame, .random = 2},
	};

	net_boot(race->f, 1, features);
	run_race(race, drivers, 2, false);
	/* When it comes on all queues are kicked, which would hide a chain that was left behind. */
	run_race(race, drivers, 2, true);
}

static void race_disk(struct race *race, uint64_t features)
{
	struct driver driver = {.race = race, .queue = 0, .describe = describe_read, .random = 3};
	const struct virtio_env env = {.loop = race->f->loop, .poll = race->f->poll};
	const struct virtio_disk_config config = {.path = disk, .queues = 1};

	assert_int_equal(virtio_blk_create(&env, &config, &race->f->pci), 0);
	net_start_device(race->f, features);
	run_race(race, &driver, 1, false);
}

static void race_with(void (*run)(struct race *race, uint64_t features), enum polling_mode poll)
{
	for (unsigned i = 0; i < 2; i++) {
		struct race race = {.event_idx = i};
		void *state;

		net_setup(&state);
		race.f = state;
		race.f->poll = poll;
		run(&race, i ? ~0ull : ~(1ull << VIRTIO_RING_F_EVENT_IDX));
		net_teardown(&state);
	}
}

static void test_card_that_is_not_polled(void **state)
{
	(void)state;
	race_with(race_card, POLLING_OFF);
}

static void test_card_that_is_polled_now_and_then(void **state)
{
	(void)state;
	race_with(race_card, POLLING_AUTO);
}

static void test_card_that_is_polled(void **state)
{
	(void)state;
	race_with(race_card, POLLING_ALWAYS);
}

static void test_disk_that_is_not_polled(void **state)
{
	(void)state;
	race_with(race_disk, POLLING_OFF);
}

static void test_disk_that_is_polled_now_and_then(void **state)
{
	(void)state;
	race_with(race_disk, POLLING_AUTO);
}

static void test_disk_that_is_polled(void **state)
{
	(void)state;
	race_with(race_disk, POLLING_ALWAYS);
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
		cmocka_unit_test(test_card_that_is_not_polled),
		cmocka_unit_test(test_card_that_is_polled_now_and_then),
		cmocka_unit_test(test_card_that_is_polled),
		cmocka_unit_test(test_disk_that_is_not_polled),
		cmocka_unit_test(test_disk_that_is_polled_now_and_then),
		cmocka_unit_test(test_disk_that_is_polled),
	};

	return cmocka_run_group_tests(tests, make_disk, remove_disk);
}
