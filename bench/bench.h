/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benchmarks of `viommu bench` share: a context with memory, how time is taken, how a figure is reported. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <viommu/viommu.h>

enum { BENCH_PAGE = 4096, BENCH_MEMORY = 16 << 20 };

/* argv[0] is the command's name. Returns the exit status. */
int bench_main(int argc, char **argv);

/* What a figure should be; none where `relation` is 0. */
struct bench_goal {
	char relation; /* '<': at most, '>': at least */
	double value;
	const char *against; /* the goal is a ratio to the side of this name; NULL: it is in the figure's unit */
};

#define BENCH_AT_MOST(value) ((struct bench_goal){'<', (value), NULL})
#define BENCH_AT_MOST_OF(value, against) ((struct bench_goal){'<', (value), (against)})
#define BENCH_AT_LEAST(value) ((struct bench_goal){'>', (value), NULL})
#define BENCH_NO_GOAL ((struct bench_goal){0})

/* The name of the side that is the least that a figure can be (bare.h). */
#define BENCH_BARE "bare"

/* One way to do what is measured. Side 0 is ours. */
struct bench_side {
	const char *name;
	double (*round)(void *opaque); /* returns nanoseconds for each operation */
	void *opaque;
	double value; /* the median of the rounds */
	double ratio; /* ours to it: the median of the ratios, each of two rounds one after the other */
};

enum { BENCH_SIDES = 4 };

/* One of our figures: printed as a JSON object at once, and kept for the table. Names are string constants. */
void bench_report(const char *bench, const char *name, double value, const char *unit, struct bench_goal goal);

/* The same figure of another way to store translations: after ours. */
void bench_report_baseline(const char *bench, const char *name, const char *baseline, double value, const char *unit);

/* Ours, with what was measured in turn with it. The unit is ns. */
void bench_report_sides(const char *bench, const char *name, const struct bench_side *sides, unsigned count,
			struct bench_goal goal);

/* Figures go to `file` as JSON Lines, and there is a table too unless that is stdout. */
void bench_json(FILE *file);

/* Print the figures that are kept, and forget them. Nothing where stdout has them as JSON. */
void bench_table(void);

/*
 * The C library's locks and its allocator are faster in a program that never had a second thread, which no monitor is:
 * all is measured with their ways for several.
 */
void bench_threads(void);

/* This thread's processor time: what others do on the machine is not counted. */
uint64_t bench_ns(void);

/* The median of several rounds of a measurement, each of which returns a figure. */
double bench_median(double (*round)(void *opaque), void *opaque);

/* Measure the sides in turn, so that a machine that changes its speed does so for all of them. */
void bench_in_turn(struct bench_side *sides, unsigned count);

/*
 * How many times as much it is for `a` as for `b`: the median of rounds in turn, as a machine may change its speed in
 * between.
 */
double bench_ratio(double (*round)(void *opaque), void *a, void *b);

/* A small, fast generator, so that its cost does not hide what is measured. */
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

enum { BENCH_SEED = 88172645 };

/* Of a round: look-ups of so many bytes each, or pairs of map and unmap. */
enum { BENCH_LOOKUPS = 1 << 20, BENCH_LEN = 64, BENCH_CHANGES = 1 << 19 };

/* Nanoseconds for each of so many operations. */
static inline double bench_each(uint64_t start, unsigned count)
{
	return (double)(bench_ns() - start) / count;
}

/* The addresses of the case `hit`: all on one page. */
static inline uint64_t bench_near(unsigned i)
{
	return 5 * BENCH_PAGE + (i & 0xf00);
}

/* Where the mapping of a page points to: all of them lie in BENCH_MEMORY. */
static inline uint64_t bench_gpa(uint64_t page)
{
	return page * 7 % (BENCH_MEMORY / BENCH_PAGE) * BENCH_PAGE;
}

struct bench {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	uint8_t *memory;
	uint64_t pages; /* mapped, a power of two */
};

/* A context with `pages` 4 KiB mappings from IOVA 0 on, each a mapping of its own. */
struct bench *bench_setup(uint64_t pages);
void bench_teardown(struct bench *bench);
void bench_map(struct bench *bench, uint64_t page);
/* With its whole invalidation. */
void bench_unmap(struct bench *bench, uint64_t page);

/* Fail the whole program, with its line, where a call that cannot go wrong has gone wrong. */
_Noreturn void bench_fail(int err);

static inline void bench_must(int err)
{
	if (err)
		bench_fail(err);
}

/*
 * How much more two threads do together than one, each on a processor of its own.
 * @work: does a fixed number of operations as one of the threads, 0 or 1. Returns 0 where there are not enough
 *     processors.
 */
typedef void (*bench_work)(void *opaque, unsigned thread);
double bench_scaling(bench_work work, void *opaque);

/* The same as a figure of ours; none where there are not enough processors. */
void bench_report_scaling(const char *bench, const char *name, bench_work work, void *opaque, struct bench_goal goal);

/* The benchmarks. */
void bench_translate(void);
void bench_map_unmap(void);
void bench_walk(void);
void bench_iotlb(void);
void bench_unit(void); /* part of bench_walk() */

#endif
