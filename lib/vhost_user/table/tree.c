/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/table/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a put leaves for the splitting of leaves, so that an unmap need not take its neighbours along. */
enum { SPLIT_RESERVE = 2 * SHARED_LEVELS };

int tree_init(struct tree *tree, struct shared_header *table, uint64_t bytes)
{
	*tree = (struct tree){.table = table, .count = (uint32_t)(bytes / SHARED_NODE), .fresh = 1};
	tree->spared = tree->count - 1;
	tree->nodes = calloc(tree->count, sizeof(*tree->nodes));
	return tree->nodes ? 0 : -ENOMEM;
}

void tree_fini(struct tree *tree)
{
	free(tree->nodes);
}

static struct shared_node *node_at(const struct tree *tree, uint32_t node)
{
	return (struct shared_node *)(void *)((uint8_t *)tree->table + (uint64_t)node * SHARED_NODE);
}

static _Atomic uint64_t *entry_at(const struct tree *tree, uint32_t node, unsigned index)
{
	return &node_at(tree, node)->entry[index];
}

static uint64_t node_word(uint32_t node)
{
	return (uint64_t)node << SHARED_PAGE_SHIFT;
}

static uint32_t word_node(uint64_t word)
{
	return (uint32_t)(word >> SHARED_PAGE_SHIFT);
}

/* Nobody else writes here, so our own reads need no order. */
static uint64_t read_entry(const struct tree *tree, uint32_t node, unsigned index)
{
	return atomic_load_explicit(entry_at(tree, node, index), memory_order_relaxed);
}

static uint64_t read_root(const struct tree *tree)
{
	return atomic_load_explicit(&tree->table->root, memory_order_relaxed);
}

static void write_root(struct tree *tree, uint64_t word)
{
	/* Release: as in publish(). */
	atomic_store_explicit(&tree->table->root, word, memory_order_release);
}

static inline void publish(struct tree *tree, uint32_t node, unsigned index, uint64_t word)
{
	if (!read_entry(tree, node, index))
		tree->nodes[node].used++;
	/* Release: partner of the acquires in view.c; a node is written before it is found. */
	atomic_store_explicit(entry_at(tree, node, index), word, memory_order_release);
}

static void empty(struct tree *tree, uint32_t node, unsigned index)
{
	/* Ordered before the new generation by its store, in writer.c. */
	atomic_store_explicit(entry_at(tree, node, index), 0, memory_order_relaxed);
	tree->nodes[node].used--;
}

/* An empty node; the caller has seen that there is one. */
static uint32_t take(struct tree *tree)
{
	uint32_t node = tree->free;

	tree->spared--;
	if (!node)
		return tree->fresh++;
	tree->free = tree->nodes[node].next;
	if (tree->nodes[node].dirty)
		memset((void *)node_at(tree, node), 0, SHARED_NODE); /* nobody else sees it */
	tree->nodes[node] = (struct tree_node){0};
	return node;
}

static void retire(struct tree *tree, uint32_t node, uint64_t generation)
{
	tree->nodes[node].dirty = tree->nodes[node].used != 0;
	tree->nodes[node].since = generation;
	tree->nodes[node].next = 0;
	if (tree->retired_first)
		tree->nodes[tree->retired_last].next = node;
	else
		tree->retired_first = node;
	tree->retired_last = node;
}

void tree_recycle(struct tree *tree, uint64_t oldest)
{
	uint32_t node;

	while ((node = tree->retired_first) && tree->nodes[node].since <= oldest) {
		tree->retired_first = tree->nodes[node].next;
		tree->nodes[node].next = tree->free;
		tree->free = node;
		tree->spared++;
	}
}

