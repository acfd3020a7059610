/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA through a whole VT-d unit: a hit, a miss (cached context, walk of four levels, what was found is kept), and what
 * a strict guest makes of each buffer: entry set, used, cleared, invalidated by the queue with a wait. Tables map 64 Ki
 * pages of 4 KiB from IOVA 0 on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/vtd_guest.h"

enum { PAGES = 1 << 16, STRIDE = 40503, STRICT_ROUNDS = 20000 };

struct unit {
	struct viommu *v;
	struct viommu_endpoint *endpoint;
	struct vtd_guest guest;
	uint8_t *memory;
};

static void setup(struct unit *u)
{
	*u = (struct unit){.memory = aligned_alloc(BENCH_PAGE, BENCH_MEMORY)};
	bench_must(u->memory ? viommu_create(NULL, &u->v) : -ENOMEM);
	memset(u->memory, 0, BENCH_MEMORY);
	bench_must(viommu_mem_add(u->v, (struct viommu_gpa){0}, BENCH_MEMORY, u->memory, -1, 0));
	bench_must(viommu_endpoint_add(u->v, VTD_GUEST_SOURCE, "bench", &u->endpoint));
	vtd_guest_make(&u->guest, u->v, u->endpoint, u->memory, 0);
	for (uint64_t i = 0; i < PAGES; i++)
		*vtd_guest_entry(&u->guest, i * BENCH_PAGE) = vtd_guest_leaf(bench_gpa(i));
}

static void teardown(struct unit *u)
{
	vtd_guest_end(&u->guest);
	bench_must(viommu_endpoint_remove(u->endpoint));
	viommu_destroy(u->v);
	free(u->memory);
}

/* Each page once: one behind the other, or strewn. */
static double use_all_ns(struct unit *u, uint64_t stride)
{
	struct viommu_section section;
	struct viommu_span span;

	bench_must(viommu_dma_begin(u->endpoint, &section));
	uint64_t start = bench_ns();

	for (uint64_t i = 0; i < PAGES; i++)
		bench_must(viommu_dma_translate(&section, (struct viommu_iova){i * stride % PAGES * BENCH_PAGE}, 64,
						VIOMMU_READ, &span));
	double ns = (double)(bench_ns() - start) / PAGES;

	viommu_dma_end(&section);
	return ns;
}

static double hit_ns(void *opaque)
{
	return use_all_ns(opaque, STRIDE);
}

static double miss_ns(void *opaque)
{
	struct unit *u = opaque;

	vtd_guest_invalidate_all(&u->guest);
	return use_all_ns(u, STRIDE);
}

static double miss_in_order_ns(void *opaque)
{
	struct unit *u = opaque;

	vtd_guest_invalidate_all(&u->guest);
	return use_all_ns(u, 1);
}

static double strict_ns(void *opaque)
{
	struct unit *u = opaque;
	uint64_t start = bench_ns();
	uint8_t byte;

	for (uint64_t i = 0; i < STRICT_ROUNDS; i++) {
		struct viommu_iova iova = {i % PAGES * BENCH_PAGE};
		_Atomic uint64_t *at = vtd_guest_entry(&u->guest, iova.value);

		*at = vtd_guest_leaf(bench_gpa(i));
		bench_must(viommu_dma_read(u->endpoint, iova, &byte, 1));
		*at = 0;
		vtd_guest_invalidate_page(&u->guest, iova.value);
	}
	return (double)(bench_ns() - start) / STRICT_ROUNDS;
}

static const struct {
	const char *name;
	double (*round)(void *opaque);
} cases[] = {
	{"unit-hit-random", hit_ns},
	{"unit-miss-random", miss_ns},
	{"unit-miss-in-order", miss_in_order_ns},
	{"unit-strict-4KiB", strict_ns},
};

void bench_unit(void)
{
	struct unit u;

	setup(&u);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		bench_report("walk", cases[i].name, bench_median(cases[i].round, &u), "ns", BENCH_NO_GOAL);
	teardown(&u);
}
