/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/vtd_guest.h"

enum { LEVELS = 4, ENTRIES = 512, DOMAIN = 1 };

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

static _Atomic uint64_t *word(struct vtd_guest *u, uint64_t gpa)
{
	return (_Atomic uint64_t *)(void *)(u->memory + gpa);
}

static uint64_t page(struct vtd_guest *u)
{
	u->next += BENCH_PAGE;
	return u->next - BENCH_PAGE;
}

_Atomic uint64_t *vtd_guest_entry(struct vtd_guest *u, uint64_t iova)
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

static void command(struct vtd_guest *u, unsigned bit, bool keep)
{
	viommu_vtd_write(u->unit, GCMD, u->commands | 1u << bit, 4);
	while (!(viommu_vtd_read(u->unit, GSTS, 4) >> bit & 1))
		viommu_vtd_poll(u->unit);
	if (keep)
		u->commands |= 1u << bit;
}

static void put(struct vtd_guest *u, uint64_t low, uint64_t high)
{
	*word(u, u->queue + u->tail) = low;
	*word(u, u->queue + u->tail + 8) = high;
	u->tail = (u->tail + 16) % BENCH_PAGE;
}

static void invalidate(struct vtd_guest *u, uint64_t low, uint64_t high)
{
	*word(u, u->status) = 0;
	put(u, low | (uint64_t)DOMAIN << 16, high);
	put(u, WAIT | (uint64_t)DONE << 32, u->status);
	viommu_vtd_write(u->unit, IQT, u->tail, 4);
	while (*word(u, u->status) != DONE)
		viommu_vtd_poll(u->unit);
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

static void make_tables(struct vtd_guest *u)
{
	uint64_t root = page(u), context = page(u);

	u->queue = page(u);
	u->status = page(u);
	u->top = page(u);
	*word(u, root) = context | PRESENT;
	*word(u, context + VTD_GUEST_SOURCE * 16) = u->top | PRESENT;
	*word(u, context + VTD_GUEST_SOURCE * 16 + 8) = DOMAIN << 8 | AW_48;
	viommu_vtd_write(u->unit, RTADDR, root, 8);
	viommu_vtd_write(u->unit, IQA, u->queue, 8);
}

void vtd_guest_make(struct vtd_guest *u, struct viommu *v, struct viommu_endpoint *endpoint, uint8_t *memory,
		    uint64_t free)
{
	const struct viommu_vtd_config config = {.size = sizeof(struct viommu_vtd_config),
						 .pending = ignore,
						 .irq_commit = ignore,
						 .interrupt = ignore_message};

	*u = (struct vtd_guest){.memory = memory, .next = free};
	bench_must(viommu_vtd_create(v, &config, &u->unit));
	bench_must(viommu_vtd_manage(u->unit, endpoint));
	make_tables(u);
	command(u, SRTP_BIT, false);
	command(u, QIE_BIT, true);
	command(u, TE_BIT, true);
}

void vtd_guest_end(struct vtd_guest *u)
{
	viommu_vtd_destroy(u->unit);
}

uint64_t vtd_guest_leaf(uint64_t gpa)
{
	return gpa | RW;
}

void vtd_guest_invalidate_page(struct vtd_guest *u, uint64_t iova)
{
	invalidate(u, IOTLB_PAGE, iova);
}

void vtd_guest_invalidate_all(struct vtd_guest *u)
{
	invalidate(u, IOTLB_DOMAIN, 0);
}