/* One leaf becomes 512 smaller ones that say the same. */
static uint32_t split(struct tree *tree, uint32_t node, unsigned index, unsigned level)
{
	uint64_t word = read_entry(tree, node, index);
	uint32_t child = take(tree);

	for (unsigned i = 0; i < SHARED_ENTRIES; i++)
		publish(tree, child, i, word + (i * shared_pages(level - 1) << SHARED_PAGE_SHIFT));
	publish(tree, node, index, node_word(child));
	return child;
}

static unsigned level_for(uint64_t page)
{
	unsigned level = 0;

	while (page >> (SHARED_BITS * (level + 1)))
		level++;
	return level;
}

/* The tree grows at the top: what it had is what the first entry of the new root stands for. */
static void grow(struct tree *tree, unsigned level)
{
	uint64_t root = read_root(tree);

	if (!root) {
		write_root(tree, node_word(take(tree)) | level);
		return;
	}
	while ((root & SHARED_ROOT_LEVEL) < level) {
		uint32_t node = take(tree);

		publish(tree, node, 0, root & ~(uint64_t)SHARED_FLAGS);
		root = node_word(node) | ((root & SHARED_ROOT_LEVEL) + 1);
		write_root(tree, root);
	}
}

/* The leaf of a page within a larger leaf. */
static uint64_t part(uint64_t leaf, uint64_t page, unsigned level)
{
	return leaf + ((page & (shared_pages(level) - 1)) << SHARED_PAGE_SHIFT);
}

static void put_leaf(struct tree *tree, uint32_t node, unsigned level, uint64_t page, uint64_t leaf)
{
	uint64_t word = read_entry(tree, node, shared_index(page, level));

	/* At the last level there are leaves alone. */
	if (!level || !word || word & SHARED_LEAF) {
		publish(tree, node, shared_index(page, level), leaf);
		return;
	}
	/* Something finer is there, which readers may be walking. */
	for (unsigned i = 0; i < SHARED_ENTRIES; i++) {
		uint64_t at = page + i * shared_pages(level - 1);

		put_leaf(tree, word_node(word), level - 1, at, part(leaf, at, level));
	}
}

/* From the root down to the leaf's level. */
static void put_below_root(struct tree *tree, uint64_t page, unsigned level, uint64_t leaf)
{
	uint32_t node = word_node(read_root(tree));
	unsigned at = read_root(tree) & SHARED_ROOT_LEVEL;

	for (; at > level; at--) {
		unsigned index = shared_index(page, at);
		uint64_t word = read_entry(tree, node, index);

		if (word & SHARED_LEAF) {
			if (part(word, page, at) == leaf)
				return;
			word = node_word(split(tree, node, index, at));
		} else if (!word) {
			word = node_word(take(tree));
			publish(tree, node, index, word);
		}
		node = word_node(word);
	}
	put_leaf(tree, node, level, page, leaf);
}

/* The node at level 0 that has a page's entry; 0: there is none. */
static inline uint32_t bottom_node(const struct tree *tree, uint64_t page)
{
	const uint64_t root = read_root(tree);
	unsigned level = root & SHARED_ROOT_LEVEL;
	uint32_t node = word_node(root);

	if (!root || page >> (SHARED_BITS * (level + 1)))
		return 0;
	for (; level; level--) {
		const uint64_t word = read_entry(tree, node, shared_index(page, level));

		if (!word || word & SHARED_LEAF)
			return 0;
		node = word_node(word);
	}
	return node;
}

/* The largest leaf that can begin at this page. */
static unsigned leaf_level(uint64_t page, uint64_t last)
{
	unsigned level = 0;

	while (level + 1 < SHARED_LEVELS && !(page & (shared_pages(level + 1) - 1)) &&
	       last - page >= shared_pages(level + 1) - 1)
		level++;
	return level;
}

