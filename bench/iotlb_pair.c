/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user back end's device IOTLB: our front end on one thread, our back end on another. It is filled by messages,
 * or by reading the shared table, into which a miss puts what a guest with tables of its own (VT-d, not in caching
 * mode) has mapped. A frame is what the data path of viommu-net-backend does with it but for the system calls: ring and
 * buffers are translated, and the bytes copied. The back end has two queues, which two threads serve where it says so.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/iotlb_guest.h"
#include "bench/iotlb_pair.h"
#include "vmm/vq/queue.h"

enum { FEW = 16, ROUNDS = 1 << 20, BURST = 64, RING_SIZE = BURST, VERSION_1 = 32, PLATFORM = 33 };
enum { FRAME = 1526, FRAMES = 1 << 18 }; /* bytes with the header; how many in a round */

#define FEATURES (1ull << VERSION_1)

/* The device's side of a queue and the driver's; a thread's own. */
struct queue {
	_Alignas(128) bool running;
	int kick;
	struct vq vq;
	uint16_t sent;
	uint64_t sink; /* keeps the compiler from dropping what nobody reads */
};

struct pair {
	struct iotlb_guest guest;
	struct viommu_vhu *front;
	pthread_t server;
	_Atomic bool stop;
	struct viommu_backend *back;
	struct queue queue[GUEST_RINGS];
};

static int on_start(void *opaque, unsigned queue, const struct viommu_backend_ring *ring)
{
	struct pair *p = opaque;

	p->queue[queue].vq = (struct vq){
		.size = ring->size,
		.enabled = true,
		.desc = ring->desc.value,
		.avail = ring->avail.value,
		.used = ring->used.value,
	};
	p->queue[queue].running = true;
	return 0;
}

