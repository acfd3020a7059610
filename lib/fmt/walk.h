/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk through tables in guest memory that all radix formats share. A format is a constant; the compiler makes a
 * walk of its own of each, so there is no call on the way down. What depends on the unit's capabilities is in struct
 * pt_space.
 *
 * The tables belong to the guest, which may change them at any time: each entry is loaded once, checked, and used as it
 * was loaded. Any pointer is safe. The depth is bounded by the number of levels, whatever points to whatever.
 */
#ifndef LIB_FMT_WALK_H
#define LIB_FMT_WALK_H

#include <viommu/types.h>

#include "lib/fmt/memory.h"
#include "lib/util/range.h"

enum { PT_LEVELS = 5 };

/* How a walk ended. A model knows which fault that is. */
enum pt_end {
	PT_OK,
	PT_BEYOND_WIDTH,   /* the address has more bits than the tables translate */
	PT_NOT_CANONICAL,  /* the address is no sign-extended one */
	PT_TOP_UNREADABLE, /* no memory where the first table should be */
	PT_UNREADABLE,     /* nor where an entry says that the next one is */
	PT_NOT_PRESENT,
	PT_NOT_USER, /* an entry is the supervisor's alone */
	PT_NO_READ,
	PT_NO_WRITE, /* also where reading is not allowed either, and both were asked for */
	PT_RESERVED, /* a reserved bit is set in an entry that is present */
	PT_BUSY,     /* the entry did not stay the same long enough to be marked as used */
};

/* A format's constant part: what the bits of its entries mean. */
struct pt_format {
	unsigned index_bits, page_shift;
	uint64_t address;         /* of the next table, or of the page; a page's address is cut off at its size */
	uint64_t present;         /* one of these bits is enough */
	uint64_t user;            /* must be set in each entry; 0: there is no such bit */
	unsigned rights_shift;    /* the bits that grant VIOMMU_READ and VIOMMU_WRITE lie side by side from here */
	uint64_t large;           /* a leaf above level 1 */
	uint64_t accessed, dirty; /* set by the walk: in each entry on the way; in the leaf of a write. 0: not kept */
	bool canonical;           /* addresses are sign-extended */
};

/* One address space: where its tables are, and what its unit thinks of their entries. */
struct pt_space {
	uint64_t top; /* GPA of the first table */
	unsigned levels, width;
	/* Bits that must be 0, by level; [1]: of leaves. A level without leaves has the `large` bit among those. */
	uint64_t reserved[PT_LEVELS + 1][2];
};

/* What was found. After an end other than PT_OK all but `level` is 0. */
struct pt_leaf {
	unsigned level; /* of the entry that ended the walk; 0: it did not begin */
	struct range iova;
	uint64_t gpa; /* of the first byte */
	/*
	 * The rights that may be kept: no VIOMMU_WRITE before the leaf is marked as dirty. So a write that finds only
	 * VIOMMU_READ in a cache must walk again before it faults.
	 */
	unsigned access;
};

/*
 * The last table of a walk, so that its neighbours need not begin at the top. Good for as long as the caller need not
 * see an invalidation of the entries above it: for one section. All zero: none.
 */
struct pt_cursor {
	uint64_t iova; /* above the bits that this table translates */
	uint8_t *table;
	unsigned access; /* what the entries above it allow */
};

#define PT_INLINE static inline __attribute__((always_inline))

/* A walk that is under way. */
struct pt_step {
	unsigned level, wanted, access;
	uint8_t *slot;
	uint64_t entry;
	bool leaf;
};

PT_INLINE unsigned pt_shift(const struct pt_format *format, unsigned level)
{
	return format->page_shift + format->index_bits * (level - 1);
}

PT_INLINE uint64_t pt_index(const struct pt_format *format, unsigned level, uint64_t iova)
{
	return iova >> pt_shift(format, level) & ((1u << format->index_bits) - 1);
}

PT_INLINE enum pt_end pt_range_check(const struct pt_format *format, const struct pt_space *space, uint64_t iova)
{
	unsigned above = 64 - space->width;

	if (!format->canonical)
		return iova >> space->width ? PT_BEYOND_WIDTH : PT_OK;
	return (uint64_t)((int64_t)(iova << above) >> above) == iova ? PT_OK : PT_NOT_CANONICAL;
}

PT_INLINE unsigned pt_rights(const struct pt_format *format, uint64_t entry)
{
	return entry >> format->rights_shift & (VIOMMU_READ | VIOMMU_WRITE);
}

/* The order is VT-d's; other bits of an entry that is not present mean nothing. */
PT_INLINE enum pt_end pt_judge(const struct pt_format *format, const struct pt_space *space, struct pt_step *step)
{
	uint64_t entry = step->entry;
	unsigned rights = pt_rights(format, entry), missing = step->wanted & ~rights;

	if (!(entry & format->present))
		return PT_NOT_PRESENT;
	if (format->user && !(entry & format->user))
		return PT_NOT_USER;
	if (__builtin_expect(missing != 0, 0))
		return missing & VIOMMU_WRITE ? PT_NO_WRITE : PT_NO_READ;
	step->leaf = step->level == 1 || entry & format->large;
	if (__builtin_expect((entry & space->reserved[step->level][step->leaf]) != 0, 0))
		return PT_RESERVED;
	step->access &= rights;
	return PT_OK;
}

