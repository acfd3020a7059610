/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which random sequences a property test goes through: VIOMMU_TEST_SEED names the one that a failure has told of,
 * VIOMMU_TEST_STEPS says how long each is, and FULL asks for ten times as many.
 */
#ifndef TESTS_SUPPORT_SEEDS_H
#define TESTS_SUPPORT_SEEDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct seeds {
	uint64_t first, last, steps;
	bool alone; /* one of them, chosen by hand: what all together must have shown does not count */
};

static inline uint64_t seeds_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static inline struct seeds seeds_wanted(uint64_t count, uint64_t steps)
{
	const uint64_t alone = seeds_number("VIOMMU_TEST_SEED", 0);
	struct seeds seeds = {.first = 1, .last = getenv("FULL") ? 10 * count : count};

	seeds.steps = seeds_number("VIOMMU_TEST_STEPS", steps);
	seeds.alone = alone;
	if (alone)
		seeds.first = seeds.last = alone;
	return seeds;
}

#endif
