/* SPDX-License-Identifier: BSD-2-Clause */
/* The writers of struct table. Ranges inside a node are relative to its first page. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/table.h"

enum { SPARE_MAX = 16 }; /* empty nodes that a table keeps for its next mappings */

static uint64_t slot_pages(unsigned level)
{
	return 1ull << (TABLE_BITS * level);
}

static bool fits(uint64_t page, unsigned level)
{
	return !(page >> (TABLE_BITS * (level + 1)));
}

static struct table_node *root_node(uintptr_t root)
{
	return (struct table_node *)(root & ~(uintptr_t)7);
}

static uintptr_t root_get(const struct table *table)
{
	return atomic_load_explicit(&table->root, memory_order_relaxed);
}

static void root_publish(struct table *table, struct table_node *node, unsigned level)
{
	/* Release: partner of the acquire in table_find(). */
	atomic_store_explicit(&table->root, (uintptr_t)node | level, memory_order_release);
}

static uint64_t slot_get(const struct table_node *node, unsigned index)
{
	return atomic_load_explicit(&node->slot[index], memory_order_relaxed);
}

static uint64_t child_word(const struct table_node *node)
{
	return (uintptr_t)node->slot;
}

/* @ends: LEAF_FIRST, LEAF_LAST */
static uint64_t leaf_word(unsigned level, uint64_t gpa, unsigned access, unsigned ends)
{
	return gpa | access | ends | LEAF | (level || access & LEAF_MMIO ? 0 : access << LEAF_PAGE_SHIFT);
}

/* Change a slot and keep count. */
static void slot_publish(struct table_node *node, unsigned index, uint64_t word)
{
	node->used += !slot_get(node, index);
	node->used -= !word;
	/* Release: partner of the acquire in table_find(). */
	atomic_store_explicit(&node->slot[index], word, memory_order_release);
}

/* The part of `r` that lies in slot `index`, relative to that slot. */
static struct range clip(struct range r, unsigned index, unsigned level)
{
	uint64_t first = index * slot_pages(level), last = first + slot_pages(level) - 1;

	return (struct range){(r.first > first ? r.first : first) - first, (r.last < last ? r.last : last) - first};
}

static bool covers_slot(struct range clipped, unsigned level)
{
	return clipped.first == 0 && clipped.last == slot_pages(level) - 1;
}

void table_init(struct table *table, uint64_t limit)
{
	*table = (struct table){.limit = limit};
}

static int spare_add(struct table *table)
{
	if (table->bytes + sizeof(struct table_node) > table->limit)
		return -ENOSPC;
	struct table_node *node = aligned_alloc(_Alignof(struct table_node), sizeof(*node));

	if (!node)
		return -ENOMEM;
	memset(node, 0, sizeof(*node));
	node->next = table->spare;
	table->spare = node;
	table->spare_count++;
	table->bytes += sizeof(*node);
	return 0;
}

static int spare_reserve(struct table *table, unsigned count)
{
	int err = 0;

	while (!err && table->spare_count < count)
		err = spare_add(table);
	return err;
}

static struct table_node *spare_take(struct table *table)
{
	struct table_node *node = table->spare;

	table->spare = node->next;
	table->spare_count--;
	return node;
}

static void spare_trim(struct table *table, unsigned keep)
{
	while (table->spare_count > keep) {
		free(spare_take(table));
		table->bytes -= sizeof(struct table_node);
	}
}

static void retire(struct table_retired *retired, struct table_node *node)
{
	node->next = retired->head;
	retired->head = node;
}

void table_recycle(struct table *table, struct table_retired *retired)
{
	while (retired->head) {
		struct table_node *node = retired->head;

		retired->head = node->next;
		if (node->used) /* a root that was taken off still points to its child, for its readers */
			slot_publish(node, 0, 0);
		node->next = table->spare;
		table->spare = node;
		table->spare_count++;
	}
	spare_trim(table, SPARE_MAX);
}

