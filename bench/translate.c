/* SPDX-License-Identifier: BSD-2-Clause */
/* Translation, permission and range check included: hits, random look-ups, sections, two readers. */
#include <stdatomic.h>

#include "bench/bare.h"
#include "bench/baseline.h"
#include "bench/bench.h"

enum { BURST = 64 };

static volatile uintptr_t sink; /* keeps the compiler from dropping what nobody reads */

/* Compiled into each loop, as the bare look-up is. */
static inline __attribute__((always_inline)) uint64_t host_of(struct viommu_section *section, uint64_t iova)
{
	struct viommu_span span;

	if (viommu_dma_translate(section, (struct viommu_iova){iova}, BENCH_LEN, VIOMMU_READ, &span))
		return 0;
	return (uintptr_t)span.host;
}

/* Independent look-ups of random pages. */
static void random_work(void *opaque, unsigned thread)
{
	struct bench *bench = opaque;
	const uint64_t last_page = bench->pages - 1;
	struct viommu_section section;
	uint64_t state = BENCH_SEED, sum = 0;

	(void)thread;
	for (unsigned i = 0; i < BENCH_LOOKUPS; i += BURST) {
		viommu_dma_begin(bench->endpoint, &section);
		for (unsigned j = 0; j < BURST; j++)
			sum += host_of(&section, (bench_random(&state) & last_page) * BENCH_PAGE);
		viommu_dma_end(&section);
	}
	sink = sum;
}

static double random_round(void *opaque)
{
	uint64_t start = bench_ns();

	random_work(opaque, 0);
	return bench_each(start, BENCH_LOOKUPS);
}

/* One page after the other, again and again. */
static double sequential_round(void *opaque)
{
	struct bench *bench = opaque;
	const uint64_t last_page = bench->pages - 1;
	struct viommu_section section;
	uint64_t sum = 0, start = bench_ns();

	for (unsigned i = 0; i < BENCH_LOOKUPS; i += BURST) {
		viommu_dma_begin(bench->endpoint, &section);
		for (unsigned j = 0; j < BURST; j++)
			sum += host_of(&section, ((i + j) & last_page) * BENCH_PAGE);
		viommu_dma_end(&section);
	}
	sink = sum;
	return bench_each(start, BENCH_LOOKUPS);
}

/* Each look-up needs the result of the one before. */
static double chain_round(void *opaque)
{
	struct bench *bench = opaque;
	const uint64_t last_page = bench->pages - 1;
	struct viommu_section section;
	uint64_t state = BENCH_SEED, last = 0, start = bench_ns();

	for (unsigned i = 0; i < BENCH_LOOKUPS; i += BURST) {
		viommu_dma_begin(bench->endpoint, &section);
		for (unsigned j = 0; j < BURST; j++)
			last = host_of(&section, ((bench_random(&state) + (last & 1)) & last_page) * BENCH_PAGE);
		viommu_dma_end(&section);
	}
	sink = last;
	return bench_each(start, BENCH_LOOKUPS);
}

static double hit_round(void *opaque)
{
	struct bench *bench = opaque;
	struct viommu_section section;
	uint64_t sum = 0, start = bench_ns();

	viommu_dma_begin(bench->endpoint, &section);
	for (unsigned i = 0; i < BENCH_LOOKUPS; i++)
		sum += host_of(&section, bench_near(i));
	viommu_dma_end(&section);
	sink = sum;
	return bench_each(start, BENCH_LOOKUPS);
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
	for (unsigned i = 0; i < BENCH_LOOKUPS; i++)
		if (!translate(&section, (struct viommu_iova){bench_near(i)}, BENCH_LEN, VIOMMU_READ, &span))
			sum += (uintptr_t)span.host;
	viommu_dma_end(&section);
	sink = sum;
	return bench_each(start, BENCH_LOOKUPS);
}

static double section_round(void *opaque)
{
	struct bench *bench = opaque;
	struct viommu_section section;
	uint64_t start = bench_ns();

	for (unsigned i = 0; i < BENCH_LOOKUPS; i++) {
		viommu_dma_begin(bench->endpoint, &section);
		viommu_dma_end(&section);
	}
	return bench_each(start, BENCH_LOOKUPS);
}

