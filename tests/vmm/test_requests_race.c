/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several vCPUs map and unmap pages by the virtio-iommu's queue, each its own, and notify as a driver does, while the
 * loop serves and polls the queue, devices use the pages, and others reset the device or its queue, or turn bus
 * mastering off and on. Each request is answered once, or taken away by a reset; after an unmap's answer the page is
 * the guest's, which writes to it without any lock: ThreadSanitizer sees a device that is late, and the page one that
 * wrote.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/spec/virtio_iommu.h"
#include "tests/support/pci_bar.h"
#include "tests/support/wired.h"
#include "vmm/wiring/iommu.h"

enum {
	ASKERS = 3,
	DEVICES = 2,
	ROUNDS = 100,
	FULL_ROUNDS = 3000,
	ANSWERS_A_RESET = 20, /* so that askers get on */
	EVENT_BUFFERS = 16,
	SLOT_BYTES = 0x200,
	TAIL_AT = 0x100,
	EVENTS_AT = 0x8000,
	DEVICE_BYTES = 64,
	GONE = 0xa5,
	USED = 0x5a,
	PATIENCE_S = 120
};

struct race;

/* One that asks has one request at a time, with descriptors, buffers and a page of its own. */
struct asker {
	struct race *race;
	unsigned index;
	pthread_t thread;
	unsigned rounds;
	/* Guarded by race->lock. */
	bool waits, answered;
};

struct user {
	struct race *race;
	unsigned index;
	pthread_t thread;
	unsigned uses;
};

struct race {
	struct wired *w;
	bool event_idx;
	uint64_t features;
	pthread_mutex_t lock; /* of the guest's driver */
	/* Guarded by it. */
	uint16_t used_idx;
	unsigned epoch; /* what was asked before is not answered any more */
	unsigned resets[2];
	/* The last one is the reset's own. */
	struct asker askers[ASKERS + 1];
	struct user users[DEVICES];
	_Atomic unsigned answers;
	_Atomic bool over;
};

enum { ABANDONED = 0x100 };

static uint8_t *page_of(const struct race *race, unsigned index)
{
	return race->w->net.ram + (size_t)index * WIRED_PAGE;
}

static uint8_t *buffers_of(const struct asker *asker)
{
	return asker->race->w->net.ram + BUFFERS + (size_t)asker->index * SLOT_BYTES;
}

/* Sections 2.7.7.1 and 2.7.10.1, after the new index is there for the device. */
static bool wants_notification(const struct race *race, const struct vring *vring, uint16_t index)
{
	const uint16_t *event = (const void *)&vring->used->ring[vring->num];

	if (race->event_idx)
		return vring_need_event(__atomic_load_n(event, __ATOMIC_SEQ_CST), (uint16_t)(index + 1), index);
	return !(__atomic_load_n(&vring->used->flags, __ATOMIC_SEQ_CST) & VRING_USED_F_NO_NOTIFY);
}

/* True: the device wants to be notified. Driver's lock held. */
static bool offer_locked(struct asker *asker, const uint8_t *request, uint32_t size)
{
	struct race *race = asker->race;
	struct vring vring = net_ring(&race->w->net, VIOMMU_VIRTIO_REQUESTQ);
	const uint16_t head = (uint16_t)(2 * asker->index), index = vring.avail->idx;
	const uint64_t at = (uint64_t)(buffers_of(asker) - race->w->net.ram);

	memcpy(buffers_of(asker), request, size);
	buffers_of(asker)[TAIL_AT] = GONE;
	vring.desc[head] = (struct vring_desc){at, size, VRING_DESC_F_NEXT, (uint16_t)(head + 1)};
	vring.desc[head + 1] = (struct vring_desc){at + TAIL_AT, VIO_TAIL_SIZE, VRING_DESC_F_WRITE, 0};
	vring.avail->ring[index % vring.num] = head;
	asker->waits = true;
	asker->answered = false;
	__atomic_store_n(&vring.avail->idx, (uint16_t)(index + 1), __ATOMIC_SEQ_CST);
	return wants_notification(race, &vring, index);
}