/* True: something is mapped in this range of the node. */
static bool any_mapped(const struct table_node *node, unsigned level, struct range r)
{
	for (unsigned i = table_slot(r.first, level); i <= table_slot(r.last, level); i++) {
		uint64_t word = slot_get(node, i);
		struct range part = clip(r, i, level);

		if (!word)
			continue;
		if (word & LEAF || covers_slot(part, level) || any_mapped(table_child(word), level - 1, part))
			return true;
	}
	return false;
}

/* How many nodes are missing below (and, where node is NULL, at) this level to map the range. At most two a level. */
static unsigned nodes_missing(const struct table_node *node, unsigned level, struct range r)
{
	unsigned first = table_slot(r.first, level), last = table_slot(r.last, level), count = node ? 0 : 1;

	for (unsigned i = first; level && i <= last; i = i < last ? last : last + 1) {
		struct range part = clip(r, i, level);

		if (!covers_slot(part, level))
			count += nodes_missing(node ? table_child(slot_get(node, i)) : NULL, level - 1, part);
	}
	return count;
}

struct fill {
	struct table *table;
	uint64_t gpa; /* of page 0 of the current node; may be "negative" and wrap back */
	unsigned access;
	struct range all; /* the whole mapping, relative to the current node */
};

static void fill_node(struct table_node *node, unsigned level, struct range r, struct fill fill)
{
	for (unsigned i = table_slot(r.first, level); i <= table_slot(r.last, level); i++) {
		uint64_t base = i * slot_pages(level);
		struct range part = clip(r, i, level);
		uint64_t gpa = fill.gpa + (base << TABLE_PAGE_SHIFT);

		if (covers_slot(part, level)) {
			unsigned ends = (base == fill.all.first ? LEAF_FIRST : 0) |
					(base + part.last == fill.all.last ? LEAF_LAST : 0);

			slot_publish(node, i, leaf_word(level, gpa, fill.access, ends));
			continue;
		}
		struct fill below = {fill.table, gpa, fill.access, {fill.all.first - base, fill.all.last - base}};
		struct table_node *child = table_child(slot_get(node, i));

		if (child) {
			fill_node(child, level - 1, part, below);
			continue;
		}
		child = spare_take(fill.table);
		fill_node(child, level - 1, part, below);
		slot_publish(node, i, child_word(child));
	}
}

/* How many roots must be put on top so that the tree reaches this page. */
static unsigned roots_missing(const struct table *table, uint64_t page)
{
	uintptr_t root = root_get(table);
	unsigned level = root & 7, count = 0;

	while (root && !fits(page, level + count))
		count++;
	return count;
}

static void grow(struct table *table, unsigned count)
{
	uintptr_t root = root_get(table);

	for (unsigned level = (root & 7) + 1; count; count--, level++) {
		struct table_node *node = spare_take(table);

		slot_publish(node, 0, child_word(root_node(root_get(table))));
		root_publish(table, node, level);
	}
}

/* The first mapping: a new root of the height that it needs, filled before readers see it. */
static int map_first(struct table *table, struct range pages, struct fill fill)
{
	unsigned level = 0;

	while (!fits(pages.last, level))
		level++;
	int err = spare_reserve(table, nodes_missing(NULL, level, pages));

	if (err)
		return err;
	struct table_node *node = spare_take(table);

	fill_node(node, level, pages, fill);
	root_publish(table, node, level);
	table->mappings++;
	return 0;
}

/* The node at level 0 that a page's slot lies in, or NULL where there is none yet, or a larger leaf. */
static inline struct table_node *bottom_node(const struct table *table, uint64_t page)
{
	const uintptr_t root = root_get(table);
	struct table_node *node = root_node(root);

	if (!root || !fits(page, root & 7))
		return NULL;
	for (unsigned level = root & 7; level; level--) {
		uint64_t word = slot_get(node, table_slot(page, level));

		if (!(word & TABLE_NODE))
			return NULL;
		node = table_child(word);
	}
	return node;
}

/* The common case: one page, and its node is there. */
static inline bool map_one(struct table *table, uint64_t page, uint64_t gpa, unsigned access)
{
	struct table_node *node = bottom_node(table, page);
	unsigned index = table_slot(page, 0);

	if (!node || slot_get(node, index))
		return false;
	node->used++;
	/* Release: as in slot_publish(). */
	atomic_store_explicit(&node->slot[index], leaf_word(0, gpa, access, LEAF_FIRST | LEAF_LAST),
			      memory_order_release);
	table->mappings++;
	return true;
}

