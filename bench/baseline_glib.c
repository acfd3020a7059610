/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/baseline_glib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "bench/bench.h"

static struct baseline_glib glib;

static bool load(void)
{
	void *library = dlopen("libglib-2.0.so.0", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return false;
#define LOAD(name) (*(void **)&glib.name = dlsym(library, "g_" #name))
	return LOAD(tree_new_full) && LOAD(tree_insert) && LOAD(tree_remove) && LOAD(tree_lookup) &&
	       LOAD(tree_destroy) && LOAD(hash_table_new_full) && LOAD(hash_table_insert) && LOAD(hash_table_remove) &&
	       LOAD(hash_table_lookup) && LOAD(hash_table_destroy) && LOAD(int64_hash) && LOAD(int64_equal);
#undef LOAD
}

const struct baseline_glib *baseline_glib(void)
{
	static int state; /* 0: not tried */

	if (!state)
		state = load() ? 1 : -1;
	return state > 0 ? &glib : NULL;
}

struct baseline_mapping *baseline_copy(const struct baseline_mapping *mapping)
{
	struct baseline_mapping *new = malloc(sizeof(*new));

	bench_must(new ? 0 : -ENOMEM);
	*new = *mapping;
	return new;
}

void *baseline_glib_create(void)
{
	struct baseline_glib_store *store;

	if (!baseline_glib())
		return NULL;
	store = calloc(1, sizeof(*store));
	bench_must(store ? -pthread_mutex_init(&store->mutex, NULL) : -ENOMEM);
	store->glib = baseline_glib();
	return store;
}

void baseline_glib_destroy(struct baseline_glib_store *store)
{
	pthread_mutex_destroy(&store->mutex);
	free(store);
}
