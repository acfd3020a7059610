/* SPDX-License-Identifier: BSD-2-Clause */
/* How time is taken, so that figures stand still although others work on the machine. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/bench.h"

enum { ROUNDS = 7, SCALING_ROUNDS = 9, READERS = 2 };

uint64_t bench_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *nothing(void *opaque)
{
	return opaque;
}

void bench_threads(void)
{
	pthread_t thread;

	bench_must(-pthread_create(&thread, NULL, nothing, NULL));
	pthread_join(thread, NULL);
}

static int by_value(const void *a, const void *b)
{
	const double one = *(const double *)a, two = *(const double *)b;

	return (one > two) - (one < two);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), by_value);
	return values[count / 2];
}

/* The first round warms caches and is not counted. */
double bench_median(double (*round)(void *opaque), void *opaque)
{
	double values[ROUNDS];

	round(opaque);
	for (unsigned i = 0; i < ROUNDS; i++)
		values[i] = round(opaque);
	return median(values, ROUNDS);
}

void bench_in_turn(struct bench_side *sides, unsigned count)
{
	double values[BENCH_SIDES][ROUNDS], ratios[ROUNDS];

	for (unsigned i = 0; i < count; i++)
		sides[i].round(sides[i].opaque);
	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned i = 0; i < count; i++)
			values[i][round] = sides[i].round(sides[i].opaque);
	for (unsigned i = count; i--;) { /* ours last: a median sorts */
		for (unsigned round = 0; round < ROUNDS; round++)
			ratios[round] = values[0][round] / values[i][round];
		sides[i].value = median(values[i], ROUNDS);
		sides[i].ratio = median(ratios, ROUNDS);
	}
}

double bench_ratio(double (*round)(void *opaque), void *a, void *b)
{
	double values[ROUNDS];

	round(a);
	round(b);
	for (unsigned i = 0; i < ROUNDS; i++) {
		values[i] = round(a);
		values[i] /= round(b);
	}
	return median(values, ROUNDS);
}

/* How long this thread has waited for a processor that others had; 0 where the kernel does not count it. */
static uint64_t crowded_out_ns(void)
{
	unsigned long long run = 0, waited = 0;
	FILE *file = fopen("/proc/thread-self/schedstat", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &run, &waited) != 2)
		waited = 0;
	fclose(file);
	return waited;
}

/* The time of somebody who may have to wait for another thread's lock, which is no processor time. */
static uint64_t patient_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec - crowded_out_ns();
}

/* Threads that work at the same time: each goes on until all have had their fill. */
struct crowd {
	bench_work work;
	void *opaque;
	unsigned count;
	_Atomic unsigned ready, satisfied;
};

struct member {
	struct crowd *crowd;
	unsigned number;
	int processor;
	double rate;
	pthread_t thread;
};

enum { ENOUGH = 4 };

static void *member_main(void *opaque)
{
	struct member *member = opaque;
	struct crowd *crowd = member->crowd;
	cpu_set_t set;
	unsigned done = 0;

	CPU_ZERO(&set);
	CPU_SET((unsigned)member->processor, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	atomic_fetch_add(&crowd->ready, 1);
	while (atomic_load(&crowd->ready) < crowd->count)
		sched_yield();
	uint64_t start = patient_ns();

	do {
		crowd->work(crowd->opaque, member->number);
		if (++done == ENOUGH)
			atomic_fetch_add(&crowd->satisfied, 1);
	} while (atomic_load(&crowd->satisfied) < crowd->count);
	member->rate = done / (double)(patient_ns() - start);
	return NULL;
}

/* Work per time of so many threads together. */
static double crowd_rate(bench_work work, void *opaque, const int *processors, unsigned count)
{
	struct crowd crowd = {.work = work, .opaque = opaque, .count = count};
	struct member members[READERS];
	double rate = 0;

	for (unsigned i = 0; i < count; i++) {
		members[i] = (struct member){.crowd = &crowd, .number = i, .processor = processors[i]};
		bench_must(-pthread_create(&members[i].thread, NULL, member_main, &members[i]));
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(members[i].thread, NULL);
		rate += members[i].rate;
	}
	return rate;
}

/* The first processors that we may use; how many there are, up to READERS. */
static unsigned find_processors(int *processors)
{
	unsigned count = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (int i = 0; i < CPU_SETSIZE && count < READERS; i++)
		if (CPU_ISSET((unsigned)i, &set))
			processors[count++] = i;
	return count;
}

double bench_scaling(bench_work work, void *opaque)
{
	int processors[READERS];
	double ratios[SCALING_ROUNDS];

	if (find_processors(processors) < READERS)
		return 0;
	for (unsigned i = 0; i < SCALING_ROUNDS; i++) {
		/*
		 * Processors differ a little, above all on a busy machine: one thread on each of them is the measure.
		 */
		double alone = 0;

		for (unsigned j = 0; j < READERS; j++)
			alone += crowd_rate(work, opaque, &processors[j], 1);
		ratios[i] = READERS * crowd_rate(work, opaque, processors, READERS) / alone;
	}
	return median(ratios, SCALING_ROUNDS);
}

void bench_report_scaling(const char *bench, const char *name, bench_work work, void *opaque, struct bench_goal goal)
{
	const double scaling = bench_scaling(work, opaque);

	if (scaling > 0)
		bench_report(bench, name, scaling, "x", goal);
	else
		fprintf(stderr, "viommu: bench: %s %s: one processor: no two threads\n", bench, name);
}
