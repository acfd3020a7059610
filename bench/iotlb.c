/* SPDX-License-Identifier: BSD-2-Clause */
/* Device IOTLBs: what it costs another process to find translations, and this one to give and to take them. */
#include <pthread.h>

#include <viommu/shared_writer.h>

#include "bench/bench.h"
#include "bench/iotlb_pair.h"
#include "bench/iotlb_vhost.h"

enum { ROUNDS = 1 << 20, FEW = 16, PAGES = 1 << 16, BURST = 64, BURSTS = 1500 };

static volatile uint64_t sink; /* keeps the compiler from dropping what nobody reads */

struct shared_bench {
	struct bench *bench;
	struct viommu_shared *shared; /* NULL: the core alone */
	struct viommu_shared_view *view;
};

static uint64_t find(struct viommu_shared_reader *reader, uint64_t iova)
{
	struct viommu_shared_extent extent;

	if (viommu_shared_find(reader, (struct viommu_iova){iova}, VIOMMU_READ, &extent))
		return 0;
	return extent.gpa.value + (iova - extent.first.value);
}

static double section_round(void *opaque)
{
	struct shared_bench *b = opaque;
	struct viommu_shared_reader reader;
	uint64_t start = bench_ns();

	for (unsigned i = 0; i < ROUNDS; i++) {
		viommu_shared_enter(b->view, 0, &reader);
		viommu_shared_leave(&reader);
	}
	return (double)(bench_ns() - start) / ROUNDS;
}

static double hit_round(void *opaque)
{
	struct shared_bench *b = opaque;
	struct viommu_shared_reader reader;
	uint64_t sum = 0, start = bench_ns();

	viommu_shared_enter(b->view, 0, &reader);
	for (unsigned i = 0; i < ROUNDS; i++)
		sum += find(&reader, 5 * BENCH_PAGE + (i & 0xf00));
	viommu_shared_leave(&reader);
	sink = sum;
	return (double)(bench_ns() - start) / ROUNDS;
}

/* Entering and leaving for each burst included. */
static double random_round(void *opaque)
{
	struct shared_bench *b = opaque;
	struct viommu_shared_reader reader;
	uint64_t state = BENCH_SEED, sum = 0, start = bench_ns();

	for (unsigned i = 0; i < ROUNDS; i += BURST) {
		viommu_shared_enter(b->view, 0, &reader);
		for (unsigned j = 0; j < BURST; j++)
			sum += find(&reader, (bench_random(&state) & (PAGES - 1)) * BENCH_PAGE);
		viommu_shared_leave(&reader);
	}
	sink = sum;
	return (double)(bench_ns() - start) / ROUNDS;
}

/* Hits of a few pages, in bursts, in this process: what a back end is compared with. */
static void in_process_work(void *opaque, unsigned queue)
{
	struct bench *bench = opaque;
	uint64_t state = BENCH_SEED, sum = 0;

	(void)queue;
	for (unsigned i = 0; i < ROUNDS; i += BURST) {
		struct viommu_section section;
		struct viommu_span span = {0};

		bench_must(viommu_dma_begin(bench->endpoint, &section));
		for (unsigned j = 0; j < BURST; j++) {
			uint64_t page = bench_random(&state) & (FEW - 1);

			bench_must(viommu_dma_translate(&section, (struct viommu_iova){page * BENCH_PAGE}, 1,
							VIOMMU_READ, &span));
			sum += (uintptr_t)span.host;
		}
		viommu_dma_end(&section);
	}
	sink = sum;
}

/* The same by the reader alone, each thread in its own slot. */
static void reader_work(void *opaque, unsigned slot)
{
	struct shared_bench *b = opaque;
	uint64_t state = BENCH_SEED, sum = 0;

	for (unsigned i = 0; i < ROUNDS; i += BURST) {
		struct viommu_shared_reader reader;

		viommu_shared_enter(b->view, slot, &reader);
		for (unsigned j = 0; j < BURST; j++)
			sum += find(&reader, (bench_random(&state) & (FEW - 1)) * BENCH_PAGE);
		viommu_shared_leave(&reader);
	}
	sink = sum;
}

