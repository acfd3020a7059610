/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benchmarks of `viommu bench` share: a context with memory, time, and how a figure is printed. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include <viommu/viommu.h>

/* argv[0] is the command's name. Returns the exit status. */
int bench_main(int argc, char **argv);

/* Print one figure: a table row, or one JSON object. `goal` is shown beside it in the table; NULL: none. */
void bench_report(const char *bench, const char *name, double value, const char *unit, const char *goal);
void bench_json(bool on);

uint64_t bench_ns(void);

/* A small, fast generator, so that its cost does not hide what is measured. */
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

enum { BENCH_PAGE = 4096 };

struct bench {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	uint8_t *memory;
};

/* A context with `pages` 4 KiB mappings from IOVA 0 on, each a mapping of its own, all of them into 16 MiB of memory. */
struct bench *bench_setup(uint64_t pages);
void bench_teardown(struct bench *bench);
void bench_map(struct bench *bench, uint64_t page);

/* The benchmarks. */
void bench_translate(void);
void bench_map_unmap(void);
void bench_walk(void);

#endif
