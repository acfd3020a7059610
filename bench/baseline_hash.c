/* SPDX-License-Identifier: BSD-2-Clause */
/* GLib's hash table under a mutex, by the first address of a page: only pages can be stored. */
#include <stdlib.h>

#include "bench/baseline_glib.h"
#include "bench/bench.h"

static void *hash_create(void)
{
	struct baseline_glib_store *mine = baseline_glib_create();

	if (!mine)
		return NULL;
	mine->hash = mine->glib->hash_table_new_full(mine->glib->int64_hash, mine->glib->int64_equal, NULL, free);
	return mine;
}

static void hash_destroy(void *store)
{
	struct baseline_glib_store *mine = store;

	mine->glib->hash_table_destroy(mine->hash);
	baseline_glib_destroy(mine);
}

static void hash_map(void *store, const struct baseline_mapping *mapping)
{
	struct baseline_glib_store *mine = store;
	struct baseline_mapping *new = baseline_copy(mapping);

	pthread_mutex_lock(&mine->mutex);
	mine->glib->hash_table_insert(mine->hash, &new->first, new);
	pthread_mutex_unlock(&mine->mutex);
}

static void hash_unmap(void *store, uint64_t first, uint64_t last)
{
	struct baseline_glib_store *mine = store;

	(void)last;
	pthread_mutex_lock(&mine->mutex);
	mine->glib->hash_table_remove(mine->hash, &first);
	pthread_mutex_unlock(&mine->mutex);
}

static bool hash_find(void *store, uint64_t iova, struct baseline_mapping *out)
{
	struct baseline_glib_store *mine = store;
	const uint64_t page = iova & ~(uint64_t)(BENCH_PAGE - 1);
	const struct baseline_mapping *found;

	pthread_mutex_lock(&mine->mutex);
	found = mine->glib->hash_table_lookup(mine->hash, &page);
	if (found)
		*out = *found;
	pthread_mutex_unlock(&mine->mutex);
	return found;
}

const struct baseline_ops baseline_hash = {
	.name = "ghash-mutex",
	.most = UINT64_MAX,
	.slower = 4,
	.create = hash_create,
	.destroy = hash_destroy,
	.map = hash_map,
	.unmap = hash_unmap,
	.find = hash_find,
};