/* What is random is drawn before: a page is mapped, or unmapped with its whole invalidation, while the others stay. */
static double change_ns(struct shared_bench *b, bool map)
{
	uint64_t state = BENCH_SEED, ns = 0;

	for (unsigned i = 0; i < BURSTS; i++) {
		uint64_t first = bench_random(&state) & (PAGES - BURST), start = bench_ns();

		for (uint64_t page = first; page < first + BURST; page++)
			bench_unmap(b->bench, page);
		uint64_t middle = bench_ns();

		for (uint64_t page = first; page < first + BURST; page++)
			bench_map(b->bench, page);
		ns += map ? bench_ns() - middle : middle - start;
	}
	return (double)ns / (BURST * BURSTS);
}

static double map_round(void *opaque)
{
	return change_ns(opaque, true);
}

static double unmap_round(void *opaque)
{
	return change_ns(opaque, false);
}

static double map_and_unmap_round(void *opaque)
{
	return change_ns(opaque, true) + change_ns(opaque, false);
}

/* Of each the part that the table adds to what the core does anyway, and how many times as much both are together. */
static void changes(struct shared_bench *b, struct shared_bench *core)
{
	bench_report("iotlb", "shared-publish", bench_median(map_round, b) - bench_median(map_round, core), "ns",
		     BENCH_NO_GOAL);
	bench_report("iotlb", "shared-invalidate", bench_median(unmap_round, b) - bench_median(unmap_round, core), "ns",
		     BENCH_NO_GOAL);
	bench_report("iotlb", "shared-map-unmap", bench_median(map_and_unmap_round, b), "ns", BENCH_NO_GOAL);
	bench_report("iotlb", "shared-map-unmap-beside-core", bench_ratio(map_and_unmap_round, b, core), "x",
		     BENCH_AT_MOST(2));
}

/*
 * A thread that does nothing: with one thread alone the C library takes its mutexes without an atomic instruction, and
 * a program that shares a table has more than one.
 */
static void *wait_for_end(void *opaque)
{
	pthread_mutex_t *end = opaque;

	pthread_mutex_lock(end);
	pthread_mutex_unlock(end);
	return NULL;
}

static void shared(void)
{
	struct shared_bench b = {.bench = bench_setup(PAGES)}, core = {.bench = bench_setup(PAGES)};
	pthread_mutex_t end = PTHREAD_MUTEX_INITIALIZER;
	struct viommu_shared_files files;
	pthread_t other;

	pthread_mutex_lock(&end);
	bench_must(-pthread_create(&other, NULL, wait_for_end, &end));
	bench_must(viommu_shared_create(b.bench->endpoint, NULL, &b.shared));
	viommu_shared_files_get(b.shared, &files);
	bench_must(viommu_shared_view_open(&files, &b.view));
	bench_report("iotlb", "shared-section", bench_median(section_round, &b), "ns", BENCH_NO_GOAL);
	bench_report("iotlb", "shared-hit", bench_median(hit_round, &b), "ns", BENCH_NO_GOAL);
	bench_report("iotlb", "shared-random-64Ki", bench_median(random_round, &b), "ns", BENCH_NO_GOAL);
	changes(&b, &core);
	bench_report_scaling("iotlb", "shared-hit-2-readers", reader_work, &b, BENCH_AT_LEAST(1.9));
	bench_report_scaling("iotlb", "in-process-hit-2-queues", in_process_work, core.bench, BENCH_AT_LEAST(1.9));
	pthread_mutex_unlock(&end);
	pthread_join(other, NULL);
	viommu_shared_view_close(b.view);
	viommu_shared_destroy(b.shared);
	bench_teardown(b.bench);
	bench_teardown(core.bench);
}

void bench_iotlb(void)
{
	shared();
	bench_iotlb_pair();
	bench_iotlb_vhost();
}
