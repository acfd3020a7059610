/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mappings of one domain: a radix tree over IOVA pages that readers walk without a lock.
 *
 * A node has 512 slots; a slot of level n stands for 512^n pages. A slot is one 64-bit word: nothing, the slots of a
 * child node, or a leaf: guest address and rights of all its pages. A mapping is spread over the largest slots that
 * fit, so one aligned 2 MiB page, or 1 GiB, or 2^57 bytes, is one leaf, and 8 bytes are all that a 4 KiB mapping takes.
 * The leaves at the ends of a mapping are marked: neighbours never melt together, and a range that would cut a mapping
 * is seen. A node without leaves below it does not exist.
 *
 * Pages are 4 KiB; page numbers have 52 bits; ranges are closed.
 *
 * Writers are serialised by the caller (the domain's lock). Readers need an open section: a node that is taken out goes
 * to the caller's list and may be used again only when the invalidation that it belongs to has completed.
 */
#ifndef LIB_CORE_TABLE_H
#define LIB_CORE_TABLE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/util/lines.h"
#include "lib/util/range.h"

enum {
	TABLE_PAGE_SHIFT = 12,
	TABLE_BITS = 9,
	TABLE_SLOTS = 1 << TABLE_BITS,
	TABLE_LEVELS = 6,
};

/* Flag bits of a leaf; READ, WRITE and MMIO are those of enum viommu_access. */
enum {
	LEAF_ACCESS = 7,
	LEAF_MMIO = 1 << 2,
	LEAF_FIRST = 1 << 3, /* a mapping starts with this leaf */
	LEAF_LAST = 1 << 4,  /* a mapping ends with it */
	LEAF = 1 << 5,       /* never set in a node's address */
	/* READ and WRITE once more, this far left, of one page of memory: viommu_section_walk() looks at them alone */
	LEAF_PAGE_SHIFT = 7,
	LEAF_FLAGS = (1 << TABLE_PAGE_SHIFT) - 1,
};

/* Set in a word that is the address of a node's slots, and in no other. */
enum { TABLE_NODE = 1 << 6 };

struct table_node {
	unsigned used;           /* slots that are not empty; writers only */
	struct table_node *next; /* in a list of nodes that are out of the tree */
	_Atomic uint64_t slot[TABLE_SLOTS] __attribute__((aligned(TABLE_NODE)));
} __attribute__((aligned(2 * TABLE_NODE)));

static_assert(offsetof(struct table_node, slot) == TABLE_NODE, "the address of the slots has this bit");

/* Nodes taken out of a tree, waiting for their readers. */
struct table_retired {
	struct table_node *head;
};

struct table {
	_Atomic uintptr_t root; /* node, level in the low bits; 0: no mapping */
	/* All below is for those who change the table. */
	LINE_ALIGNED struct table_node *spare;
	unsigned spare_count;
	uint64_t bytes, limit;
	uint64_t mappings;
};

/* What a page is mapped to, and how many pages run on from it inside the same leaf. */
struct table_hit {
	uint64_t gpa;
	uint64_t pages;
	unsigned access;
};

void table_init(struct table *table, uint64_t limit);

/* Free everything. No reader may be left. */
void table_fini(struct table *table);

/*
 * Add a mapping. 0; -EEXIST: overlaps one; -ENOSPC: limit; -ENOMEM. On an error nothing has changed.
 * @gpa: page-aligned guest address of the first page; access: LEAF_ACCESS bits
 */
int table_map(struct table *table, struct range pages, uint64_t gpa, unsigned access);

/* True: removing this range would cut a mapping in two. */
bool table_splits(const struct table *table, struct range pages);

/* Remove all mappings in a range that splits none; returns how many. Nodes that become empty go to `retired`. */
uint64_t table_unmap(struct table *table, struct range pages, struct table_retired *retired);

/* The common case of the two above: one page that is a mapping of its own, and its node stays. False: not that case. */
bool table_unmap_one(struct table *table, uint64_t page);

/* Caches: give the leaf that takes up exactly this range another target. Nothing happens where there is none. */
void table_replace(struct table *table, struct range pages, uint64_t gpa, unsigned access);

/* Caches, whose mappings are a leaf each: remove all that touch the range. */
void table_evict(struct table *table, struct range pages, struct table_retired *retired);

/* The first page, from this one on, that has a leaf. Reader side. False: none. */
bool table_next(const struct table *table, uint64_t page, uint64_t *out);

/* A mapping as it was made. */
struct table_mapping {
	struct range pages;
	uint64_t gpa; /* of the first page */
	unsigned access;
};

/* The mapping that a page lies in, or the first one behind it. Writer side. False: there is none. */
bool table_mapping_next(const struct table *table, uint64_t page, struct table_mapping *out);

/* True: a leaf lies in this range. Extends the range to the ends of leaves that lie in it partly. Writer side. */
bool table_touched(const struct table *table, struct range *pages);

/* Nodes whose readers are gone may be used again. */
void table_recycle(struct table *table, struct table_retired *retired);

/* The pages that these bytes touch. */
static inline struct range table_pages(struct range bytes)
{
	return (struct range){bytes.first >> TABLE_PAGE_SHIFT, bytes.last >> TABLE_PAGE_SHIFT};
}

/* The last byte of a page. */
static inline uint64_t table_last_byte(uint64_t page)
{
	return (page << TABLE_PAGE_SHIFT) | ((1u << TABLE_PAGE_SHIFT) - 1);
}

/* NULL: there is none. */
static inline struct table_node *table_child(uint64_t word)
{
	return (struct table_node *)(uintptr_t)(word & ~(uint64_t)TABLE_NODE);
}

static inline unsigned table_slot(uint64_t page, unsigned level)
{
	return (page >> (TABLE_BITS * level)) & (TABLE_SLOTS - 1); /* NOLINT: levels end at 0, whose slots are leaves */
}

/* Find a page's leaf. Reader side, the hot path. */
static inline bool table_find(const struct table *table, uint64_t page, struct table_hit *hit)
{
	/*
	 * Acquire: partner of the releases in root_publish() and slot_publish(); a node's contents are there before its
	 * address is.
	 */
	uintptr_t root = atomic_load_explicit(&table->root, memory_order_acquire);
	unsigned level = root & 7;
	uint64_t word = (root - level) + TABLE_NODE;

	if (!root || page >> (TABLE_BITS * (level + 1)))
		return false;
	for (;; level--) { /* level 0 has no children, so this ends there */
		const _Atomic uint64_t *slot = (const _Atomic uint64_t *)(uintptr_t)word;

		word = atomic_load_explicit(&slot[table_slot(page, level)], memory_order_acquire);
		if (!(word & TABLE_NODE))
			break;
	}
	if (!word)
		return false;
	uint64_t size = 1ull << (TABLE_BITS * level), offset = page & (size - 1);

	hit->gpa = (word & ~(uint64_t)LEAF_FLAGS) + (offset << TABLE_PAGE_SHIFT);
	hit->pages = size - offset;
	hit->access = word & LEAF_ACCESS;
	return true;
}

#endif