/* The least that a section can be: one atomic read-modify-write, and a store that ends it. */
static double claim_round(void *opaque)
{
	_Atomic uint64_t *word = opaque;
	uint64_t start = bench_ns();

	for (unsigned i = 0; i < BENCH_LOOKUPS; i++) {
		uint64_t expected = 0;

		atomic_compare_exchange_strong(word, &expected, 1);
		atomic_store_explicit(word, 0, memory_order_release);
	}
	return bench_each(start, BENCH_LOOKUPS);
}

static void section_case(struct bench *bench)
{
	static _Atomic uint64_t word;
	struct bench_side sides[] = {{"viommu", section_round, bench}, {BENCH_BARE, claim_round, &word}};

	bench_in_turn(sides, 2);
	bench_report_sides("translate", "section", sides, 2, BENCH_NO_GOAL);
}

struct lookup_case {
	const char *name;
	double (*ours)(void *opaque), (*bare)(void *opaque), (*interval)(void *opaque); /* of struct bench, and so on */
	struct bench_goal goal;
};

/* The same mappings in each of the tables. */
struct tables {
	struct bench *bench;
	struct bare *bare;
	struct baseline_run interval;
};

static void tables_setup(struct tables *tables, uint64_t pages)
{
	tables->bench = bench_setup(pages);
	tables->bare = bare_setup(pages);
	baseline_setup(&tables->interval, &baseline_interval, pages);
}

static void tables_teardown(struct tables *tables)
{
	baseline_teardown(&tables->interval);
	bare_teardown(tables->bare);
	bench_teardown(tables->bench);
}

static void time_cases(struct tables *tables, const struct lookup_case *cases, unsigned count)
{
	for (const struct lookup_case *what = cases; what < cases + count; what++) {
		struct bench_side sides[] = {
			{"viommu", what->ours, tables->bench},
			{BENCH_BARE, what->bare, tables->bare},
			{baseline_interval.name, what->interval, &tables->interval},
		};
		const unsigned sides_count = what->interval ? 3 : 2;

		bench_in_turn(sides, sides_count);
		bench_report_sides("translate", what->name, sides, sides_count, what->goal);
	}
}

static void small(void)
{
	static const struct lookup_case cases[] = {
		{"sequential-16",
		 sequential_round,
		 bare_sequential_round,
		 baseline_sequential_round,
		 {'<', 1, "interval-tree"}},
		{"random-16", random_round, bare_random_round, baseline_random_round, {'<', 1, "interval-tree"}},
	};
	struct tables tables;

	tables_setup(&tables, 16);
	time_cases(&tables, cases, sizeof(cases) / sizeof(cases[0]));
	tables_teardown(&tables);
}

static void medium(void)
{
	static const struct lookup_case cases[] = {
		{"hit", hit_round, bare_hit_round, baseline_hit_round, {'<', 2, BENCH_BARE}},
		{"hit-call", hit_call_round, bare_hit_round, NULL, {0}},
		{"sequential-64Ki",
		 sequential_round,
		 bare_sequential_round,
		 baseline_sequential_round,
		 {'<', 1, "interval-tree"}},
		{"random-64Ki", random_round, bare_random_round, baseline_random_round, {'<', 1.3, BENCH_BARE}},
		{"random-64Ki-chain", chain_round, bare_chain_round, NULL, {0}},
	};
	struct tables tables;

	tables_setup(&tables, 1 << 16);
	section_case(tables.bench);
	time_cases(&tables, cases, sizeof(cases) / sizeof(cases[0]));
	tables_teardown(&tables);
}

static void large(void)
{
	static const struct lookup_case cases[] = {
		{"random-1Mi", random_round, bare_random_round, baseline_random_round, {'<', 1.3, BENCH_BARE}},
		{"random-1Mi-chain", chain_round, bare_chain_round, NULL, {0}},
	};
	struct tables tables;

	tables_setup(&tables, 1 << 20);
	time_cases(&tables, cases, sizeof(cases) / sizeof(cases[0]));
	tables_teardown(&tables);
}

static void readers(void)
{
	struct bench *bench = bench_setup(1 << 10);

	bench_report_scaling("translate", "two-reader-scaling", random_work, bench, BENCH_AT_LEAST(1.9));
	bench_teardown(bench);
}

void bench_translate(void)
{
	small();
	medium();
	large();
	readers();
	baseline_translate();
}