static void reap_locked(struct race *race)
{
	struct vring vring = net_ring(&race->w->net, VIOMMU_VIRTIO_REQUESTQ);

	while (__atomic_load_n(&vring.used->idx, __ATOMIC_ACQUIRE) != race->used_idx) {
		const struct vring_used_elem *elem = &vring.used->ring[race->used_idx++ % vring.num];

		assert_true(elem->id % 2 == 0 && elem->id / 2 <= ASKERS);
		struct asker *asker = &race->askers[elem->id / 2];

		assert_true(asker->waits);
		assert_int_equal(elem->len, VIO_TAIL_SIZE);
		asker->waits = false;
		asker->answered = true;
		race->answers++;
	}
}

/* With the lock held, but for naps; a request that is lost is waited for in vain. */
static void await_locked(struct asker *asker)
{
	struct race *race = asker->race;
	const unsigned epoch = race->epoch;
	const time_t until = time(NULL) + PATIENCE_S;

	for (reap_locked(race); !asker->answered && race->epoch == epoch; reap_locked(race)) {
		pthread_mutex_unlock(&race->lock);
		assert_true(time(NULL) < until);
		sched_yield();
		pthread_mutex_lock(&race->lock);
	}
}

/* Its status, or ABANDONED where a reset has taken it away. A driver may notify more often than it must. */
static unsigned ask(struct asker *asker, const uint8_t *request, uint32_t size)
{
	struct race *race = asker->race;
	unsigned status;
	bool notify;

	pthread_mutex_lock(&race->lock);
	notify = offer_locked(asker, request, size);
	pthread_mutex_unlock(&race->lock);
	if (notify || asker->rounds % 8 == 0)
		wired_notify(race->w, VIOMMU_VIRTIO_REQUESTQ);
	if (asker->rounds % 16 == 0)
		wired_notify(race->w, VIOMMU_VIRTIO_EVENTQ);
	pthread_mutex_lock(&race->lock);
	if (asker->waits)
		await_locked(asker);
	status = asker->answered ? buffers_of(asker)[TAIL_AT] : ABANDONED;
	pthread_mutex_unlock(&race->lock);
	return status;
}

static unsigned ask_map(struct asker *asker)
{
	uint8_t request[VIO_MAP_SIZE];

	return ask(asker, request, wired_map(request, asker->index));
}

static unsigned ask_unmap(struct asker *asker)
{
	uint8_t request[VIO_UNMAP_SIZE];

	return ask(asker, request, wired_unmap(request, asker->index));
}

/* Nobody reaches the page: it is the guest's. */
static void expect_own(const struct asker *asker)
{
	uint8_t *page = page_of(asker->race, asker->index);

	assert_false(wired_reaches(asker->race->w, (uint64_t)asker->index * WIRED_PAGE));
	memset(page, GONE, DEVICES * DEVICE_BYTES);
	sched_yield();
	for (unsigned i = 0; i < DEVICES * DEVICE_BYTES; i++)
		assert_int_equal(page[i], GONE);
}

/* A request that a reset took away may have been performed, so an unmap is repeated, and what a map did undone. */
static void *run_asker(void *opaque)
{
	struct asker *asker = opaque;
	const unsigned rounds = getenv("FULL") ? FULL_ROUNDS : ROUNDS;

	for (; asker->rounds < rounds; asker->rounds++) {
		unsigned status = ask_map(asker);

		assert_true(status == VIO_S_OK || status == ABANDONED);
		if (status == VIO_S_OK)
			sched_yield();
		do
			status = ask_unmap(asker);
		while (status == ABANDONED);
		assert_int_equal(status, VIO_S_OK);
		expect_own(asker);
	}
	return NULL;
}

static void use_bytes(struct user *user, struct viommu_span *span)
{
	memset(span->host, USED, DEVICE_BYTES);
	user->uses++;
}

