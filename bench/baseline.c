/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fixed cases with other stores of translations: the same look-ups, rights and memory checked, down to a host
 * address.
 */
#include "bench/baseline.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#ifdef BENCH_GLIB
#include "bench/baseline_glib.h"
#endif

static const struct baseline_ops *const stores[] = {
#ifdef BENCH_GLIB
	&baseline_tree,
	&baseline_hash,
#endif
	&baseline_list,
	&baseline_interval,
};

enum { STORES = sizeof(stores) / sizeof(stores[0]), DENSE = 1 << 16 };

const struct baseline_ops *baseline_hash_ops(void)
{
#ifdef BENCH_GLIB
	return &baseline_hash;
#else
	return NULL;
#endif
}

static void map(const struct baseline_run *run, uint64_t page)
{
	const uint64_t at = page * BENCH_PAGE;
	const struct baseline_mapping mapping = {at, at + BENCH_PAGE - 1, bench_gpa(page), VIOMMU_READ | VIOMMU_WRITE};

	run->ops->map(run->store, &mapping);
}

static uint64_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* From the last page to the first: a sorted list fills in no time that way. */
bool baseline_setup(struct baseline_run *run, const struct baseline_ops *ops, uint64_t pages)
{
	if (!ops || pages > ops->most)
		return false;
	*run = (struct baseline_run){.ops = ops, .pages = pages};
	run->store = ops->create();
	if (!run->store)
		return false;
	run->memory = aligned_alloc(BENCH_PAGE, BENCH_MEMORY);
	bench_must(run->memory ? 0 : -1);
	run->heap = heap_bytes();
	for (uint64_t page = pages; page; page--)
		map(run, page - 1);
	run->heap = heap_bytes() - run->heap;
	return true;
}

void baseline_teardown(struct baseline_run *run)
{
	run->ops->destroy(run->store);
	free(run->memory);
}

/* What a device needs to know: where in this process, with the right that it wants. */
static uint64_t host_of(const struct baseline_run *run, uint64_t iova)
{
	struct baseline_mapping mapping;

	if (!run->ops->find(run->store, iova, &mapping) || ~mapping.access & VIOMMU_READ)
		return 0;
	uint64_t gpa = mapping.gpa + (iova - mapping.first);

	return gpa <= BENCH_MEMORY - BENCH_LEN ? (uintptr_t)run->memory + gpa : 0;
}

static unsigned lookups(const struct baseline_run *run)
{
	return (unsigned)(BENCH_LOOKUPS / run->ops->slower);
}

double baseline_hit_round(void *opaque)
{
	struct baseline_run *run = opaque;
	const unsigned count = lookups(run);
	uint64_t start = bench_ns(), sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += host_of(run, bench_near(i));
	run->sink = sum;
	return bench_each(start, count);
}

double baseline_sequential_round(void *opaque)
{
	struct baseline_run *run = opaque;
	const unsigned count = lookups(run);
	uint64_t start = bench_ns(), sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += host_of(run, (i & (run->pages - 1)) * BENCH_PAGE);
	run->sink = sum;
	return bench_each(start, count);
}

static void random_work(void *opaque, unsigned thread)
{
	struct baseline_run *run = opaque;
	const unsigned count = lookups(run);
	uint64_t state = BENCH_SEED, sum = 0;

	(void)thread;
	for (unsigned i = 0; i < count; i++)
		sum += host_of(run, (bench_random(&state) & (run->pages - 1)) * BENCH_PAGE);
	run->sink = sum;
}

double baseline_random_round(void *opaque)
{
	uint64_t start = bench_ns();

	random_work(opaque, 0);
	return bench_each(start, lookups(opaque));
}

double baseline_map_unmap_round(void *opaque)
{
	struct baseline_run *run = opaque;
	uint64_t state = BENCH_SEED, start = bench_ns();
	unsigned count = (unsigned)(BENCH_CHANGES / run->ops->slower);

	for (unsigned i = 0; i < count; i++) {
		uint64_t page = bench_random(&state) & (run->pages - 1);

		run->ops->unmap(run->store, page * BENCH_PAGE, page * BENCH_PAGE + BENCH_PAGE - 1);
		map(run, page);
	}
	return bench_each(start, count);
}

static void time_case(const char *bench, const char *name, const struct baseline_ops *ops, uint64_t pages,
		      double (*round)(void *opaque))
{
	struct baseline_run run;

	if (!baseline_setup(&run, ops, pages))
		return;
	bench_report_baseline(bench, name, ops->name, bench_median(round, &run), "ns");
	baseline_teardown(&run);
}

static void scaling_case(const struct baseline_ops *ops)
{
	struct baseline_run run;

	if (!baseline_setup(&run, ops, 1 << 10))
		return;
	double scaling = bench_scaling(random_work, &run);

	if (scaling > 0)
		bench_report_baseline("translate", "two-reader-scaling", ops->name, scaling, "x");
	baseline_teardown(&run);
}

static void memory_case(const struct baseline_ops *ops)
{
	struct baseline_run run;

	if (!baseline_setup(&run, ops, DENSE))
		return;
	bench_report_baseline("map", "bytes-per-mapping", ops->name, (double)run.heap / DENSE, "bytes");
	baseline_teardown(&run);
}

void baseline_check(void)
{
#ifdef BENCH_GLIB
	if (!baseline_glib())
		fputs("viommu: bench: GLib is not installed: no comparison with its tree and hash table\n", stderr);
#else
	fputs("viommu: bench: built without GLib: no comparison with its tree and hash table\n", stderr);
#endif
}

void baseline_translate(void)
{
	for (unsigned i = 0; i < STORES; i++) {
		if (stores[i] == &baseline_interval)
			continue;
		time_case("translate", "hit", stores[i], 1 << 16, baseline_hit_round);
		time_case("translate", "random-64Ki", stores[i], 1 << 16, baseline_random_round);
		time_case("translate", "random-1Mi", stores[i], 1 << 20, baseline_random_round);
		scaling_case(stores[i]);
	}
}

void baseline_map_unmap(void)
{
	for (unsigned i = 0; i < STORES; i++) {
		if (stores[i] != baseline_hash_ops()) {
			time_case("map", "map-unmap-4KiB-1Ki", stores[i], 1 << 10, baseline_map_unmap_round);
			time_case("map", "map-unmap-4KiB-1Mi", stores[i], 1 << 20, baseline_map_unmap_round);
		}
		memory_case(stores[i]);
	}
}
