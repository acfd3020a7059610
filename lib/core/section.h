/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sections that are open: one slot for each. A slot's word is 0 or
 *
 *	sequence number (63:32) | endpoint index (31:16) | domain index (15:0)
 *
 * Any thread claims any free slot, so threads need not be known; a thread begins its search where it was lucky last.
 * Claiming is a read-modify-write, hence a full fence, and the pair of that fence and the one in work_begin() is what
 * everything rests on: either the reader's claim comes first, and the invalidation sees and awaits it, or the change
 * comes first, and the reader sees it.
 */
#ifndef LIB_CORE_SECTION_H
#define LIB_CORE_SECTION_H

#include <stdatomic.h>
#include <stdint.h>

/* The last one is not claimed, but used by viommu__client_look(), under viommu.lock. */
enum { SECTION_SLOTS = 1024, SECTION_SLOT_LOOK = SECTION_SLOTS, SECTION_SLOTS_ALL };

/* Of a slot: a poll waits for it to be left; leaving it needs a fence. */
enum { SLOT_AWAITED = 1 << 0, SLOT_FENCE = 1 << 1 };

struct viommu;

/* Two cache lines: neighbours do not disturb each other, nor does the prefetcher of pairs. */
struct section_slot {
	_Atomic uint64_t word;
	_Atomic uint32_t sequence; /* of the last claim; may be a little stale, which only makes a wait longer */
	_Atomic unsigned flags;    /* wake.h */
	struct viommu *v;
	_Atomic uint64_t walks; /* in all sections that have had it; written in a section alone */
} __attribute__((aligned(128)));

struct section_table {
	struct section_slot *slots;
	_Atomic unsigned high_water; /* slots from here on have never been claimed */
};

static inline void section_count_walk(struct section_slot *slot)
{
	const uint64_t walks = atomic_load_explicit(&slot->walks, memory_order_relaxed);

	atomic_store_explicit(&slot->walks, walks + 1, memory_order_relaxed);
}

/* By all sections so far. */
static inline uint64_t section_walks(const struct section_table *sections)
{
	const unsigned slots = atomic_load_explicit(&sections->high_water, memory_order_relaxed);
	uint64_t walks = atomic_load_explicit(&sections->slots[SECTION_SLOT_LOOK].walks, memory_order_relaxed);

	for (unsigned i = 0; i < slots; i++)
		walks += atomic_load_explicit(&sections->slots[i].walks, memory_order_relaxed);
	return walks;
}

static inline uint16_t section_endpoint(uint64_t word)
{
	return (uint16_t)(word >> 16);
}

static inline uint16_t section_domain(uint64_t word)
{
	return (uint16_t)word;
}

#endif
