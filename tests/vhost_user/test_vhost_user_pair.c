/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our front end and our back end over one socket, in one process: with the shared table neither asks or tells the other
 * anything, and an invalidation waits for who is inside; without it the same by messages.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { PAGE = 4096, RAM_PAGES = 64, RING_SIZE = 8, ROUNDS = 1000 };
enum { RING_IOVA = 0x10000, DATA_IOVA = 0x100000, DATA_GPA = 0x20000, PLATFORM = 33, VERSION_1 = 32 };

struct pair {
	/* The front end's guest. */
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	uint8_t *ram;
	int ram_fd, kick;
	struct viommu_vhu *front;
	bool started;
	unsigned lost, reply_ms;
	/* The back end's device. */
	struct viommu_backend *back;
	bool running;
	unsigned retries;
};

static int on_start(void *opaque, unsigned queue, const struct viommu_backend_ring *ring)
{
	struct pair *p = opaque;

	(void)queue;
	assert_int_equal(ring->size, RING_SIZE);
	p->running = true;
	return 0;
}

static void on_stop(void *opaque, unsigned queue)
{
	struct pair *p = opaque;

	p->running = false;
	viommu_backend_stopped(p->back, queue, 0);
}

static void on_retry(void *opaque)
{
	struct pair *p = opaque;

	p->retries++;
}

static void on_ready(void *opaque)
{
	(void)opaque;
}

static void on_started(void *opaque)
{
	struct pair *p = opaque;

	p->started = true;
}

static void on_stopped(void *opaque, const uint16_t *bases, unsigned count)
{
	struct pair *p = opaque;

	(void)bases;
	(void)count;
	p->started = false;
}

static void on_lost(void *opaque, const char *why)
{
	struct pair *p = opaque;

	print_message("lost: %s\n", why);
	p->lost++;
}

/* Both sides work, a while; their timers are short. */
static void pump(struct pair *p)
{
	for (unsigned i = 0; i < 200; i++) {
		viommu_vhu_serve(p->front);
		if (p->back)
			assert_int_equal(viommu_backend_serve(p->back), 0);
	}
}

static void map(struct pair *p, uint64_t iova, uint64_t size, uint64_t gpa, unsigned access)
{
	assert_int_equal(viommu_map(p->domain, (struct viommu_iova){iova}, (struct viommu_iova){iova + size - 1},
				    (struct viommu_gpa){gpa}, access),
			 0);
}

static void unmap(struct pair *p, uint64_t iova, uint64_t size)
{
	assert_int_equal(viommu_unmap(p->domain, (struct viommu_iova){iova}, (struct viommu_iova){iova + size - 1},
				      p->inval, NULL),
			 0);
	viommu_inval_begin(p->inval);
}

static void complete(struct pair *p)
{
	while (viommu_inval_poll(p->inval) == -EAGAIN)
		pump(p);
}

static void make_guest(struct pair *p)
{
	p->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(p->ram_fd, RAM_PAGES * PAGE), 0);
	p->ram = mmap(NULL, RAM_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p->ram_fd, 0);
	assert_ptr_not_equal(p->ram, MAP_FAILED);
	for (unsigned i = 0; i < RAM_PAGES * PAGE; i++)
		p->ram[i] = (uint8_t)(i / PAGE);
	assert_int_equal(viommu_create(NULL, &p->v), 0);
	assert_int_equal(viommu_mem_add(p->v, (struct viommu_gpa){0}, RAM_PAGES * PAGE, p->ram, p->ram_fd, 0), 0);
	assert_int_equal(viommu_inval_create(p->v, &p->inval), 0);
	assert_int_equal(viommu_domain_create(p->v, 1, &p->domain), 0);
	assert_int_equal(viommu_endpoint_add(p->v, 8, "0000:00:01.0", &p->endpoint), 0);
	assert_int_equal(viommu_attach(p->endpoint, p->domain, p->inval), 0);
	viommu_inval_begin(p->inval);
	complete(p);
	map(p, RING_IOVA, 4 * PAGE, RING_IOVA, VIOMMU_READ | VIOMMU_WRITE);
}

