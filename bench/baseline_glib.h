/* SPDX-License-Identifier: BSD-2-Clause */
/* GLib, loaded when a benchmark wants it: the monitor, which is the same program, stays without it. */
#ifndef BENCH_BASELINE_GLIB_H
#define BENCH_BASELINE_GLIB_H

#include <glib.h>
#include <pthread.h>

#include "bench/baseline.h"

struct baseline_glib {
	__typeof__(g_tree_new_full) *tree_new_full;
	__typeof__(g_tree_insert) *tree_insert;
	__typeof__(g_tree_remove) *tree_remove;
	__typeof__(g_tree_lookup) *tree_lookup;
	__typeof__(g_tree_destroy) *tree_destroy;
	__typeof__(g_hash_table_new_full) *hash_table_new_full;
	__typeof__(g_hash_table_insert) *hash_table_insert;
	__typeof__(g_hash_table_remove) *hash_table_remove;
	__typeof__(g_hash_table_lookup) *hash_table_lookup;
	__typeof__(g_hash_table_destroy) *hash_table_destroy;
	__typeof__(g_int64_hash) *int64_hash;
	__typeof__(g_int64_equal) *int64_equal;
};

/* NULL where GLib is not installed. */
const struct baseline_glib *baseline_glib(void);

struct baseline_glib_store {
	const struct baseline_glib *glib;
	pthread_mutex_t mutex;
	union {
		GTree *tree;
		GHashTable *hash;
	};
};

/* With its mutex, and nothing in it. NULL where GLib is not installed. */
void *baseline_glib_create(void);
void baseline_glib_destroy(struct baseline_glib_store *store);

/* A copy on the heap. */
struct baseline_mapping *baseline_copy(const struct baseline_mapping *mapping);

#endif