static __attribute__((noinline)) int put_range(struct tree *tree, struct range pages, uint64_t gpa, unsigned access)
{
	for (uint64_t page = pages.first; page <= pages.last;) {
		unsigned level = leaf_level(page, pages.last), top = level_for(page);

		/* A root or two, a node of each level. */
		if (tree->spared < SPLIT_RESERVE + 2 * SHARED_LEVELS)
			return -ENOSPC;
		grow(tree, top > level ? top : level);
		put_below_root(tree, page, level,
			       (gpa + ((page - pages.first) << SHARED_PAGE_SHIFT)) | access | SHARED_LEAF);
		page += shared_pages(level);
	}
	return 0;
}

int tree_put(struct tree *tree, struct range pages, uint64_t gpa, unsigned access)
{
	/* The common case: one page, whose node is there. */
	const uint32_t node = pages.first == pages.last ? bottom_node(tree, pages.first) : 0;

	if (!node)
		return put_range(tree, pages, gpa, access);
	publish(tree, node, shared_index(pages.first, 0), gpa | access | SHARED_LEAF);
	return 0;
}

/* A node, and all below it. */
static void retire_all(struct tree *tree, uint32_t node, unsigned level, uint64_t generation)
{
	for (unsigned i = 0; level && i < SHARED_ENTRIES; i++) {
		uint64_t word = read_entry(tree, node, i);

		if (word && !(word & SHARED_LEAF))
			retire_all(tree, word_node(word), level - 1, generation);
	}
	retire(tree, node, generation);
}

static void clear_node(struct tree *tree, uint32_t node, unsigned level, uint64_t base, struct range pages,
		       uint64_t generation);

/* The pages of an entry, as far as they lie in the range. */
static void clear_entry(struct tree *tree, uint32_t node, unsigned level, struct range own, struct range pages,
			uint64_t generation)
{
	unsigned index = shared_index(own.first, level);
	uint64_t word = read_entry(tree, node, index);
	bool whole = range_contains(pages, own);
	uint32_t child = word_node(word);

	if (!word)
		return;
	if (word & SHARED_LEAF) {
		if (whole || !tree->spared) {
			empty(tree, node, index);
			return;
		}
		child = split(tree, node, index, level);
	}
	if (whole) {
		retire_all(tree, child, level - 1, generation);
		empty(tree, node, index);
		return;
	}
	clear_node(tree, child, level - 1, own.first, pages, generation);
	if (!tree->nodes[child].used) {
		retire(tree, child, generation);
		empty(tree, node, index);
	}
}

static void clear_node(struct tree *tree, uint32_t node, unsigned level, uint64_t base, struct range pages,
		       uint64_t generation)
{
	uint64_t size = shared_pages(level), last = base + size * (SHARED_ENTRIES - 1);

	if (pages.first > base)
		base = pages.first & ~(size - 1);
	for (uint64_t at = base; at <= last && at <= pages.last; at += size)
		clear_entry(tree, node, level, (struct range){at, at + size - 1}, pages, generation);
}

static __attribute__((noinline)) void clear_range(struct tree *tree, struct range pages, uint64_t generation)
{
	uint64_t root = read_root(tree);
	unsigned level = root & SHARED_ROOT_LEVEL;
	uint32_t node = word_node(root);

	if (!root)
		return;
	/* A leaf, or a table, need not begin where the range does: the root's pages are all that there are. */
	if (range_contains(pages, (struct range){0, shared_pages(level + 1) - 1})) {
		write_root(tree, 0);
		retire_all(tree, node, level, generation);
		return;
	}
	clear_node(tree, node, level, 0, pages, generation);
	if (!tree->nodes[node].used) {
		write_root(tree, 0);
		retire(tree, node, generation);
	}
}

void tree_clear(struct tree *tree, struct range pages, uint64_t generation)
{
	/* The common case: one page, whose node is there and has others. */
	const uint32_t node = pages.first == pages.last ? bottom_node(tree, pages.first) : 0;

	if (!node || tree->nodes[node].used == 1)
		clear_range(tree, pages, generation);
	else if (read_entry(tree, node, shared_index(pages.first, 0)))
		empty(tree, node, shared_index(pages.first, 0));
}
