/* SPDX-License-Identifier: BSD-2-Clause */
/* Other ways to store translations, as programs in the field do it, for comparison. */
#ifndef BENCH_BASELINE_H
#define BENCH_BASELINE_H

#include <stdbool.h>
#include <stdint.h>

struct baseline_mapping {
	uint64_t first, last; /* of IOVA */
	uint64_t gpa;
	unsigned access;
};

/* A store of mappings with its lock. Whoever finds a mapping gets a copy of it, made under the lock. */
struct baseline_ops {
	const char *name;
	uint64_t most;         /* mappings with which it still ends in our lifetime */
	uint64_t slower;       /* fewer rounds by this factor, for a store whose look-up is O(n) */
	void *(*create)(void); /* NULL: not to be had here */
	void (*destroy)(void *store);
	void (*map)(void *store, const struct baseline_mapping *mapping);
	void (*unmap)(void *store, uint64_t first, uint64_t last);
	bool (*find)(void *store, uint64_t iova, struct baseline_mapping *out);
};

extern const struct baseline_ops baseline_list, baseline_tree, baseline_hash, baseline_interval;

/* A store with mappings in it. */
struct baseline_run {
	const struct baseline_ops *ops;
	void *store;
	uint8_t *memory;
	uint64_t pages, heap; /* heap: bytes that the mappings took */
	volatile uint64_t sink;
};

/* The same mappings as those of bench_setup(). False: not to be had here, or not with so many. */
bool baseline_setup(struct baseline_run *run, const struct baseline_ops *ops, uint64_t pages);
void baseline_teardown(struct baseline_run *run);

/* GLib's hash table; NULL where this was built without GLib. */
const struct baseline_ops *baseline_hash_ops(void);

/* The rounds of the cases; of a struct baseline_run. */
double baseline_hit_round(void *opaque);
double baseline_sequential_round(void *opaque);
double baseline_random_round(void *opaque);
double baseline_map_unmap_round(void *opaque);

/* Say on stderr which baselines are missing. */
void baseline_check(void);

/* The cases of the two benchmarks, for each baseline that is not measured in turn with ours. */
void baseline_translate(void);
void baseline_map_unmap(void);

#endif
