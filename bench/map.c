/* SPDX-License-Identifier: BSD-2-Clause */
/* Map and unmap of 4 KiB among many live mappings, and what a mapping costs in memory. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench/bare.h"
#include "bench/baseline.h"
#include "bench/bench.h"

enum { DENSE = 1 << 16, READ_PAGES = 16 };

/* One map, one unmap with its whole invalidation, at random places beside all the others. */
static double map_unmap_round(void *opaque)
{
	struct bench *bench = opaque;
	uint64_t state = BENCH_SEED, start = bench_ns();

	for (unsigned i = 0; i < BENCH_CHANGES; i++) {
		uint64_t page = bench_random(&state) & (bench->pages - 1);

		bench_unmap(bench, page);
		bench_map(bench, page);
	}
	return bench_each(start, BENCH_CHANGES);
}

struct reader {
	struct bench *bench;
	_Atomic bool stop;
};

/* Somebody else's pages of the same domain, so that the invalidations have somebody to wait for. */
static void *read_all_the_time(void *opaque)
{
	struct reader *reader = opaque;
	struct viommu_section section;
	struct viommu_span span;

	while (!atomic_load(&reader->stop)) {
		viommu_dma_begin(reader->bench->endpoint, &section);
		for (unsigned i = 0; i < READ_PAGES; i++)
			viommu_dma_translate(&section, (struct viommu_iova){(1ull << 32) + i * BENCH_PAGE}, 64,
					     VIOMMU_READ, &span);
		viommu_dma_end(&section);
	}
	return NULL;
}

static double with_reader_ns(struct bench *bench)
{
	struct reader reader = {.bench = bench};
	pthread_t thread;

	for (unsigned i = 0; i < READ_PAGES; i++)
		bench_map(bench, (1 << 20) + i);
	bench_must(-pthread_create(&thread, NULL, read_all_the_time, &reader));
	double ns = bench_median(map_unmap_round, bench);

	atomic_store(&reader.stop, true);
	pthread_join(thread, NULL);
	return ns;
}

/* Asynchronous I/O elsewhere in the domain, which a batch of unmaps must tell from what it takes away. */
enum { HOLDS = 256, SPANS = 16, BATCH = 1 << 10, BATCHES = 20 };

struct held {
	struct viommu_hold hold;
	struct viommu_span spans[SPANS];
};

static void take_holds(struct bench *bench, struct held *held)
{
	struct viommu_section section;

	for (unsigned i = 0; i < HOLDS; i++) {
		bench_must(viommu_dma_begin(bench->endpoint, &section));
		for (unsigned j = 0; j < SPANS; j++)
			bench_must(viommu_dma_translate(&section,
							(struct viommu_iova){(BATCH + i * SPANS + j) * BENCH_PAGE}, 64,
							VIOMMU_READ, &held[i].spans[j]));
		viommu_dma_hold(&section, &held[i].hold, held[i].spans, SPANS);
		viommu_dma_end(&section);
	}
}

static double batch_round(void *opaque)
{
	struct bench *bench = opaque;
	uint64_t ns = 0;

	for (unsigned i = 0; i < BATCHES; i++) {
		uint64_t start = bench_ns();

		for (uint64_t at = 0; at < BATCH * BENCH_PAGE; at += BENCH_PAGE)
			viommu_unmap(bench->domain, (struct viommu_iova){at}, (struct viommu_iova){at + BENCH_PAGE - 1},
				     bench->inval, NULL);
		viommu_inval_begin(bench->inval);
		bench_must(viommu_inval_poll(bench->inval));
		ns += bench_ns() - start;
		for (uint64_t page = 0; page < BATCH; page++)
			bench_map(bench, page);
	}
	return (double)ns / (BATCHES * BATCH);
}

static void batch_among_holds(void)
{
	struct bench *bench = bench_setup(1 << 13);
	struct held *held = calloc(HOLDS, sizeof(*held));

	bench_must(held ? 0 : -ENOMEM);
	take_holds(bench, held);
	bench_report("map", "batch-1Ki-256-holds", bench_median(batch_round, bench), "ns", BENCH_NO_GOAL);
	for (unsigned i = 0; i < HOLDS; i++)
		viommu_dma_release(&held[i].hold);
	free(held);
	bench_teardown(bench);
}

static void bytes_per_mapping(void)
{
	struct bench *bench = bench_setup(DENSE);
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	viommu_stats_get(bench->v, &stats);
	bench_report("map", "bytes-per-mapping", (double)stats.table_bytes / DENSE, "bytes", BENCH_AT_MOST(24));
	bench_teardown(bench);
}

/* Ours, the bare table, and GLib's hash table where there is one, in turn. Returns ours. */
static double map_unmap_case(const char *name, struct bench *bench, struct bench_goal goal)
{
	struct bare *bare = bare_setup(bench->pages);
	struct baseline_run hash;
	const bool hashed = baseline_setup(&hash, baseline_hash_ops(), bench->pages);
	struct bench_side sides[] = {
		{"viommu", map_unmap_round, bench},
		{BENCH_BARE, bare_map_unmap_round, bare},
		{hashed ? hash.ops->name : NULL, baseline_map_unmap_round, &hash},
	};

	bench_in_turn(sides, hashed ? 3 : 2);
	bench_report_sides("map", name, sides, hashed ? 3 : 2, goal);
	if (hashed)
		baseline_teardown(&hash);
	bare_teardown(bare);
	return sides[0].value;
}

void bench_map_unmap(void)
{
	struct bench *small = bench_setup(1 << 10), *large = bench_setup(1 << 20);
	double ns = map_unmap_case("map-unmap-4KiB-1Ki", small, BENCH_AT_MOST_OF(0.5, "ghash-mutex"));

	map_unmap_case("map-unmap-4KiB-1Mi", large, BENCH_AT_MOST(2 * ns));
	bench_report("map", "map-unmap-4KiB-1Ki-reader", with_reader_ns(small), "ns", BENCH_NO_GOAL);
	bench_teardown(large);
	bench_teardown(small);
	batch_among_holds();
	bytes_per_mapping();
	baseline_map_unmap();
}
