/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A balanced tree of intervals, each node with the last address below it, as Linux keeps the IOTLB of vhost: sorted by
 * the first address, and searched as there. It has no lock, because vhost holds that of the queue for a whole burst.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/baseline.h"
#include "bench/bench.h"

enum { LEFT, RIGHT, SIDES };

struct node {
	struct node *child[SIDES];
	struct baseline_mapping mapping;
	uint64_t last; /* of all mappings from here down */
	int height;
};

struct tree {
	struct node *root;
};

static void *interval_create(void)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	bench_must(tree ? 0 : -ENOMEM);
	return tree;
}

static void nodes_free(struct node *node)
{
	if (!node)
		return;
	nodes_free(node->child[LEFT]);
	nodes_free(node->child[RIGHT]);
	free(node);
}

static void interval_destroy(void *store)
{
	struct tree *tree = store;

	nodes_free(tree->root);
	free(tree);
}

static int height(const struct node *node)
{
	return node ? node->height : 0;
}

static struct node *update(struct node *node)
{
	node->height = 0;
	node->last = node->mapping.last;
	for (unsigned side = 0; side < SIDES; side++) {
		const struct node *child = node->child[side];

		if (height(child) > node->height)
			node->height = child->height;
		if (child && child->last > node->last)
			node->last = child->last;
	}
	node->height++;
	return node;
}

/* The child of this side takes the node's place. */
static struct node *rotate(struct node *node, unsigned side)
{
	struct node *top = node->child[side];

	node->child[side] = top->child[!side];
	top->child[!side] = update(node);
	return update(top);
}

static struct node *balance(struct node *node)
{
	for (unsigned side = 0; side < SIDES; side++) {
		struct node *high = node->child[side];

		if (height(high) <= height(node->child[!side]) + 1)
			continue;
		if (height(high->child[!side]) > height(high->child[side]))
			node->child[side] = rotate(high, !side);
		return rotate(node, side);
	}
	return update(node);
}

static struct node *insert(struct node *node, struct node *new)
{
	if (!node)
		return update(new);
	unsigned side = new->mapping.first > node->mapping.first;

	node->child[side] = insert(node->child[side], new);
	return balance(node);
}

static struct node *take_first(struct node *node, struct node **first)
{
	if (!node->child[LEFT]) {
		*first = node;
		return node->child[RIGHT];
	}
	node->child[LEFT] = take_first(node->child[LEFT], first);
	return balance(node);
}

static struct node *take_out(struct node *node, uint64_t first)
{
	struct node *next;

	if (!node)
		return NULL;
	if (first != node->mapping.first) {
		unsigned side = first > node->mapping.first;

		node->child[side] = take_out(node->child[side], first);
		return balance(node);
	}
	if (!node->child[RIGHT]) {
		next = node->child[LEFT];
	} else {
		struct node *right = take_first(node->child[RIGHT], &next);

		next->child[LEFT] = node->child[LEFT];
		next->child[RIGHT] = right;
		next = balance(next);
	}
	free(node);
	return next;
}

static void interval_map(void *store, const struct baseline_mapping *mapping)
{
	struct tree *tree = store;
	struct node *node = calloc(1, sizeof(*node));

	bench_must(node ? 0 : -ENOMEM);
	node->mapping = *mapping;
	tree->root = insert(tree->root, node);
}

static void interval_unmap(void *store, uint64_t first, uint64_t last)
{
	struct tree *tree = store;

	(void)last;
	tree->root = take_out(tree->root, first);
}

static bool interval_find(void *store, uint64_t iova, struct baseline_mapping *out)
{
	const struct tree *tree = store;
	const struct node *node = tree->root;

	while (node) {
		const struct node *left = node->child[LEFT];

		if (left && left->last >= iova) {
			node = left;
		} else if (node->mapping.first > iova) {
			return false;
		} else if (iova <= node->mapping.last) {
			*out = node->mapping;
			return true;
		} else {
			node = node->child[RIGHT];
		}
	}
	return false;
}

const struct baseline_ops baseline_interval = {
	.name = "interval-tree",
	.most = UINT64_MAX,
	.slower = 4,
	.create = interval_create,
	.destroy = interval_destroy,
	.map = interval_map,
	.unmap = interval_unmap,
	.find = interval_find,
};