static __attribute__((noinline)) int map_range(struct table *table, struct range pages, uint64_t gpa, unsigned access)
{
	struct fill fill = {table, gpa - (pages.first << TABLE_PAGE_SHIFT), access, pages};
	uintptr_t root = root_get(table);

	if (!root)
		return map_first(table, pages, fill);

	unsigned level = root & 7, roots = roots_missing(table, pages.last);
	uint64_t reach = slot_pages(level + 1) - 1;
	unsigned missing = roots;

	if (pages.first <= reach) {
		struct range inside = {pages.first, pages.last < reach ? pages.last : reach};

		if (any_mapped(root_node(root), level, inside))
			return -EEXIST;
		missing += nodes_missing(root_node(root), level, inside);
	}
	if (roots) /* what lies beyond the present root hangs from new ones, along one or two empty paths */
		missing += 2 * (level + roots);
	int err = spare_reserve(table, missing);

	if (err)
		return err;
	grow(table, roots);
	fill_node(root_node(root_get(table)), level + roots, pages, fill);
	table->mappings++;
	return 0;
}

int table_map(struct table *table, struct range pages, uint64_t gpa, unsigned access)
{
	if (pages.first == pages.last && map_one(table, pages.first, gpa, access))
		return 0;
	return map_range(table, pages, gpa, access);
}

/* The leaf of a page with its place: first page and size. */
static bool leaf_of(const struct table *table, uint64_t page, struct range *leaf, uint64_t *word)
{
	uintptr_t root = root_get(table);
	const struct table_node *node = root_node(root);

	if (!root || !fits(page, root & 7))
		return false;
	for (unsigned level = root & 7;; level--) {
		*word = slot_get(node, table_slot(page, level));
		leaf->first = page & ~(slot_pages(level) - 1);
		leaf->last = leaf->first + slot_pages(level) - 1;
		if (!*word || *word & LEAF)
			return *word;
		node = table_child(*word);
	}
}

bool table_unmap_one(struct table *table, uint64_t page)
{
	enum { WHOLE = LEAF_FIRST | LEAF_LAST | LEAF };
	struct table_node *node = bottom_node(table, page);
	unsigned index = table_slot(page, 0);

	if (!node || node->used == 1 || (slot_get(node, index) & WHOLE) != WHOLE)
		return false;
	node->used--;
	/* Release: as in slot_publish(). */
	atomic_store_explicit(&node->slot[index], 0, memory_order_release);
	table->mappings--;
	return true;
}

bool table_splits(const struct table *table, struct range pages)
{
	struct range leaf;
	uint64_t word;

	if (leaf_of(table, pages.first, &leaf, &word) && (leaf.first != pages.first || !(word & LEAF_FIRST)))
		return true;
	return leaf_of(table, pages.last, &leaf, &word) && (leaf.last != pages.last || !(word & LEAF_LAST));
}

static uint64_t clear_node(struct table_node *node, unsigned level, struct range r, struct table_retired *retired)
{
	uint64_t count = 0;

	for (unsigned i = table_slot(r.first, level); i <= table_slot(r.last, level); i++) {
		uint64_t word = slot_get(node, i);

		if (!word)
			continue;
		if (word & LEAF) {
			count += !!(word & LEAF_FIRST);
			slot_publish(node, i, 0);
			continue;
		}
		count += clear_node(table_child(word), level - 1, clip(r, i, level), retired);
		if (!table_child(word)->used) {
			slot_publish(node, i, 0);
			retire(retired, table_child(word));
		}
	}
	return count;
}

/* Take roots off that are empty, or have nothing but their first child. */
static void shrink(struct table *table, struct table_retired *retired)
{
	for (;;) {
		uintptr_t root = root_get(table);
		struct table_node *node = root_node(root);
		uint64_t child = slot_get(node, 0);

		if (!node->used) {
			root_publish(table, NULL, 0);
			retire(retired, node);
			return;
		}
		if (node->used > 1 || !child || child & LEAF)
			return;
		root_publish(table, table_child(child), (root & 7) - 1);
		retire(retired, node);
	}
}

