/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

enum { STATUS_FAILED = 4 };

_Noreturn void bench_fail(int err)
{
	fprintf(stderr, "viommu: bench: %s\n", strerror(-err));
	exit(STATUS_FAILED);
}

void bench_map(struct bench *bench, uint64_t page)
{
	uint64_t at = page * BENCH_PAGE;

	bench_must(viommu_map(bench->domain, (struct viommu_iova){at}, (struct viommu_iova){at + BENCH_PAGE - 1},
			      (struct viommu_gpa){bench_gpa(page)}, VIOMMU_READ | VIOMMU_WRITE));
}

void bench_unmap(struct bench *bench, uint64_t page)
{
	uint64_t at = page * BENCH_PAGE;

	viommu_unmap(bench->domain, (struct viommu_iova){at}, (struct viommu_iova){at + BENCH_PAGE - 1}, bench->inval,
		     NULL);
	viommu_inval_begin(bench->inval);
	while (viommu_inval_poll(bench->inval))
		;
}

struct bench *bench_setup(uint64_t pages)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	bench_must(bench ? viommu_create(NULL, &bench->v) : -ENOMEM);
	bench->memory = aligned_alloc(BENCH_PAGE, BENCH_MEMORY);
	bench->pages = pages;
	bench_must(viommu_mem_add(bench->v, (struct viommu_gpa){0}, BENCH_MEMORY, bench->memory, -1, 0));
	bench_must(viommu_inval_create(bench->v, &bench->inval));
	bench_must(viommu_domain_create(bench->v, 1, &bench->domain));
	bench_must(viommu_endpoint_add(bench->v, 8, "bench", &bench->endpoint));
	bench_must(viommu_attach(bench->endpoint, bench->domain, bench->inval));
	for (uint64_t page = 0; page < pages; page++)
		bench_map(bench, page);
	return bench;
}

void bench_teardown(struct bench *bench)
{
	bench_must(viommu_detach(bench->endpoint, bench->inval));
	viommu_inval_begin(bench->inval);
	bench_must(viommu_inval_poll(bench->inval));
	bench_must(viommu_endpoint_remove(bench->endpoint));
	viommu_domain_destroy(bench->domain);
	viommu_inval_destroy(bench->inval);
	viommu_destroy(bench->v);
	free(bench->memory);
	free(bench);
}
