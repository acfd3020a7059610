/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whoever polls an invalidation in vain may sleep until viommu_config.progress: it is called when somebody in the way
 * lets go, and no such call is ever lost, also where the kernel refuses membarrier.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { PAGE = 4096, DEADLINE_MS = 600000, LOST_S = 20, USERS = 2, WAITERS = 3 };
/* Accesses of a section; invalidations that must have had to wait, and of these at least one in CLIENT_PART for a
 * client. */
enum { ACCESSES = 200, WAITS = 1000, FULL_WAITS = 1000000, CLIENT_PART = 20 };

/* An embedder's event: how often progress was called, and a sleep until it was called again. */
struct event {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	_Atomic uint64_t count;
};

struct world {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	struct event event;
	uint8_t *ram;
};

static void on_progress(void *opaque)
{
	struct event *event = opaque;

	pthread_mutex_lock(&event->mutex);
	event->count++;
	pthread_cond_broadcast(&event->cond);
	pthread_mutex_unlock(&event->mutex);
}

/* False: it was not called again within LOST_S seconds. */
static bool await(struct event *event, uint64_t seen)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LOST_S;
	pthread_mutex_lock(&event->mutex);
	while (event->count == seen && !err)
		err = pthread_cond_timedwait(&event->cond, &event->mutex, &until);
	pthread_mutex_unlock(&event->mutex);
	return !err;
}

static struct viommu_iova iova(uint64_t value)
{
	return (struct viommu_iova){value};
}

static void map(struct world *w)
{
	assert_int_equal(
		viommu_map(w->domain, iova(0), iova(PAGE - 1), (struct viommu_gpa){0}, VIOMMU_READ | VIOMMU_WRITE), 0);
}

static void open_world(struct world *w)
{
	const struct viommu_config config = {.size = sizeof(struct viommu_config),
					     .deadline_ms = DEADLINE_MS,
					     .progress = on_progress,
					     .opaque = &w->event};

	*w = (struct world){.event = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}};
	w->ram = aligned_alloc(PAGE, PAGE);
	assert_non_null(w->ram);
	assert_int_equal(viommu_create(&config, &w->v), 0);
	assert_int_equal(viommu_mem_add(w->v, (struct viommu_gpa){0}, PAGE, w->ram, -1, 0), 0);
	assert_int_equal(viommu_domain_create(w->v, 1, &w->domain), 0);
	assert_int_equal(viommu_endpoint_add(w->v, 8, "device", &w->endpoint), 0);
	assert_int_equal(viommu_inval_create(w->v, &w->inval), 0);
	assert_int_equal(viommu_attach(w->endpoint, w->domain, w->inval), 0);
	map(w);
}

static void close_world(struct world *w)
{
	assert_int_equal(viommu_detach(w->endpoint, w->inval), 0);
	viommu_inval_begin(w->inval);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
	viommu_inval_destroy(w->inval);
	assert_int_equal(viommu_endpoint_remove(w->endpoint), 0);
	viommu_domain_destroy(w->domain);
	viommu_destroy(w->v);
	free(w->ram);
}

static void begin_unmap(struct world *w)
{
	uint64_t removed;

	assert_int_equal(viommu_unmap(w->domain, iova(0), iova(PAGE - 1), w->inval, &removed), 0);
	viommu_inval_begin(w->inval);
}

static void hold(struct world *w, struct viommu_hold *hold, struct viommu_span *span)
{
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(w->endpoint, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, iova(0), PAGE, VIOMMU_READ, span), 0);
	*hold = (struct viommu_hold){0};
	viommu_dma_hold(&section, hold, span, 1);
	viommu_dma_end(&section);
}

static void test_end_of_section_is_progress(void **state)
{
	struct viommu_section section, other;
	struct world w;

	(void)state;
	open_world(&w);
	assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
	begin_unmap(&w);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	/* One that began later is in nobody's way. */
	assert_int_equal(viommu_dma_begin(w.endpoint, &other), 0);
	viommu_dma_end(&other);
	assert_int_equal(w.event.count, 0);
	viommu_dma_end(&section);
	assert_int_equal(w.event.count, 1);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	close_world(&w);
}

static void test_release_of_hold_is_progress(void **state)
{
	struct viommu_hold first, second, third;
	struct viommu_span spans[3];
	struct world w;

	(void)state;
	open_world(&w);
	hold(&w, &first, &spans[0]);
	hold(&w, &second, &spans[1]);
	hold(&w, &third, &spans[2]);
	viommu_dma_release(&first); /* nobody has polled yet */
	begin_unmap(&w);
	assert_int_equal(w.event.count, 0);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	viommu_dma_release(&second);
	assert_int_equal(w.event.count, 1);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	viommu_dma_release(&third);
	assert_int_equal(w.event.count, 2);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	close_world(&w);
}

struct cache {
	struct viommu_client *client;
	_Atomic uint64_t asked;
};

static void note(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct cache *cache = opaque;

	(void)first;
	(void)last;
	cache->asked = ticket;
}

static const struct viommu_client_ops note_ops = {.size = sizeof(struct viommu_client_ops), .invalidate = note};

static void test_acknowledgement_is_progress(void **state)
{
	struct cache cache = {NULL, 0};
	struct world w;

	(void)state;
	open_world(&w);
	assert_int_equal(viommu_client_register(w.endpoint, &note_ops, &cache, &cache.client), 0);
	begin_unmap(&w);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	viommu_client_ack(cache.client, cache.asked);
	assert_int_equal(w.event.count, 1);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	map(&w);
	begin_unmap(&w);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	viommu_client_unregister(cache.client);
	assert_int_equal(w.event.count, 2);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	close_world(&w);
}

