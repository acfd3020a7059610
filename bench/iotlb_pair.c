/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user back end's device IOTLB, filled by messages: our front end on one thread, our back end on another. Neighbouring pages do
 * not lie side by side in memory, so each page is an entry and a miss of its own.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/iotlb_pair.h"

enum { PAGES = 1 << 16, FEW = 16, ROUNDS = 1 << 20, BURST = 64, RING_SIZE = 8, VERSION_1 = 32, PLATFORM = 33 };

#define FEATURES (1ull << VERSION_1)
#define RING_IOVA ((uint64_t)PAGES * BENCH_PAGE)

static volatile uint64_t sink; /* keeps the compiler from dropping what nobody reads */

struct pair {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	void *memory;
	int memory_fd, kick;
	struct viommu_vhu *front;
	pthread_t server;
	_Atomic bool stop;
	struct viommu_backend *back;
	bool running;
};

static int on_start(void *opaque, unsigned queue, const struct viommu_backend_ring *ring)
{
	struct pair *p = opaque;

	(void)queue;
	(void)ring;
	p->running = true;
	return 0;
}

static void on_stop(void *opaque, unsigned queue)
{
	struct pair *p = opaque;

	p->running = false;
	viommu_backend_stopped(p->back, queue, 0);
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static void on_lost(void *opaque, const char *why)
{
	(void)opaque;
	(void)why;
}

static void on_stopped(void *opaque, const uint16_t *bases, unsigned count)
{
	(void)opaque;
	(void)bases;
	(void)count;
}

static void *serve_front(void *opaque)
{
	struct pair *p = opaque;
	struct pollfd poll_fd = {.fd = viommu_vhu_fd(p->front), .events = POLLIN};

	while (!atomic_load(&p->stop)) {
		poll(&poll_fd, 1, 10);
		viommu_vhu_serve(p->front);
	}
	return NULL;
}

static void serve_back(struct pair *p)
{
	struct pollfd poll_fd = {.fd = viommu_backend_fd(p->back), .events = POLLIN};

	poll(&poll_fd, 1, 100);
	bench_must(viommu_backend_serve(p->back));
}

static void map_page(struct pair *p, uint64_t page, uint64_t gpa)
{
	uint64_t first = page * BENCH_PAGE;

	bench_must(viommu_map(p->domain, (struct viommu_iova){first}, (struct viommu_iova){first + BENCH_PAGE - 1},
			      (struct viommu_gpa){gpa}, VIOMMU_READ | VIOMMU_WRITE));
}

static void complete(struct pair *p)
{
	viommu_inval_begin(p->inval);
	while (viommu_inval_poll(p->inval) == -EAGAIN)
		;
}

static void make_guest(struct pair *p)
{
	p->memory_fd = memfd_create("bench", MFD_CLOEXEC);
	if (p->memory_fd < 0 || ftruncate(p->memory_fd, BENCH_MEMORY))
		bench_fail(-errno);
	p->memory = mmap(NULL, BENCH_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, p->memory_fd, 0);
	if (p->memory == MAP_FAILED)
		bench_fail(-errno);
	bench_must(viommu_create(NULL, &p->v));
	bench_must(viommu_mem_add(p->v, (struct viommu_gpa){0}, BENCH_MEMORY, p->memory, p->memory_fd, 0));
	bench_must(viommu_inval_create(p->v, &p->inval));
	bench_must(viommu_domain_create(p->v, 1, &p->domain));
	bench_must(viommu_endpoint_add(p->v, 8, "bench", &p->endpoint));
	bench_must(viommu_attach(p->endpoint, p->domain, p->inval));
	complete(p);
	for (uint64_t page = 0; page < PAGES; page++)
		map_page(p, page, bench_gpa(page));
	for (uint64_t page = 0; page < 3; page++)
		map_page(p, PAGES + page, page * BENCH_PAGE);
}

static void make_back(struct pair *p, int fd)
{
	static const struct viommu_backend_ops ops = {.start = on_start, .stop = on_stop, .retry = nothing};
	const struct viommu_backend_config config = {
		.ops = &ops, .opaque = p, .features = FEATURES | 1ull << PLATFORM, .queues = 1};

	bench_must(viommu_backend_create(fd, &config, &p->back));
}

static void make_front(struct pair *p, int fd)
{
	static const struct viommu_vhu_ops ops = {.ready = nothing, .stopped = on_stopped, .lost = on_lost};
	const struct viommu_vhu_config config = {
		.endpoint = p->endpoint, .iommu = true, .features = FEATURES, .queues = 1, .ops = &ops, .opaque = p};
	const struct viommu_vhu_ring ring = {
		.size = RING_SIZE,
		.desc = {RING_IOVA},
		.driver = {RING_IOVA + BENCH_PAGE},
		.device = {RING_IOVA + 2 * BENCH_PAGE},
		.kick = p->kick,
		.call = -1,
		.err = -1,
		.enabled = true,
	};

	bench_must(viommu_vhu_create(&config, &p->front));
	bench_must(viommu_vhu_connect(p->front, fd));
	bench_must(viommu_vhu_start(p->front, FEATURES | 1ull << PLATFORM, &ring, 1));
}

static void make_pair(struct pair *p)
{
	int fds[2];

	make_guest(p);
	p->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->kick < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		bench_fail(-errno);
	make_back(p, fds[0]);
	make_front(p, fds[1]);
	bench_must(-pthread_create(&p->server, NULL, serve_front, p));
	while (!p->running)
		serve_back(p);
}

static void end_pair(struct pair *p)
{
	atomic_store(&p->stop, true);
	pthread_join(p->server, NULL);
	viommu_vhu_destroy(p->front);
	viommu_backend_destroy(p->back);
	bench_must(viommu_detach(p->endpoint, p->inval));
	complete(p);
	bench_must(viommu_endpoint_remove(p->endpoint));
	viommu_domain_destroy(p->domain);
	viommu_inval_destroy(p->inval);
	viommu_destroy(p->v);
	munmap(p->memory, BENCH_MEMORY);
	close(p->memory_fd);
	close(p->kick);
}

/* One access in a burst of its own, with as much talking as it takes. */
static void reach(struct pair *p, uint64_t page)
{
	struct viommu_section section;
	struct viommu_span span;
	int err;

	do {
		bench_must(viommu_backend_begin(p->back, &section));
		err = viommu_dma_translate(&section, (struct viommu_iova){page * BENCH_PAGE}, 1, VIOMMU_READ, &span);
		viommu_backend_end(p->back, &section);
		if (err == -EAGAIN)
			serve_back(p);
	} while (err == -EAGAIN);
	bench_must(err);
}

/* Hits of a few pages, beginning and ending each burst included. */
static double hit_round(void *opaque)
{
	struct pair *p = opaque;
	uint64_t state = BENCH_SEED, sum = 0, start = bench_ns();

	for (unsigned i = 0; i < ROUNDS; i += BURST) {
		struct viommu_section section;
		struct viommu_span span = {0};

		bench_must(viommu_backend_begin(p->back, &section));
		for (unsigned j = 0; j < BURST; j++) {
			uint64_t page = bench_random(&state) & (FEW - 1);

			bench_must(viommu_dma_translate(&section, (struct viommu_iova){page * BENCH_PAGE}, 1,
							VIOMMU_READ, &span));
			sum += (uintptr_t)span.host;
		}
		viommu_backend_end(p->back, &section);
	}
	sink = sum;
	return (double)(bench_ns() - start) / ROUNDS;
}

/* By the clock: most of a round trip is waiting. */
static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

void bench_iotlb_pair(void)
{
	struct pair p = {0};

	make_pair(&p);
	for (uint64_t page = 0; page < FEW; page++)
		reach(&p, page);
	bench_report("iotlb", "vhost-user-hit", bench_median(hit_round, &p), "ns", BENCH_NO_GOAL);
	double start = now_us();

	for (uint64_t page = FEW; page < PAGES; page++)
		reach(&p, page);
	bench_report("iotlb", "vhost-user-miss", (now_us() - start) / (PAGES - FEW), "us", BENCH_NO_GOAL);
	bench_report("iotlb", "vhost-user-hit-64Ki-stale", bench_median(hit_round, &p), "ns", BENCH_NO_GOAL);
	end_pair(&p);
}