/* The marks that this access still has to leave in the entry. */
PT_INLINE uint64_t pt_marks(const struct pt_format *format, const struct pt_step *step)
{
	uint64_t marks = format->accessed;

	if (step->leaf && step->wanted & VIOMMU_WRITE)
		marks |= format->dirty;
	return marks & ~step->entry;
}

/*
 * One entry. Where it must be marked and has changed meanwhile, it is looked at anew; a guest cannot keep us at that
 * for ever.
 */
PT_INLINE enum pt_end pt_enter(const struct pt_format *format, const struct pt_space *space, struct pt_step *step)
{
	enum { TRIES = 64 };
	unsigned access = step->access;

	step->entry = pt_load_le64(step->slot);
	for (unsigned tries = 0; tries < TRIES; tries++) {
		step->access = access;
		enum pt_end end = pt_judge(format, space, step);
		uint64_t marks = end ? 0 : pt_marks(format, step);

		if (!marks)
			return end;
		uint64_t marked = step->entry | marks;

		if (pt_replace_le64(step->slot, &step->entry, marked)) {
			step->entry = marked;
			return PT_OK;
		}
	}
	return PT_BUSY;
}

PT_INLINE void pt_found(const struct pt_format *format, const struct pt_step *step, uint64_t iova, struct pt_leaf *leaf)
{
	uint64_t mask = (1ull << pt_shift(format, step->level)) - 1;

	leaf->iova = (struct range){iova & ~mask, iova | mask};
	leaf->gpa = step->entry & format->address & ~mask;
	leaf->access = step->access;
	if (format->dirty && !(step->entry & format->dirty))
		leaf->access &= ~(unsigned)VIOMMU_WRITE;
}

/* Remember the last table, if all of it is memory. */
PT_INLINE void pt_cursor_set(const struct pt_format *format, struct pt_cursor *cursor, const struct pt_memory *memory,
			     const struct pt_step *step, uint64_t iova)
{
	uint64_t offset = pt_index(format, 1, iova) * sizeof(uint64_t), size = sizeof(uint64_t) << format->index_bits;
	uint64_t before = (uint64_t)(step->slot - memory->host), behind = memory->last - memory->first - before;

	if (before < offset || behind < size - offset - 1)
		return;
	cursor->iova = iova >> pt_shift(format, 2);
	cursor->table = step->slot - offset;
	cursor->access = step->access;
}

/* Begin at the last table, if it is this address's and nothing above it forbids the access. */
PT_INLINE bool pt_cursor_get(const struct pt_format *format, const struct pt_cursor *cursor, uint64_t iova,
			     struct pt_step *step)
{
	if (!cursor->table || cursor->iova != iova >> pt_shift(format, 2) || step->wanted & ~cursor->access)
		return false;
	step->level = 1;
	step->access = cursor->access;
	step->slot = cursor->table + pt_index(format, 1, iova) * sizeof(uint64_t);
	return true;
}

/* From the top to the leaf. */
PT_INLINE enum pt_end pt_descend(const struct pt_format *format, const struct pt_space *space, struct pt_memory *memory,
				 uint64_t iova, struct pt_cursor *cursor, struct pt_step *step)
{
	uint64_t table = space->top;

	for (step->level = space->levels;; step->level--) { /* level 1 has leaves only, so this ends there */
		step->slot = pt_memory_at(memory, table + pt_index(format, step->level, iova) * sizeof(uint64_t));
		if (__builtin_expect(!step->slot, 0))
			return step->level == space->levels ? PT_TOP_UNREADABLE : PT_UNREADABLE;
		if (step->level == 1 && cursor)
			pt_cursor_set(format, cursor, memory, step, iova);
		enum pt_end end = pt_enter(format, space, step);

		if (end || step->leaf)
			return end;
		table = step->entry & format->address;
	}
}

/*
 * Find the leaf of an address.
 * @access: what it must allow, VIOMMU_READ and VIOMMU_WRITE; 0: nothing, to see what it allows
 * @cursor: may be NULL
 */
PT_INLINE enum pt_end pt_walk(const struct pt_format *format, const struct pt_space *space, struct pt_memory *memory,
			      uint64_t iova, unsigned access, struct pt_cursor *cursor, struct pt_leaf *leaf)
{
	struct pt_step step = {.wanted = access, .access = VIOMMU_READ | VIOMMU_WRITE};
	enum pt_end end = pt_range_check(format, space, iova);

	*leaf = (struct pt_leaf){0};
	if (__builtin_expect(end != PT_OK, 0))
		return end;
	if (cursor && pt_cursor_get(format, cursor, iova, &step))
		end = pt_enter(format, space, &step);
	else
		end = pt_descend(format, space, memory, iova, cursor, &step);
	leaf->level = step.level;
	if (end == PT_OK)
		pt_found(format, &step, iova, leaf);
	return end;
}

#endif
