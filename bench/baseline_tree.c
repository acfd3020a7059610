/* SPDX-License-Identifier: BSD-2-Clause */
/* GLib's balanced tree under a mutex. */
#include <stdlib.h>

#include "bench/baseline_glib.h"

/* What overlaps is equal: so an address finds its mapping, and a mapping that overlaps another is noticed. */
static int compare(const void *a, const void *b, void *unused)
{
	const struct baseline_mapping *one = a, *two = b;

	(void)unused;
	if (one->last < two->first)
		return -1;
	return one->first > two->last;
}

static void *tree_create(void)
{
	struct baseline_glib_store *mine = baseline_glib_create();

	if (!mine)
		return NULL;
	mine->tree = mine->glib->tree_new_full(compare, NULL, free, NULL);
	return mine;
}

static void tree_destroy(void *store)
{
	struct baseline_glib_store *mine = store;

	mine->glib->tree_destroy(mine->tree);
	baseline_glib_destroy(mine);
}

static void tree_map(void *store, const struct baseline_mapping *mapping)
{
	struct baseline_glib_store *mine = store;
	struct baseline_mapping *new = baseline_copy(mapping);

	pthread_mutex_lock(&mine->mutex);
	mine->glib->tree_insert(mine->tree, new, new);
	pthread_mutex_unlock(&mine->mutex);
}

static void tree_unmap(void *store, uint64_t first, uint64_t last)
{
	struct baseline_glib_store *mine = store;
	const struct baseline_mapping key = {.first = first, .last = last};

	pthread_mutex_lock(&mine->mutex);
	mine->glib->tree_remove(mine->tree, &key);
	pthread_mutex_unlock(&mine->mutex);
}

static bool tree_find(void *store, uint64_t iova, struct baseline_mapping *out)
{
	struct baseline_glib_store *mine = store;
	const struct baseline_mapping key = {.first = iova, .last = iova}, *found;

	pthread_mutex_lock(&mine->mutex);
	found = mine->glib->tree_lookup(mine->tree, &key);
	if (found)
		*out = *found;
	pthread_mutex_unlock(&mine->mutex);
	return found;
}

const struct baseline_ops baseline_tree = {
	.name = "gtree-mutex",
	.most = UINT64_MAX,
	.slower = 16,
	.create = tree_create,
	.destroy = tree_destroy,
	.map = tree_map,
	.unmap = tree_unmap,
	.find = tree_find,
};