static void connect_both(struct pair *p, bool shared)
{
	static const struct viommu_vhu_ops front_ops = {.size = sizeof(struct viommu_vhu_ops),
							.ready = on_ready,
							.started = on_started,
							.stopped = on_stopped,
							.lost = on_lost};
	static const struct viommu_backend_ops back_ops = {
		.size = sizeof(struct viommu_backend_ops), .start = on_start, .stop = on_stop, .retry = on_retry};
	const struct viommu_vhu_config front = {
		.size = sizeof(struct viommu_vhu_config),
		.endpoint = p->endpoint,
		.iommu = true,
		.features = 1ull << VERSION_1,
		.queues = 1,
		.shared_table = shared,
		.reply_ms = p->reply_ms,
		.ops = &front_ops,
		.opaque = p,
	};
	const struct viommu_backend_config back = {
		.size = sizeof(struct viommu_backend_config),
		.ops = &back_ops,
		.opaque = p,
		.features = 1ull << VERSION_1 | 1ull << PLATFORM,
		.queues = 1,
		.shared_table = true,
	};
	const struct viommu_vhu_ring ring = {
		.size = RING_SIZE,
		.desc = {RING_IOVA},
		.driver = {RING_IOVA + PAGE},
		.device = {RING_IOVA + 2 * PAGE},
		.kick = p->kick,
		.call = -1,
		.err = -1,
		.enabled = true,
	};
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(viommu_backend_create(fds[1], &back, &p->back), 0);
	assert_int_equal(viommu_vhu_create(&front, &p->front), 0);
	assert_int_equal(viommu_vhu_connect(p->front, fds[0]), 0);
	assert_int_equal(viommu_vhu_start(p->front, 1ull << VERSION_1 | 1ull << PLATFORM, &ring, 1), 0);
	pump(p);
	assert_true(p->started);
	assert_true(p->running);
}

static struct pair *setup_with(bool shared, unsigned reply_ms)
{
	struct pair *p = calloc(1, sizeof(*p));

	p->reply_ms = reply_ms;
	p->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	make_guest(p);
	connect_both(p, shared);
	return p;
}

static int setup_shared(void **state)
{
	*state = setup_with(true, 0);
	return 0;
}

static int setup_impatient(void **state)
{
	*state = setup_with(true, 100);
	return 0;
}

static int setup_messages(void **state)
{
	*state = setup_with(false, 0);
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	viommu_vhu_destroy(p->front);
	viommu_backend_destroy(p->back);
	viommu_detach(p->endpoint, p->inval);
	viommu_inval_begin(p->inval);
	assert_int_equal(viommu_inval_poll(p->inval), 0);
	assert_int_equal(viommu_endpoint_remove(p->endpoint), 0);
	viommu_domain_destroy(p->domain);
	viommu_inval_destroy(p->inval);
	viommu_destroy(p->v);
	munmap(p->ram, RAM_PAGES * PAGE);
	close(p->ram_fd);
	close(p->kick);
	free(p);
	return 0;
}

/* One access of the back end's device, in a burst of its own. *byte: what it read. */
static int access_once(struct pair *p, uint64_t iova, unsigned access, uint8_t *byte)
{
	struct viommu_section section;
	struct viommu_span span;

	assert_int_equal(viommu_backend_begin(p->back, &section), 0);
	int err = viommu_dma_translate(&section, (struct viommu_iova){iova}, 1, access, &span);

	if (!err)
		*byte = *(volatile uint8_t *)span.host;
	viommu_backend_end(p->back, &section);
	return err;
}

/* The same, with as much talking in between as it takes. */
static int access_in_time(struct pair *p, uint64_t iova, unsigned access, uint8_t *byte)
{
	int err;

	while ((err = access_once(p, iova, access, byte)) == -EAGAIN)
		pump(p);
	return err;
}

static void test_shared_table_needs_no_message(void **state)
{
	struct pair *p = *state;
	struct viommu_vhu_stats stats = {.size = sizeof(struct viommu_vhu_stats)};
	uint8_t byte;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t page = i % 8, gpa = DATA_GPA + page * PAGE;

		map(p, DATA_IOVA + page * PAGE, PAGE, gpa, VIOMMU_READ);
		assert_int_equal(access_once(p, DATA_IOVA + page * PAGE + 5, VIOMMU_READ, &byte), 0);
		assert_int_equal(byte, gpa / PAGE);
		unmap(p, DATA_IOVA + page * PAGE, PAGE);
		/* Nobody is inside: it is complete before anybody has been served. */
		assert_int_equal(viommu_inval_poll(p->inval), 0);
		assert_int_equal(access_once(p, RING_IOVA, VIOMMU_WRITE, &byte), 0);
	}
	pump(p);
	viommu_vhu_stats_get(p->front, &stats);
	assert_int_equal(stats.tables, 1);
	assert_int_equal(stats.misses, 0);
	assert_int_equal(stats.updates, 0);
	assert_int_equal(stats.invalidations, 0);
	assert_int_equal(p->lost, 0);
}

static void test_invalidation_waits_for_burst(void **state)
{
	struct pair *p = *state;
	struct viommu_section section;
	struct viommu_span span;

	map(p, DATA_IOVA, PAGE, DATA_GPA, VIOMMU_READ);
	assert_int_equal(viommu_backend_begin(p->back, &section), 0);
	int err = viommu_dma_translate(&section, (struct viommu_iova){DATA_IOVA}, 1, VIOMMU_READ, &span);

	if (err == -EAGAIN) { /* by messages it takes a burst more */
		viommu_backend_end(p->back, &section);
		uint8_t byte;

		assert_int_equal(access_in_time(p, DATA_IOVA, VIOMMU_READ, &byte), 0);
		assert_int_equal(viommu_backend_begin(p->back, &section), 0);
		err = viommu_dma_translate(&section, (struct viommu_iova){DATA_IOVA}, 1, VIOMMU_READ, &span);
	}
	assert_int_equal(err, 0);
	unmap(p, DATA_IOVA, PAGE);
	pump(p);
	assert_int_equal(viommu_inval_poll(p->inval), -EAGAIN);
	assert_int_equal(*(volatile uint8_t *)span.host, DATA_GPA / PAGE);
	viommu_backend_end(p->back, &section);
	complete(p);
}