uint64_t table_unmap(struct table *table, struct range pages, struct table_retired *retired)
{
	uintptr_t root = root_get(table);

	if (!root || !fits(pages.first, root & 7))
		return 0;
	uint64_t reach = slot_pages((root & 7) + 1) - 1;

	if (pages.last > reach)
		pages.last = reach;
	uint64_t count = clear_node(root_node(root), root & 7, pages, retired);

	table->mappings -= count;
	shrink(table, retired);
	return count;
}

void table_replace(struct table *table, struct range pages, uint64_t gpa, unsigned access)
{
	uintptr_t root = root_get(table);
	unsigned level = root & 7;
	struct table_node *node = root_node(root);
	uint64_t word;

	for (;; level--) {
		word = slot_get(node, table_slot(pages.first, level));
		if (!word || word & LEAF)
			break;
		node = table_child(word);
	}
	if (word && slot_pages(level) == pages.last - pages.first + 1)
		slot_publish(node, table_slot(pages.first, level),
			     leaf_word(level, gpa, access, LEAF_FIRST | LEAF_LAST));
}

void table_evict(struct table *table, struct range pages, struct table_retired *retired)
{
	struct range leaf;
	uint64_t word;

	if (pages.first == pages.last && table_unmap_one(table, pages.first))
		return;
	if (leaf_of(table, pages.first, &leaf, &word))
		pages.first = leaf.first;
	if (leaf_of(table, pages.last, &leaf, &word))
		pages.last = leaf.last;
	table_unmap(table, pages, retired);
}

void table_fini(struct table *table)
{
	struct table_retired retired = {NULL};

	table_unmap(table, (struct range){0, UINT64_MAX >> TABLE_PAGE_SHIFT}, &retired);
	table_recycle(table, &retired);
	spare_trim(table, 0);
}

static bool next_below(const struct table_node *node, unsigned level, uint64_t base, uint64_t page, uint64_t *out)
{
	for (unsigned i = page > base ? table_slot(page, level) : 0; i < TABLE_SLOTS; i++) {
		uint64_t word = atomic_load_explicit(&node->slot[i], memory_order_acquire); /* as in table_find() */
		uint64_t at = base + ((uint64_t)i << (TABLE_BITS * level));

		if (word & LEAF) {
			*out = at > page ? at : page;
			return true;
		}
		if (word && next_below(table_child(word), level - 1, at, page, out))
			return true;
	}
	return false;
}

bool table_next(const struct table *table, uint64_t page, uint64_t *out)
{
	uintptr_t root = atomic_load_explicit(&table->root, memory_order_acquire);
	unsigned level = root & 7;

	if (!root || page >> (TABLE_BITS * (level + 1)))
		return false;
	return next_below(table_child(root - level), level, 0, page, out);
}

bool table_mapping_next(const struct table *table, uint64_t page, struct table_mapping *out)
{
	struct range leaf;
	uint64_t word;

	if (!table_next(table, page, &page) || !leaf_of(table, page, &leaf, &word))
		return false;
	while (!(word & LEAF_FIRST))
		leaf_of(table, leaf.first - 1, &leaf, &word);
	*out = (struct table_mapping){.pages = leaf, .gpa = word & ~(uint64_t)LEAF_FLAGS, .access = word & LEAF_ACCESS};
	while (!(word & LEAF_LAST))
		leaf_of(table, leaf.last + 1, &leaf, &word);
	out->pages.last = leaf.last;
	return true;
}

bool table_touched(const struct table *table, struct range *pages)
{
	struct range leaf;
	uint64_t word, next;

	if (!table_next(table, pages->first, &next) || next > pages->last)
		return false;
	if (leaf_of(table, pages->first, &leaf, &word))
		pages->first = leaf.first;
	if (leaf_of(table, pages->last, &leaf, &word))
		pages->last = leaf.last;
	return true;
}
