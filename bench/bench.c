/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"

enum { MEMORY = 16 << 20 };

static bool json;

void bench_json(bool on)
{
	json = on;
}

void bench_report(const char *bench, const char *name, double value, const char *unit, const char *goal)
{
	if (json)
		printf("{\"bench\": \"%s\", \"case\": \"%s\", \"value\": %.2f, \"unit\": \"%s\"}\n", bench, name, value,
		       unit);
	else
		printf("%-10s %-26s %10.2f %-6s %s%s\n", bench, name, value, unit, goal ? "goal " : "",
		       goal ? goal : "");
	fflush(stdout);
}

uint64_t bench_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void must(int err)
{
	if (err) {
		fprintf(stderr, "viommu: bench: %s\n", strerror(-err));
		exit(4);
	}
}

void bench_map(struct bench *bench, uint64_t page)
{
	uint64_t at = page * BENCH_PAGE;

	must(viommu_map(bench->domain, (struct viommu_iova){at}, (struct viommu_iova){at + BENCH_PAGE - 1},
			(struct viommu_gpa){page * 7 % (MEMORY / BENCH_PAGE) * BENCH_PAGE},
			VIOMMU_READ | VIOMMU_WRITE));
}

struct bench *bench_setup(uint64_t pages)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	must(bench ? viommu_create(NULL, &bench->v) : -ENOMEM);
	bench->memory = aligned_alloc(BENCH_PAGE, MEMORY);
	must(viommu_mem_add(bench->v, (struct viommu_gpa){0}, MEMORY, bench->memory, -1, 0));
	must(viommu_inval_create(bench->v, &bench->inval));
	must(viommu_domain_create(bench->v, 1, &bench->domain));
	must(viommu_endpoint_add(bench->v, 8, "bench", &bench->endpoint));
	must(viommu_attach(bench->endpoint, bench->domain, bench->inval));
	for (uint64_t page = 0; page < pages; page++)
		bench_map(bench, page);
	return bench;
}

void bench_teardown(struct bench *bench)
{
	must(viommu_detach(bench->endpoint, bench->inval));
	viommu_inval_begin(bench->inval);
	must(viommu_inval_poll(bench->inval));
	must(viommu_endpoint_remove(bench->endpoint));
	viommu_domain_destroy(bench->domain);
	viommu_inval_destroy(bench->inval);
	viommu_destroy(bench->v);
	free(bench->memory);
	free(bench);
}