static void test_fault_reaches_the_guest(void **state)
{
	struct pair *p = *state;
	struct viommu_fault fault;
	uint8_t byte;

	assert_int_equal(access_in_time(p, DATA_IOVA, VIOMMU_WRITE, &byte), -EFAULT);
	pump(p);
	assert_int_equal(viommu_fault_next(p->v, &fault), 0);
	assert_int_equal(fault.iova.value, DATA_IOVA);
	assert_int_equal(fault.access, VIOMMU_WRITE);
	assert_int_equal(fault.endpoint, 8);
	assert_int_equal(p->lost, 0);
}

static void test_permission_is_the_guests(void **state)
{
	struct pair *p = *state;
	uint8_t byte;

	map(p, DATA_IOVA, PAGE, DATA_GPA, VIOMMU_READ);
	assert_int_equal(access_in_time(p, DATA_IOVA, VIOMMU_READ, &byte), 0);
	assert_int_not_equal(access_in_time(p, DATA_IOVA, VIOMMU_WRITE, &byte), 0);
	/* With more rights than before it works at once. */
	unmap(p, DATA_IOVA, PAGE);
	complete(p);
	map(p, DATA_IOVA, PAGE, DATA_GPA, VIOMMU_READ | VIOMMU_WRITE);
	assert_int_equal(access_in_time(p, DATA_IOVA, VIOMMU_WRITE, &byte), 0);
}

/* Bus mastering off: what was there is gone, and comes again when it is on. */
static void test_no_dma_while_it_may_not(void **state)
{
	struct pair *p = *state;
	uint8_t byte;

	map(p, DATA_IOVA, PAGE, DATA_GPA, VIOMMU_READ);
	assert_int_equal(access_in_time(p, DATA_IOVA, VIOMMU_READ, &byte), 0);
	viommu_endpoint_pause(p->endpoint);
	assert_int_equal(viommu_quiesce(p->endpoint, p->inval), 0);
	viommu_inval_begin(p->inval);
	complete(p);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(access_once(p, DATA_IOVA, VIOMMU_READ, &byte), -EAGAIN);
		pump(p);
	}
	viommu_endpoint_resume(p->endpoint);
	assert_int_equal(access_in_time(p, DATA_IOVA, VIOMMU_READ, &byte), 0);
}

/* It goes inside the table and stays there: it is cut off, and nobody waits for it any more. */
static void test_who_stays_inside_is_cut_off(void **state)
{
	struct pair *p = *state;
	struct viommu_section section;

	map(p, DATA_IOVA, PAGE, DATA_GPA, VIOMMU_READ);
	assert_int_equal(viommu_backend_begin(p->back, &section), 0);
	unmap(p, DATA_IOVA, PAGE);
	assert_int_equal(viommu_inval_poll(p->inval), -EAGAIN);
	while (viommu_inval_poll(p->inval) == -EAGAIN)
		viommu_vhu_serve(p->front);
	assert_int_equal(p->lost, 1);
	viommu_backend_end(p->back, &section);
}

static void test_death_completes_the_invalidation(void **state)
{
	struct pair *p = *state;
	struct viommu_section section;
	struct viommu_span span;
	uint8_t byte;

	map(p, DATA_IOVA, PAGE, DATA_GPA, VIOMMU_READ);
	assert_int_equal(access_in_time(p, DATA_IOVA, VIOMMU_READ, &byte), 0);
	assert_int_equal(viommu_backend_begin(p->back, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){DATA_IOVA}, 1, VIOMMU_READ, &span), 0);
	unmap(p, DATA_IOVA, PAGE);
	assert_int_equal(viommu_inval_poll(p->inval), -EAGAIN);
	viommu_backend_end(p->back, &section);
	viommu_backend_destroy(p->back);
	p->back = NULL;
	complete(p);
	assert_int_equal(p->lost, 1);
}

#define BOTH(test)                                                                                                     \
	{#test " (shared)", test, setup_shared, teardown, NULL},                                                       \
	{                                                                                                              \
		#test " (messages)", test, setup_messages, teardown, NULL                                              \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shared_table_needs_no_message, setup_shared, teardown),
		cmocka_unit_test_setup_teardown(test_who_stays_inside_is_cut_off, setup_impatient, teardown),
		BOTH(test_invalidation_waits_for_burst),
		BOTH(test_fault_reaches_the_guest),
		BOTH(test_permission_is_the_guests),
		BOTH(test_no_dma_while_it_may_not),
		BOTH(test_death_completes_the_invalidation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
