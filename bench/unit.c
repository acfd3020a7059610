/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA through a whole VT-d unit: a hit, a miss (cached context, walk of four levels, what was found is kept), and what a strict guest
 * makes of each buffer: entry set, used, cleared, invalidated by the queue with a wait. Tables map 64 Ki pages of 4 KiB from IOVA 0 on.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/vtd.h>

#include "bench/bench.h"

enum { PAGES = 1 << 16, STRIDE = 40503, STRICT_ROUNDS = 20000, LEVELS = 4, ENTRIES = 512, SOURCE = 0x0010, DOMAIN = 1 };

/* What the specification (chapters 6, 9 and 11) says of registers, entries and descriptors. */
enum { GCMD = 0x18, GSTS = 0x1c, RTADDR = 0x20, IQT = 0x88, IQA = 0x90, QIE_BIT = 26, SRTP_BIT = 30, TE_BIT = 31 };
enum {
	PRESENT = 1,
	RW = 3,
	AW_48 = 2,
	IOTLB_DOMAIN = 2 | 2 << 4,
	IOTLB_PAGE = 2 | 3 << 4,
	WAIT = 5 | 1 << 5,
	DONE = 2
};

struct unit {
	struct viommu *v;
	struct viommu_vtd *vtd;
	struct viommu_endpoint *endpoint;
	uint8_t *memory;
	uint64_t next, queue, status, top;
	uint32_t commands, tail;
};

static _Atomic uint64_t *word(struct unit *u, uint64_t gpa)
{
	return (_Atomic uint64_t *)(void *)(u->memory + gpa);
}

static uint64_t page(struct unit *u)
{
	u->next += BENCH_PAGE;
	return u->next - BENCH_PAGE;
}

static _Atomic uint64_t *entry(struct unit *u, uint64_t iova)
{
	uint64_t table = u->top;

	for (unsigned level = LEVELS;; level--) {
		_Atomic uint64_t *at = word(u, table + (iova >> (12 + 9 * (level - 1))) % ENTRIES * 8);

		if (level == 1)
			return at;
		if (!*at)
			*at = page(u) | RW;
		table = *at & ~(uint64_t)(BENCH_PAGE - 1);
	}
}

static void command(struct unit *u, unsigned bit, bool keep)
{
	viommu_vtd_write(u->vtd, GCMD, u->commands | 1u << bit, 4);
	while (!(viommu_vtd_read(u->vtd, GSTS, 4) >> bit & 1))
		viommu_vtd_poll(u->vtd);
	if (keep)
		u->commands |= 1u << bit;
}

static void put(struct unit *u, uint64_t low, uint64_t high)
{
	*word(u, u->queue + u->tail) = low;
	*word(u, u->queue + u->tail + 8) = high;
	u->tail = (u->tail + 16) % BENCH_PAGE;
}

static void invalidate(struct unit *u, uint64_t low, uint64_t high)
{
	*word(u, u->status) = 0;
	put(u, low | (uint64_t)DOMAIN << 16, high);
	put(u, WAIT | (uint64_t)DONE << 32, u->status);
	viommu_vtd_write(u->vtd, IQT, u->tail, 4);
	while (*word(u, u->status) != DONE)
		viommu_vtd_poll(u->vtd);
}

static void ignore(void *opaque)
{
	(void)opaque;
}

static void ignore_message(void *opaque, struct viommu_irq_message message)
{
	(void)opaque;
	(void)message;
}

static void setup(struct unit *u)
{
	const struct viommu_vtd_config config = {.pending = ignore, .irq_commit = ignore, .interrupt = ignore_message};

	*u = (struct unit){.memory = aligned_alloc(BENCH_PAGE, BENCH_MEMORY)};
	bench_must(viommu_create(NULL, &u->v));
	memset(u->memory, 0, BENCH_MEMORY);
	bench_must(viommu_mem_add(u->v, (struct viommu_gpa){0}, BENCH_MEMORY, u->memory, -1, 0));
	bench_must(viommu_endpoint_add(u->v, SOURCE, "bench", &u->endpoint));
	bench_must(viommu_vtd_create(u->v, &config, &u->vtd));
	bench_must(viommu_vtd_manage(u->vtd, u->endpoint));
	uint64_t root = page(u), context = page(u);

	u->queue = page(u);
	u->status = page(u);
	u->top = page(u);
	*word(u, root) = context | PRESENT;
	*word(u, context + SOURCE * 16) = u->top | PRESENT;
	*word(u, context + SOURCE * 16 + 8) = DOMAIN << 8 | AW_48;
	for (uint64_t i = 0; i < PAGES; i++)
		*entry(u, i * BENCH_PAGE) = bench_gpa(i) | RW;
	viommu_vtd_write(u->vtd, RTADDR, root, 8);
	viommu_vtd_write(u->vtd, IQA, u->queue, 8);
	command(u, SRTP_BIT, false);
	command(u, QIE_BIT, true);
	command(u, TE_BIT, true);
}

static void teardown(struct unit *u)
{
	viommu_vtd_destroy(u->vtd);
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
	invalidate(opaque, IOTLB_DOMAIN, 0);
	return use_all_ns(opaque, STRIDE);
}

static double miss_in_order_ns(void *opaque)
{
	invalidate(opaque, IOTLB_DOMAIN, 0);
	return use_all_ns(opaque, 1);
}

static double strict_ns(void *opaque)
{
	struct unit *u = opaque;
	uint64_t start = bench_ns();
	uint8_t byte;

	for (uint64_t i = 0; i < STRICT_ROUNDS; i++) {
		struct viommu_iova iova = {i % PAGES * BENCH_PAGE};
		_Atomic uint64_t *at = entry(u, iova.value);

		*at = bench_gpa(i) | RW;
		bench_must(viommu_dma_read(u->endpoint, iova, &byte, 1));
		*at = 0;
		invalidate(u, IOTLB_PAGE, iova.value);
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
