/* SPDX-License-Identifier: BSD-2-Clause */
/* Translation, permission and range check included: hits, random look-ups, sections, two readers. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench/bench.h"

enum { ROUNDS = 4000000, BURST = 64, READERS = 2 };

static uintptr_t sink; /* keeps the compiler from dropping what nobody reads */

static uint64_t host_of(struct viommu_section *section, uint64_t iova)
{
	struct viommu_span span;

	if (viommu_dma_translate(section, (struct viommu_iova){iova}, 64, VIOMMU_READ, &span))
		return 0;
	return (uintptr_t)span.host;
}

/* Independent look-ups of random pages out of `pages` (a power of two). ns each. */
static double random_ns(struct bench *bench, uint64_t pages)
{
	struct viommu_section section;
	uint64_t state = 88172645463325252ull, sum = 0;
	uint64_t start = bench_ns();

	for (unsigned i = 0; i < ROUNDS; i += BURST) {
		viommu_dma_begin(bench->endpoint, &section);
		for (unsigned j = 0; j < BURST; j++)
			sum += host_of(&section, (bench_random(&state) & (pages - 1)) * BENCH_PAGE);
		viommu_dma_end(&section);
	}
	sink = sum;
	return (double)(bench_ns() - start) / ROUNDS;
}

/* Each look-up needs the result of the one before. */
static double chain_ns(struct bench *bench, uint64_t pages)
{
	struct viommu_section section;
	uint64_t state = 88172645463325252ull, last = 0;
	uint64_t start = bench_ns();

	for (unsigned i = 0; i < ROUNDS; i += BURST) {
		viommu_dma_begin(bench->endpoint, &section);
		for (unsigned j = 0; j < BURST; j++)
			last = host_of(&section, ((bench_random(&state) + (last & 1)) & (pages - 1)) * BENCH_PAGE);
		viommu_dma_end(&section);
	}
	sink = last;
	return (double)(bench_ns() - start) / ROUNDS;
}

static double hit_ns(struct bench *bench)
{
	struct viommu_section section;
	uint64_t sum = 0, start = bench_ns();

	viommu_dma_begin(bench->endpoint, &section);
	for (unsigned i = 0; i < ROUNDS; i++)
		sum += host_of(&section, 5 * BENCH_PAGE + (i & 0xf00));
	viommu_dma_end(&section);
	sink = sum;
	return (double)(bench_ns() - start) / ROUNDS;
}

static double section_ns(struct bench *bench)
{
	struct viommu_section section;
	uint64_t start = bench_ns();

	for (unsigned i = 0; i < ROUNDS; i++) {
		viommu_dma_begin(bench->endpoint, &section);
		viommu_dma_end(&section);
	}
	return (double)(bench_ns() - start) / ROUNDS;
}

struct reader {
	struct bench *bench;
	pthread_barrier_t *barrier;
	double ns;
};

static void *reader_main(void *opaque)
{
	struct reader *reader = opaque;

	pthread_barrier_wait(reader->barrier);
	reader->ns = random_ns(reader->bench, 1 << 10);
	return NULL;
}

/* Look-ups per time of several threads together, as a multiple of one thread's. */
static double scaling(struct bench *bench)
{
	struct reader readers[READERS];
	pthread_t threads[READERS];
	pthread_barrier_t barrier;
	double one = random_ns(bench, 1 << 10), rate = 0;

	pthread_barrier_init(&barrier, NULL, READERS);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){bench, &barrier, 0};
		pthread_create(&threads[i], NULL, reader_main, &readers[i]);
	}
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		rate += one / readers[i].ns;
	}
	pthread_barrier_destroy(&barrier);
	return rate;
}

void bench_translate(void)
{
	struct bench *small = bench_setup(1 << 16), *large = bench_setup(1 << 20);

	bench_report("translate", "hit", hit_ns(small), "ns", "<= 3");
	bench_report("translate", "section", section_ns(small), "ns", "<= 15");
	bench_report("translate", "random-64Ki", random_ns(small, 1 << 16), "ns", "<= 8");
	bench_report("translate", "random-64Ki-chain", chain_ns(small, 1 << 16), "ns", NULL);
	bench_report("translate", "random-1Mi", random_ns(large, 1 << 20), "ns", "<= 20");
	bench_report("translate", "random-1Mi-chain", chain_ns(large, 1 << 20), "ns", NULL);
	bench_report("translate", "two-reader-scaling", scaling(small), "x", ">= 1.9");
	bench_teardown(large);
	bench_teardown(small);
}