/* In a section, or under a hold that outlives it. */
static void use_page(struct user *user, unsigned page, bool keeps)
{
	const uint64_t iova = (uint64_t)page * WIRED_PAGE + (uint64_t)user->index * DEVICE_BYTES;
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold = {0};
	bool held = false;

	assert_int_equal(viommu_dma_begin(user->race->w->dev.endpoint, &section), 0);
	if (!viommu_dma_translate(&section, (struct viommu_iova){iova}, DEVICE_BYTES, VIOMMU_WRITE, &span)) {
		use_bytes(user, &span);
		if (keeps)
			viommu_dma_hold(&section, &hold, &span, 1);
		held = keeps;
	}
	sched_yield();
	viommu_dma_end(&section);
	if (!held)
		return;
	sched_yield();
	use_bytes(user, &span);
	viommu_dma_release(&hold);
}

static void *run_user(void *opaque)
{
	struct user *user = opaque;

	for (unsigned i = 0; !user->race->over; i++)
		use_page(user, i % ASKERS, i % 8 == 0);
	return NULL;
}

static void *run_master(void *opaque)
{
	struct race *race = opaque;

	while (!race->over) {
		wired_master(race->w, false);
		usleep(100);
		wired_master(race->w, true);
		usleep(1000);
	}
	return NULL;
}

static void attach_locked(struct race *race)
{
	struct asker *self = &race->askers[ASKERS];
	uint8_t request[VIO_ATTACH_SIZE];

	if (offer_locked(self, request, wired_attach(request)))
		wired_notify(race->w, VIOMMU_VIRTIO_REQUESTQ);
	await_locked(self);
	assert_int_equal(buffers_of(self)[TAIL_AT], VIO_S_OK);
}

static void clear_ring_locked(struct race *race, unsigned queue)
{
	struct vring vring = net_ring(&race->w->net, queue);

	memset(vring.desc, 0, vring.num * sizeof(*vring.desc));
	memset(vring.avail, 0, sizeof(*vring.avail) + (vring.num + 1) * sizeof(*vring.avail->ring));
	memset(vring.used, 0, sizeof(*vring.used) + vring.num * sizeof(*vring.used->ring) + sizeof(uint16_t));
}

static void begin_locked(struct race *race)
{
	for (unsigned i = 0; i < VIOMMU_VIRTIO_QUEUES; i++)
		clear_ring_locked(race, i);
	for (unsigned i = 0; i < EVENT_BUFFERS; i++)
		net_add(&race->w->net, VIOMMU_VIRTIO_EVENTQ, BUFFERS + EVENTS_AT + i * VIOMMU_VIRTIO_EVENT_SIZE,
			VIOMMU_VIRTIO_EVENT_SIZE, true);
	race->used_idx = 0;
	net_begin_device(&race->w->net, race->features);
	attach_locked(race);
}

static void reset_device_locked(struct race *race)
{
	bar_set(race->w->net.pci, VIRTIO_COMMON + VIRTIO_PCI_COMMON_STATUS, 1, 0);
	while (net_status(&race->w->net))
		sched_yield();
}