static void on_stop(void *opaque, unsigned queue)
{
	struct pair *p = opaque;

	p->queue[queue].running = false;
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

static void make_back(struct pair *p, int fd, bool shared)
{
	static const struct viommu_backend_ops ops = {
		.size = sizeof(struct viommu_backend_ops), .start = on_start, .stop = on_stop, .retry = nothing};
	const struct viommu_backend_config config = {.size = sizeof(struct viommu_backend_config),
						     .ops = &ops,
						     .opaque = p,
						     .features = FEATURES | 1ull << PLATFORM,
						     .queues = GUEST_RINGS,
						     .shared_table = shared};

	bench_must(viommu_backend_create(fd, &config, &p->back));
}

static uint64_t ring_offset(unsigned queue)
{
	return (uint64_t)queue * GUEST_RING_PAGES * BENCH_PAGE;
}

static void make_front(struct pair *p, int fd, bool shared)
{
	static const struct viommu_vhu_ops ops = {
		.size = sizeof(struct viommu_vhu_ops), .ready = nothing, .stopped = on_stopped, .lost = on_lost};
	const struct viommu_vhu_config config = {.size = sizeof(struct viommu_vhu_config),
						 .endpoint = p->guest.endpoint,
						 .iommu = true,
						 .features = FEATURES,
						 .queues = GUEST_RINGS,
						 .shared_table = shared,
						 .ops = &ops,
						 .opaque = p};
	struct viommu_vhu_ring rings[GUEST_RINGS];

	for (unsigned i = 0; i < GUEST_RINGS; i++)
		rings[i] = (struct viommu_vhu_ring){
			.size = RING_SIZE,
			.desc = {GUEST_RING + ring_offset(i)},
			.driver = {GUEST_RING + ring_offset(i) + BENCH_PAGE},
			.device = {GUEST_RING + ring_offset(i) + 2 * BENCH_PAGE},
			.kick = p->queue[i].kick,
			.call = -1,
			.err = -1,
			.enabled = true,
		};
	bench_must(viommu_vhu_create(&config, &p->front));
	bench_must(viommu_vhu_connect(p->front, fd));
	bench_must(viommu_vhu_start(p->front, FEATURES | 1ull << PLATFORM, rings, GUEST_RINGS));
}

static void make_pair(struct pair *p, bool shared)
{
	int fds[2];

	iotlb_guest_make(&p->guest, shared ? GUEST_HAS_TABLES : GUEST_TELLS);
	for (unsigned i = 0; i < GUEST_RINGS; i++) {
		p->queue[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (p->queue[i].kick < 0)
			bench_fail(-errno);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		bench_fail(-errno);
	make_back(p, fds[0], shared);
	make_front(p, fds[1], shared);
	bench_must(-pthread_create(&p->server, NULL, serve_front, p));
	while (!p->queue[0].running || !p->queue[1].running)
		serve_back(p);
}

static void end_pair(struct pair *p)
{
	atomic_store(&p->stop, true);
	pthread_join(p->server, NULL);
	viommu_vhu_destroy(p->front);
	viommu_backend_destroy(p->back);
	iotlb_guest_end(&p->guest);
	for (unsigned i = 0; i < GUEST_RINGS; i++)
		close(p->queue[i].kick);
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
static void hit_work(void *opaque, unsigned queue)
{
	struct pair *p = opaque;
	uint64_t state = BENCH_SEED, sum = 0;

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
	p->queue[queue].sink = sum;
}

static double hit_round(void *opaque)
{
	uint64_t start = bench_ns();

	hit_work(opaque, 0);
	return (double)(bench_ns() - start) / ROUNDS;
}

/* The driver: every descriptor is a frame to be sent, in one of a few pages. */
static void make_frames(struct pair *p)
{
	for (unsigned queue = 0; queue < GUEST_RINGS; queue++) {
		uint8_t *ring = p->guest.memory + ring_offset(queue);
		struct vring_desc *desc = (struct vring_desc *)ring;
		struct vring_avail *avail = (struct vring_avail *)(ring + BENCH_PAGE);

		for (unsigned i = 0; i < RING_SIZE; i++) {
			desc[i] = (struct vring_desc){.addr = i % FEW * BENCH_PAGE, .len = FRAME};
			avail->ring[i] = (uint16_t)i;
		}
	}
}

static void take_frames(struct queue *queue, struct viommu_section *section)
{
	uint8_t frame[FRAME];
	struct vq_chain chain;
	unsigned taken = 0;

	bench_must(vq_resolve(&queue->vq, section));
	for (; vq_pop(&queue->vq, section, &chain) == 1; taken++) {
		bench_must(vq_copy_in(section, &chain, 0, frame, sizeof(frame)));
		queue->sink = frame[FRAME - 1];
		bench_must(vq_push(&queue->vq, section, chain.head, 0));
	}
	vq_release(&queue->vq);
	bench_must(taken == BURST ? 0 : -EIO);
}

/* Frames that a driver sends, in bursts. */
static void frame_work(void *opaque, unsigned queue)
{
	struct pair *p = opaque;
	struct queue *own = &p->queue[queue];
	struct vring_avail *avail = (struct vring_avail *)(p->guest.memory + ring_offset(queue) + BENCH_PAGE);

	for (unsigned i = 0; i < FRAMES; i += BURST) {
		struct viommu_section section;

		own->sent += BURST;
		__atomic_store_n(&avail->idx, own->sent, __ATOMIC_RELEASE);
		bench_must(viommu_backend_begin(p->back, &section));
		take_frames(own, &section);
		viommu_backend_end(p->back, &section);
	}
}

static double frame_round(void *opaque)
{
	const uint64_t start = bench_ns();

	frame_work(opaque, 0);
	return (double)(bench_ns() - start) / FRAMES;
}

/* A pair whose back end knows a few pages and its rings. */
static void make_used_pair(struct pair *p, bool shared)
{
	static const uint64_t ring = GUEST_RING / BENCH_PAGE;

	make_pair(p, shared);
	for (uint64_t page = 0; page < FEW; page++)
		reach(p, page);
	for (uint64_t page = ring; page < ring + GUEST_RINGS * GUEST_RING_PAGES; page++)
		reach(p, page);
	make_frames(p);
}

/* Then it gets to know all others. Microseconds for each. */
static double learn_all(struct pair *p)
{
	const double start = iotlb_now_us();

	for (uint64_t page = FEW; page < GUEST_PAGES; page++)
		reach(p, page);
	return (iotlb_now_us() - start) / (GUEST_PAGES - FEW);
}

/* Only a miss has filled the table: had the front end said it by messages, this would be the other case. */
static void must_use_table(struct pair *p)
{
	struct viommu_vhu_stats stats = {.size = sizeof(struct viommu_vhu_stats)};

	viommu_vhu_stats_get(p->front, &stats);
	bench_must(stats.tables == 1 && stats.misses && !stats.updates ? 0 : -EPROTO);
}

struct names {
	const char *miss, *hit, *hit_stale, *hit_queues, *frame, *frame_stale, *frame_queues;
};

static void measure(const struct names *names, bool shared)
{
	struct pair few = {0}, many = {0};

	make_used_pair(&few, shared);
	make_used_pair(&many, shared);
	bench_report("iotlb", names->miss, learn_all(&many), "us", BENCH_NO_GOAL);
	bench_report("iotlb", names->hit, bench_median(hit_round, &few), "ns", BENCH_NO_GOAL);
	bench_report("iotlb", names->hit_stale, bench_ratio(hit_round, &many, &few), "x", BENCH_NO_GOAL);
	bench_report_scaling("iotlb", names->hit_queues, hit_work, &few, BENCH_AT_LEAST(1.9));
	bench_report("iotlb", names->frame, bench_median(frame_round, &few), "ns", BENCH_NO_GOAL);
	bench_report("iotlb", names->frame_stale, bench_ratio(frame_round, &many, &few), "x", BENCH_AT_MOST(1.1));
	bench_report_scaling("iotlb", names->frame_queues, frame_work, &few, BENCH_AT_LEAST(1.9));
	if (shared)
		must_use_table(&many);
	end_pair(&many);
	end_pair(&few);
}

void bench_iotlb_pair(void)
{
	static const struct names by_messages = {
		"vhost-user-miss",  "vhost-user-hit",         "vhost-user-hit-stale",     "vhost-user-hit-2-queues",
		"vhost-user-frame", "vhost-user-frame-stale", "vhost-user-frame-2-queues"};
	static const struct names by_table = {"shared-table-miss",          "shared-table-hit",
					      "shared-table-hit-stale",     "shared-table-hit-2-queues",
					      "shared-table-frame",         "shared-table-frame-stale",
					      "shared-table-frame-2-queues"};

	measure(&by_messages, false);
	measure(&by_table, true);
}
