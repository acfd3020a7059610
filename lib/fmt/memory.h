/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory as a walk of tables sees it: the region that answered last, and a way to find another. Belongs to one
 * walk, or to one section; never to two threads.
 */
#ifndef LIB_FMT_MEMORY_H
#define LIB_FMT_MEMORY_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

struct pt_memory {
	uint64_t first, last; /* closed range of GPAs; first > last: no region yet */
	uint8_t *host;        /* of `first` */

	/* Fill in the three above for the region that holds `gpa`. False: none does, and nothing has changed. */
	bool (*find)(struct pt_memory *memory, uint64_t gpa);
	const void *opaque;
};

static inline void pt_memory_init(struct pt_memory *memory, bool (*find)(struct pt_memory *memory, uint64_t gpa),
				  const void *opaque)
{
	*memory = (struct pt_memory){.first = 1, .last = 0, .find = find, .opaque = opaque};
}

/*
 * Entries are loaded whole, so a region must not cut one in two: its ends and its host address are multiples of the
 * largest entry's size. One that is not so is no memory.
 */
static inline bool pt_memory_refill(struct pt_memory *memory, uint64_t gpa)
{
	enum { ENTRY_MASK = sizeof(uint64_t) - 1 };

	if (!memory->find(memory, gpa))
		return false;
	if (!((memory->first | (memory->last + 1) | (uintptr_t)memory->host) & ENTRY_MASK))
		return true;
	memory->first = 1;
	memory->last = 0;
	return false;
}

/*
 * Where an entry lies, or NULL where there is no memory. `gpa` is a multiple of the entry's size, which is 8 at most.
 */
static inline uint8_t *pt_memory_at(struct pt_memory *memory, uint64_t gpa)
{
	if (__builtin_expect(gpa < memory->first || gpa > memory->last, 0) && !pt_memory_refill(memory, gpa))
		return NULL;
	return memory->host + (gpa - memory->first);
}

/* Acquire: partner of the guest's store of the entry, before which it filled the table that the entry points to. */
static inline uint64_t pt_load_le64(const uint8_t *entry)
{
	return le64toh(__atomic_load_n((const uint64_t *)(const void *)entry, __ATOMIC_ACQUIRE));
}

/*
 * Replace what was loaded, `*was`, unless the guest has changed it meanwhile: then `*was` is what is there now. Ordered
 * like a locked instruction of the guest's: it finds the new bits when it takes the entry away.
 */
static inline bool pt_replace_le64(uint8_t *entry, uint64_t *was, uint64_t value)
{
	uint64_t expected = htole64(*was);
	bool done = __atomic_compare_exchange_n((uint64_t *)(void *)entry, &expected, htole64(value), false,
						__ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);

	*was = le64toh(expected);
	return done;
}

#endif