/* Threads that use memory, threads that wait for them, and a client that acknowledges when it gets to it. */
struct race {
	struct world w;
	struct viommu_endpoint *told; /* the client's; the users have the other one */
	struct cache cache;
	uint64_t goal;
	_Atomic uint64_t done, waited, acknowledged;
	_Atomic unsigned waiters;
	_Atomic bool stop, lost;
};

static void *use(void *opaque)
{
	struct race *race = opaque;

	for (uint64_t round = 0; !race->stop; round++) {
		struct viommu_section section;
		struct viommu_span span;
		struct viommu_hold hold = {0};
		bool held = !(round % 16);
		volatile const uint8_t *byte = race->w.ram;

		if (viommu_dma_begin(race->w.endpoint, &section))
			continue;
		if (held && !viommu_dma_translate(&section, iova(0), PAGE, VIOMMU_READ, &span))
			viommu_dma_hold(&section, &hold, &span, 1);
		for (unsigned i = 0; i < ACCESSES; i++)
			(void)byte[i];
		viommu_dma_end(&section);
		if (held)
			viommu_dma_release(&hold);
	}
	return NULL;
}

static void *acknowledge(void *opaque)
{
	struct race *race = opaque;

	while (!race->stop) {
		viommu_client_ack(race->cache.client, race->cache.asked);
		sched_yield();
	}
	return NULL;
}

static bool complete(struct race *race, struct viommu_inval *inval, _Atomic uint64_t *count)
{
	bool waited = false;

	viommu_inval_begin(inval);
	for (;;) {
		uint64_t seen = race->w.event.count;

		if (!viommu_inval_poll(inval))
			break;
		waited = true;
		if (!await(&race->w.event, seen))
			return false;
	}
	race->done++;
	*count += waited;
	if (!waited)
		sched_yield(); /* the users have the processor in their turn */
	return true;
}

static void *wait_for_them(void *opaque)
{
	struct race *race = opaque;
	struct viommu_inval *inval;
	bool client = !race->waiters++;

	if (viommu_inval_create(race->w.v, &inval))
		abort();
	while (!race->stop) {
		if (viommu_quiesce(client ? race->told : race->w.endpoint, inval))
			abort();
		if (!complete(race, inval, client ? &race->acknowledged : &race->waited))
			race->lost = true;
		if (race->lost || (race->waited >= race->goal && race->acknowledged >= race->goal / CLIENT_PART))
			race->stop = true;
	}
	/* Should it still be pending, whoever is in the way has gone by the end of all threads. */
	return inval;
}

/* Status of a process: 0: nothing was lost. */
static int run_race(void)
{
	struct race race = {.goal = getenv("FULL") ? FULL_WAITS : WAITS};
	pthread_t users[USERS], waiters[WAITERS], client;

	open_world(&race.w);
	assert_int_equal(viommu_endpoint_add(race.w.v, 9, "told", &race.told), 0);
	assert_int_equal(viommu_client_register(race.told, &note_ops, &race.cache, &race.cache.client), 0);
	pthread_create(&client, NULL, acknowledge, &race);
	for (unsigned i = 0; i < USERS; i++)
		pthread_create(&users[i], NULL, use, &race);
	for (unsigned i = 0; i < WAITERS; i++)
		pthread_create(&waiters[i], NULL, wait_for_them, &race);
	for (unsigned i = 0; i < USERS; i++)
		pthread_join(users[i], NULL);
	pthread_join(client, NULL);
	viommu_client_unregister(race.cache.client);
	for (unsigned i = 0; i < WAITERS; i++) {
		void *inval;

		pthread_join(waiters[i], &inval);
		assert_int_equal(viommu_inval_poll(inval), 0);
		viommu_inval_destroy(inval);
	}
	assert_int_equal(viommu_endpoint_remove(race.told), 0);
	close_world(&race.w);
	print_message("%llu invalidations; %llu waited for sections and holds, %llu for a client%s\n",
		      (unsigned long long)race.done, (unsigned long long)race.waited,
		      (unsigned long long)race.acknowledged, race.lost ? "; one was not woken" : "");
	return race.lost || !race.waited || !race.acknowledged;
}

static void test_no_progress_is_lost(void **state)
{
	(void)state;
	assert_int_equal(run_race(), 0);
}

static void refuse_membarrier(void)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(steps) / sizeof(steps[0]), steps};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) ||
	    !syscall(SYS_membarrier, 0, 0, 0) || errno != EPERM)
		_exit(2);
}

/* From the beginning, or in the middle: the process that was granted it has filters that refuse it later. */
static void race_without_membarrier(bool granted_at_first)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		struct world w;

		if (granted_at_first)
			open_world(&w);
		refuse_membarrier();
		if (granted_at_first) {
			struct viommu_section section;

			/* The one that is armed when the kernel refuses, and the next one. */
			for (uint64_t last = 0, round = 0; round < 2; round++, last = w.event.count) {
				assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
				assert_int_equal(viommu_quiesce(w.endpoint, w.inval), 0);
				viommu_inval_begin(w.inval);
				assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
				viommu_dma_end(&section);
				assert_true(w.event.count > last);
				assert_int_equal(viommu_inval_poll(w.inval), 0);
			}
			close_world(&w);
		}
		_exit(granted_at_first ? 0 : run_race());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_no_progress_is_lost_without_membarrier(void **state)
{
	(void)state;
	race_without_membarrier(false);
}

static void test_membarrier_refused_later(void **state)
{
	(void)state;
	race_without_membarrier(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_end_of_section_is_progress),
		cmocka_unit_test(test_release_of_hold_is_progress),
		cmocka_unit_test(test_acknowledgement_is_progress),
		cmocka_unit_test(test_no_progress_is_lost),
		cmocka_unit_test(test_no_progress_is_lost_without_membarrier),
		cmocka_unit_test(test_membarrier_refused_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
