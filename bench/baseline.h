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

extern const struct baseline_ops baseline_list, baseline_tree, baseline_hash;

/* Say on stderr which baselines are missing. */
void baseline_check(void);

/* The cases of the two benchmarks, for every baseline that there is. */
void baseline_translate(void);
void baseline_map_unmap(void);

#endif