static void reset_queue_locked(struct race *race)
{
	struct pci_dev *pci = race->w->net.pci;

	bar_set(pci, VIRTIO_PCI_COMMON_Q_SELECT, 2, VIOMMU_VIRTIO_REQUESTQ);
	bar_set(pci, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	while (net_reg(&race->w->net, VIRTIO_PCI_COMMON_Q_RESET, 2))
		sched_yield();
	clear_ring_locked(race, VIOMMU_VIRTIO_REQUESTQ);
	race->used_idx = 0;
	net_set_queue(&race->w->net, VIOMMU_VIRTIO_REQUESTQ);
}

/* What was answered before counts; what was not is gone, and asked for again. */
static void reset_locked(struct race *race, bool device)
{
	assert_false(net_status(&race->w->net) & VIRTIO_CONFIG_S_NEEDS_RESET);
	if (device)
		reset_device_locked(race);
	else
		reset_queue_locked(race);
	for (unsigned i = 0; i <= ASKERS; i++)
		race->askers[i].waits = false;
	race->epoch++;
	race->resets[device]++;
	/* Last, as others have their turn while it waits. */
	if (device)
		begin_locked(race);
}

static void *run_resets(void *opaque)
{
	struct race *race = opaque;
	unsigned seen = race->answers;

	for (unsigned i = 0; !race->over; i++) {
		while (!race->over && race->answers - seen < ANSWERS_A_RESET)
			usleep(100);
		pthread_mutex_lock(&race->lock);
		reset_locked(race, i % 3 == 0);
		pthread_mutex_unlock(&race->lock);
		seen = race->answers;
	}
	return NULL;
}

static void begin_race(struct race *race)
{
	for (unsigned i = 0; i <= ASKERS; i++)
		race->askers[i] = (struct asker){.race = race, .index = i};
	for (unsigned i = 0; i < ASKERS; i++)
		memset(page_of(race, i), GONE, WIRED_PAGE);
	wired_begin_loop(race->w);
	pthread_mutex_lock(&race->lock);
	reset_device_locked(race);
	begin_locked(race);
	pthread_mutex_unlock(&race->lock);
}

/* What is common to all: threads are joined in an order in which none waits for one that has ended. */
static void run_race(struct race *race)
{
	pthread_t master, resets;

	assert_int_equal(pthread_create(&resets, NULL, run_resets, race), 0);
	assert_int_equal(pthread_create(&master, NULL, run_master, race), 0);
	for (unsigned i = 0; i < DEVICES; i++) {
		race->users[i] = (struct user){.race = race, .index = i};
		assert_int_equal(pthread_create(&race->users[i].thread, NULL, run_user, &race->users[i]), 0);
	}
	for (unsigned i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_create(&race->askers[i].thread, NULL, run_asker, &race->askers[i]), 0);
	for (unsigned i = 0; i < ASKERS; i++)
		pthread_join(race->askers[i].thread, NULL);
	race->over = true;
	for (unsigned i = 0; i < DEVICES; i++)
		pthread_join(race->users[i].thread, NULL);
	pthread_join(resets, NULL);
	pthread_join(master, NULL);
	wired_end_loop(race->w);
}

static void race_with(enum polling_mode poll, bool event_idx)
{
	const uint64_t features = event_idx ? ~0ull : ~(1ull << VIRTIO_RING_F_EVENT_IDX);
	struct race race = {.event_idx = event_idx, .features = features, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct request_stats stats;
	unsigned uses = 0;

	race.w = wired_create_virtio(poll, features);
	begin_race(&race);
	run_race(&race);
	assert_false(net_status(&race.w->net) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(race.resets[0] && race.resets[1]);
	for (unsigned i = 0; i < DEVICES; i++)
		uses += race.users[i].uses;
	assert_true(uses > 0);
	assert_true(iommu_wiring_requests(race.w->wiring, &stats));
	assert_true(stats.requests >= race.answers);
	if (poll == POLLING_OFF)
		assert_int_equal(stats.polling.begun, 0);
	if (poll == POLLING_ALWAYS)
		assert_true(stats.polling.found > 0);
	wired_destroy(race.w);
}

static void test_race_without_polling(void **state)
{
	(void)state;
	race_with(POLLING_OFF, false);
	race_with(POLLING_OFF, true);
}

static void test_race_with_polling_now_and_then(void **state)
{
	(void)state;
	race_with(POLLING_AUTO, false);
	race_with(POLLING_AUTO, true);
}

static void test_race_with_polling(void **state)
{
	(void)state;
	race_with(POLLING_ALWAYS, false);
	race_with(POLLING_ALWAYS, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_race_without_polling),
		cmocka_unit_test(test_race_with_polling_now_and_then),
		cmocka_unit_test(test_race_with_polling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
