/* SPDX-License-Identifier: BSD-2-Clause */
/* Translation, permission and range check included: hits, random look-ups, sections, two readers. */
#include "bench/baseline.h"
#include "bench/bench.h"

enum { ROUNDS = 1 << 20, BURST = 64 };

static volatile uintptr_t sink; /* keeps the compiler from dropping what nobody reads */

static uint64_t host_of(struct viommu_section *section, uint64_t iova)
{
	struct viommu_span span;

	if (viommu_dma_translate(section, (struct viommu_iova){iova}, 64, VIOMMU_READ, &span))
		return 0;
	return (uintptr_t)span.host;
}

/* Independent look-ups of random pages. */
static void random_work(void *opaque, unsigned thread)
{
	struct bench *bench = opaque;
	struct viommu_section section;
	uint64_t state = BENCH_SEED, sum = 0;

	(void)thread;
	for (unsigned i = 0; i < ROUNDS; i += BURST) {
		viommu_dma_begin(bench->endpoint, &section);
		for (unsigned j = 0; j < BURST; j++)
			sum += host_of(&section, (bench_random(&state) & (bench->pages - 1)) * BENCH_PAGE);
		viommu_dma_end(&section);
	}
	sink = sum;
}

static double random_round(void *opaque)
{
	uint64_t start = bench_ns();

	random_work(opaque, 0);
	return (double)(bench_ns() - start) / ROUNDS;
}

/* Each look-up needs the result of the one before. */
static double chain_round(void *opaque)
{
	struct bench *bench = opaque;
	struct viommu_section section;
	uint64_t state = BENCH_SEED, last = 0, start = bench_ns();

	for (unsigned i = 0; i < ROUNDS; i += BURST) {
		viommu_dma_begin(bench->endpoint, &section);
		for (unsigned j = 0; j < BURST; j++)
			last = host_of(&section,
				       ((bench_random(&state) + (last & 1)) & (bench->pages - 1)) * BENCH_PAGE);
		viommu_dma_end(&section);
	}
	sink = last;
	return (double)(bench_ns() - start) / ROUNDS;
}

static double hit_round(void *opaque)
{
	struct bench *bench = opaque;
	struct viommu_section section;
	uint64_t sum = 0, start = bench_ns();

	viommu_dma_begin(bench->endpoint, &section);
	for (unsigned i = 0; i < ROUNDS; i++)
		sum += host_of(&section, 5 * BENCH_PAGE + (i & 0xf00));
	viommu_dma_end(&section);
	sink = sum;
	return (double)(bench_ns() - start) / ROUNDS;
}

/* The address of a function is that of the exported one: what a call through the library's table costs. */
static double hit_call_round(void *opaque)
{
	int (*volatile translate)(struct viommu_section *, struct viommu_iova, uint64_t, unsigned,
				  struct viommu_span *) = viommu_dma_translate;
	struct bench *bench = opaque;
	struct viommu_section section;
	struct viommu_span span = {.host = NULL};
	uint64_t sum = 0, start = bench_ns();

	viommu_dma_begin(bench->endpoint, &section);
	for (unsigned i = 0; i < ROUNDS; i++)
		if (!translate(&section, (struct viommu_iova){5 * BENCH_PAGE + (i & 0xf00)}, 64, VIOMMU_READ, &span))
			sum += (uintptr_t)span.host;
	viommu_dma_end(&section);
	sink = sum;
	return (double)(bench_ns() - start) / ROUNDS;
}

static double section_round(void *opaque)
{
	struct bench *bench = opaque;
	struct viommu_section section;
	uint64_t start = bench_ns();

	for (unsigned i = 0; i < ROUNDS; i++) {
		viommu_dma_begin(bench->endpoint, &section);
		viommu_dma_end(&section);
	}
	return (double)(bench_ns() - start) / ROUNDS;
}

static void time_case(struct bench *bench, const char *name, double (*round)(void *opaque), struct bench_goal goal)
{
	bench_report("translate", name, bench_median(round, bench), "ns", goal);
}

static void medium(void)
{
	struct bench *bench = bench_setup(1 << 16);

	time_case(bench, "hit", hit_round, BENCH_AT_MOST(3));
	time_case(bench, "hit-call", hit_call_round, BENCH_AT_MOST(3));
	time_case(bench, "section", section_round, BENCH_AT_MOST(15));
	time_case(bench, "random-64Ki", random_round, BENCH_AT_MOST(8));
	time_case(bench, "random-64Ki-chain", chain_round, BENCH_NO_GOAL);
	bench_teardown(bench);
}

static void large(void)
{
	struct bench *bench = bench_setup(1 << 20);

	time_case(bench, "random-1Mi", random_round, BENCH_AT_MOST(20));
	time_case(bench, "random-1Mi-chain", chain_round, BENCH_NO_GOAL);
	bench_teardown(bench);
}

static void readers(void)
{
	struct bench *bench = bench_setup(1 << 10);

	bench_report_scaling("translate", "two-reader-scaling", random_work, bench, BENCH_AT_LEAST(1.9));
	bench_teardown(bench);
}

void bench_translate(void)
{
	medium();
	large();
	readers();
	baseline_translate();
}
