/* SPDX-License-Identifier: BSD-2-Clause */
/* Device IOTLBs: what it costs another process to find translations, and this one to give and to take them. */
#include <viommu/shared_writer.h>

#include "bench/bench.h"
#include "bench/iotlb_pair.h"
#include "bench/iotlb_vhost.h"

enum { ROUNDS = 1 << 20, PAGES = 1 << 16, BURST = 64, BURSTS = 1500 };

static volatile uint64_t sink; /* keeps the compiler from dropping what nobody reads */

struct shared_bench {
	struct bench *bench;
	struct viommu_shared *shared;
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

/* The part that the table adds to what the core does anyway. */
static void changes(struct shared_bench *b, double map_before, double unmap_before)
{
	bench_report("iotlb", "shared-publish", bench_median(map_round, b) - map_before, "ns", BENCH_NO_GOAL);
	bench_report("iotlb", "shared-invalidate", bench_median(unmap_round, b) - unmap_before, "ns", BENCH_NO_GOAL);
}

static void shared(void)
{
	struct shared_bench b = {.bench = bench_setup(PAGES)};
	double map_before = bench_median(map_round, &b), unmap_before = bench_median(unmap_round, &b);
	struct viommu_shared_files files;

	bench_must(viommu_shared_create(b.bench->endpoint, NULL, &b.shared));
	viommu_shared_files_get(b.shared, &files);
	bench_must(viommu_shared_view_open(&files, &b.view));
	bench_report("iotlb", "shared-section", bench_median(section_round, &b), "ns", BENCH_NO_GOAL);
	bench_report("iotlb", "shared-hit", bench_median(hit_round, &b), "ns", BENCH_NO_GOAL);
	bench_report("iotlb", "shared-random-64Ki", bench_median(random_round, &b), "ns", BENCH_NO_GOAL);
	changes(&b, map_before, unmap_before);
	viommu_shared_view_close(b.view);
	viommu_shared_destroy(b.shared);
	bench_teardown(b.bench);
}

void bench_iotlb(void)
{
	shared();
	bench_iotlb_pair();
	bench_iotlb_vhost();
}
