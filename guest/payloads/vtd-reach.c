/* SPDX-License-Identifier: BSD-2-Clause */
#include "vtd-reach.h"

#include "dma.h"
#include "payload.h"

#define LOW 0x80000000ull
/* Well up in what the tables reach, and canonical. */
static uint64_t high(const struct space *space)
{
	return 1ull << (10 + 9 * space->levels);
}

/* Bits that let requests read, or do both; they are the same in both formats but for U/S. */
static uint64_t readable(const struct space *space)
{
	return space->link & ~(uint64_t)SS_W;
}

static void map(const struct space *space, uint64_t iova, unsigned level, const volatile void *target, uint64_t rights)
{
	const uint32_t size = 1u << (12 + 9 * (level - 1));

	*space_entry(space, iova, level) = ((uint32_t)target & ~(size - 1)) | rights | (level > 1 ? PT_PS : 0);
}

static uint64_t inside(uint64_t iova, unsigned level, const volatile void *target)
{
	return iova + ((uint32_t)target & ((1u << (12 + 9 * (level - 1))) - 1));
}

static void check_sizes(const char *where, const struct space *space, volatile uint64_t *target)
{
	static const char *const names[] = {"a page of 4 KiB", "a page of 2 MiB", "a page of 1 GiB"};

	for (unsigned level = 1; level <= 3; level++) {
		const uint64_t page = high(space) + (level == 1 ? 0 : (uint64_t)level << 30),
			       at = inside(page, level, target);

		map(space, page, level, target, space->link);
		check_in(where, names[level - 1], dma_lands(at, target) && dma_fetches(at + 8, target + 1, at, target));
	}
}

static void check_rights(const char *where, const struct space *space, volatile uint64_t *target)
{
	const uint64_t way = LOW + 0x1000;

	map(space, LOW, 1, target, readable(space));
	map(space, way, 1, target + 512, space->link);
	check_in(where, "a page that can be read is read", dma_fetches(LOW, target, way, target + 512));
	check_in(where, "a page that can only be read is not written", !dma_lands(LOW, target));
	check_in(where, "a page that is not mapped is not written", !dma_lands(LOW + 0x2000, target));
	check_in(where, "nor read", !dma_fetches(LOW + 0x2000, target, way, target + 512));
	map(space, LOW + 0x2000, 1, target, space->link);
	check_in(where, "a mapping that is new works without an invalidation", dma_lands(LOW + 0x2000, target));
}

static void check_unmap(const char *where, const struct space *space, volatile uint64_t *target)
{
	map(space, LOW, 1, target, space->link);
	queue_flush_all();
	check_in(where, "mapped: written", dma_lands(LOW, target));
	*space_entry(space, LOW, 1) = 0;
	queue_flush_all();
	check_in(where, "unmapped and invalidated: not written", !dma_lands(LOW, target));
}

/* Faults collect meanwhile; nobody looks at them here. */
void reach_check(const char *where, const struct space *space)
{
	volatile uint64_t *target = vtd_page();

	vtd_page(); /* the next one: target + 512 */
	check_sizes(where, space, target);
	check_rights(where, space, target);
	check_unmap(where, space, target);
	while (fault_take().reason) {
	}
}
