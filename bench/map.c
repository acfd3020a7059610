/* SPDX-License-Identifier: BSD-2-Clause */
/* Map and unmap of 4 KiB among many live mappings, and what a mapping costs in memory. */
#include <pthread.h>
#include <stdatomic.h>

#include "bench/bench.h"

enum { ROUNDS = 2000000, DENSE = 1 << 16 };

/* One map, one unmap with its whole invalidation, at random places beside `pages` live mappings. */
static double map_unmap_ns(struct bench *bench, uint64_t pages)
{
	uint64_t state = 88172645463325252ull, start = bench_ns();

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t page = bench_random(&state) & (pages - 1), at = page * BENCH_PAGE;

		viommu_unmap(bench->domain, (struct viommu_iova){at}, (struct viommu_iova){at + BENCH_PAGE - 1},
			     bench->inval, NULL);
		viommu_inval_begin(bench->inval);
		while (viommu_inval_poll(bench->inval))
			;
		bench_map(bench, page);
	}
	return (double)(bench_ns() - start) / ROUNDS;
}

struct reader {
	struct bench *bench;
	_Atomic bool stop;
};

static void *read_all_the_time(void *opaque)
{
	struct reader *reader = opaque;
	struct viommu_section section;
	struct viommu_span span;

	while (!atomic_load(&reader->stop)) {
		viommu_dma_begin(reader->bench->endpoint, &section);
		for (unsigned i = 0; i < 16; i++)
			viommu_dma_translate(&section, (struct viommu_iova){(1ull << 32) + i * BENCH_PAGE}, 64,
					     VIOMMU_READ, &span);
		viommu_dma_end(&section);
	}
	return NULL;
}

static double with_reader_ns(struct bench *bench, uint64_t pages)
{
	struct reader reader = {.bench = bench};
	pthread_t thread;

	for (unsigned i = 0; i < 16; i++)
		bench_map(bench, (1 << 20) + i);
	pthread_create(&thread, NULL, read_all_the_time, &reader);
	double ns = map_unmap_ns(bench, pages);

	atomic_store(&reader.stop, true);
	pthread_join(thread, NULL);
	return ns;
}

static double bytes_per_mapping(struct bench *bench)
{
	struct viommu_stats stats;

	viommu_stats_get(bench->v, &stats);
	return (double)stats.table_bytes / DENSE;
}

void bench_map_unmap(void)
{
	struct bench *small = bench_setup(1 << 10), *dense = bench_setup(DENSE), *large = bench_setup(1 << 20);

	bench_report("map", "map-unmap-4KiB-1Ki", map_unmap_ns(small, 1 << 10), "ns", "<= 40");
	bench_report("map", "map-unmap-4KiB-1Mi", map_unmap_ns(large, 1 << 20), "ns", "<= 2x that");
	bench_report("map", "map-unmap-4KiB-1Ki-reader", with_reader_ns(small, 1 << 10), "ns", NULL);
	bench_report("map", "bytes-per-mapping", bytes_per_mapping(dense), "bytes", "<= 24");
	bench_teardown(large);
	bench_teardown(dense);
	bench_teardown(small);
}
