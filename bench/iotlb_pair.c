/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user back end's device IOTLB: our front end on one thread, our back end on another. It is filled by messages,
 * or by reading the shared table, into which a miss puts what a guest with tables of its own (VT-d, not in caching
 * mode) has mapped. A frame is what the data path of viommu-net-backend does with it but for the system calls: ring and
 * buffers are translated, and the bytes copied.
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

static volatile uint64_t sink; /* keeps the compiler from dropping what nobody reads */

struct pair {
	struct iotlb_guest guest;
	int kick;
	struct viommu_vhu *front;
	pthread_t server;
	_Atomic bool stop;
	struct viommu_backend *back;
	bool running;
	struct vq vq;
	uint16_t sent;
};

static int on_start(void *opaque, unsigned queue, const struct viommu_backend_ring *ring)
{
	struct pair *p = opaque;

	(void)queue;
	p->vq = (struct vq){
		.size = ring->size,
		.enabled = true,
		.desc = ring->desc.value,
		.avail = ring->avail.value,
		.used = ring->used.value,
	};
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

static void make_back(struct pair *p, int fd, bool shared)
{
	static const struct viommu_backend_ops ops = {
		.size = sizeof(struct viommu_backend_ops), .start = on_start, .stop = on_stop, .retry = nothing};
	const struct viommu_backend_config config = {.size = sizeof(struct viommu_backend_config),
						     .ops = &ops,
						     .opaque = p,
						     .features = FEATURES | 1ull << PLATFORM,
						     .queues = 1,
						     .shared_table = shared};

	bench_must(viommu_backend_create(fd, &config, &p->back));
}

static void make_front(struct pair *p, int fd, bool shared)
{
	static const struct viommu_vhu_ops ops = {
		.size = sizeof(struct viommu_vhu_ops), .ready = nothing, .stopped = on_stopped, .lost = on_lost};
	const struct viommu_vhu_config config = {.size = sizeof(struct viommu_vhu_config),
						 .endpoint = p->guest.endpoint,
						 .iommu = true,
						 .features = FEATURES,
						 .queues = 1,
						 .shared_table = shared,
						 .ops = &ops,
						 .opaque = p};
	const struct viommu_vhu_ring ring = {
		.size = RING_SIZE,
		.desc = {GUEST_RING},
		.driver = {GUEST_RING + BENCH_PAGE},
		.device = {GUEST_RING + 2 * BENCH_PAGE},
		.kick = p->kick,
		.call = -1,
		.err = -1,
		.enabled = true,
	};

	bench_must(viommu_vhu_create(&config, &p->front));
	bench_must(viommu_vhu_connect(p->front, fd));
	bench_must(viommu_vhu_start(p->front, FEATURES | 1ull << PLATFORM, &ring, 1));
}

static void make_pair(struct pair *p, bool shared)
{
	int fds[2];

	iotlb_guest_make(&p->guest, shared ? GUEST_HAS_TABLES : GUEST_TELLS);
	p->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->kick < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		bench_fail(-errno);
	make_back(p, fds[0], shared);
	make_front(p, fds[1], shared);
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
	iotlb_guest_end(&p->guest);
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

/* The driver: every descriptor is a frame to be sent, in one of a few pages. */
static void make_frames(struct pair *p)
{
	struct vring_desc *desc = (struct vring_desc *)p->guest.memory;
	struct vring_avail *avail = (struct vring_avail *)(p->guest.memory + BENCH_PAGE);

	for (unsigned i = 0; i < RING_SIZE; i++) {
		desc[i] = (struct vring_desc){.addr = i % FEW * BENCH_PAGE, .len = FRAME};
		avail->ring[i] = (uint16_t)i;
	}
}

static void take_frames(struct pair *p, struct viommu_section *section)
{
	uint8_t frame[FRAME];
	struct vq_chain chain;
	unsigned taken = 0;

	bench_must(vq_resolve(&p->vq, section));
	for (; vq_pop(&p->vq, section, &chain) == 1; taken++) {
		bench_must(vq_copy_in(section, &chain, 0, frame, sizeof(frame)));
		sink = frame[FRAME - 1];
		bench_must(vq_push(&p->vq, section, chain.head, 0));
	}
	vq_release(&p->vq);
	bench_must(taken == BURST ? 0 : -EIO);
}

/* Frames that a driver sends, in bursts. */
static double frame_round(void *opaque)
{
	struct pair *p = opaque;
	struct vring_avail *avail = (struct vring_avail *)(p->guest.memory + BENCH_PAGE);
	const uint64_t start = bench_ns();

	for (unsigned i = 0; i < FRAMES; i += BURST) {
		struct viommu_section section;

		p->sent += BURST;
		__atomic_store_n(&avail->idx, p->sent, __ATOMIC_RELEASE);
		bench_must(viommu_backend_begin(p->back, &section));
		take_frames(p, &section);
		viommu_backend_end(p->back, &section);
	}
	return (double)(bench_ns() - start) / FRAMES;
}

/* A pair whose back end knows a few pages and its ring. */
static void make_used_pair(struct pair *p, bool shared)
{
	static const uint64_t ring = GUEST_RING / BENCH_PAGE;

	make_pair(p, shared);
	for (uint64_t page = 0; page < FEW; page++)
		reach(p, page);
	for (uint64_t page = ring; page < ring + 3; page++)
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
	const char *miss, *hit, *hit_stale, *frame, *frame_stale;
};

static void measure(const struct names *names, bool shared)
{
	struct pair few = {0}, many = {0};

	make_used_pair(&few, shared);
	make_used_pair(&many, shared);
	bench_report("iotlb", names->miss, learn_all(&many), "us", BENCH_NO_GOAL);
	bench_report("iotlb", names->hit, bench_median(hit_round, &few), "ns", BENCH_NO_GOAL);
	bench_report("iotlb", names->hit_stale, bench_ratio(hit_round, &many, &few), "x", BENCH_NO_GOAL);
	bench_report("iotlb", names->frame, bench_median(frame_round, &few), "ns", BENCH_NO_GOAL);
	bench_report("iotlb", names->frame_stale, bench_ratio(frame_round, &many, &few), "x", BENCH_AT_MOST(1.1));
	if (shared)
		must_use_table(&many);
	end_pair(&many);
	end_pair(&few);
}

void bench_iotlb_pair(void)
{
	static const struct names by_messages = {"vhost-user-miss", "vhost-user-hit", "vhost-user-hit-stale",
						 "vhost-user-frame", "vhost-user-frame-stale"};
	static const struct names by_table = {"shared-table-miss", "shared-table-hit", "shared-table-hit-stale",
					      "shared-table-frame", "shared-table-frame-stale"};

	measure(&by_messages, false);
	measure(&by_table, true);
}
