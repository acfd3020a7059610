/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/iotlb_guest.h"

enum { RING_PAGES = GUEST_RINGS * GUEST_RING_PAGES };

double iotlb_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void complete(struct iotlb_guest *guest)
{
	viommu_inval_begin(guest->inval);
	while (viommu_inval_poll(guest->inval) == -EAGAIN)
		;
}

static void map_page(struct iotlb_guest *guest, uint64_t page, uint64_t gpa)
{
	uint64_t first = page * BENCH_PAGE;

	if (!guest->domain) {
		*vtd_guest_entry(&guest->vtd, first) = vtd_guest_leaf(gpa);
		return;
	}
	bench_must(viommu_map(guest->domain, (struct viommu_iova){first}, (struct viommu_iova){first + BENCH_PAGE - 1},
			      (struct viommu_gpa){gpa}, VIOMMU_READ | VIOMMU_WRITE));
}

static void make_memory(struct iotlb_guest *guest)
{
	guest->memory_fd = memfd_create("bench", MFD_CLOEXEC);
	if (guest->memory_fd < 0 || ftruncate(guest->memory_fd, BENCH_MEMORY))
		bench_fail(-errno);
	guest->memory = mmap(NULL, BENCH_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, guest->memory_fd, 0);
	if (guest->memory == MAP_FAILED)
		bench_fail(-errno);
	bench_must(viommu_create(NULL, &guest->v));
	bench_must(viommu_mem_add(guest->v, (struct viommu_gpa){0}, BENCH_MEMORY, guest->memory, guest->memory_fd, 0));
}

static void attach(struct iotlb_guest *guest)
{
	bench_must(viommu_inval_create(guest->v, &guest->inval));
	bench_must(viommu_domain_create(guest->v, 1, &guest->domain));
	bench_must(viommu_attach(guest->endpoint, guest->domain, guest->inval));
	complete(guest);
}

void iotlb_guest_make(struct iotlb_guest *guest, enum iotlb_guest_kind kind)
{
	make_memory(guest);
	bench_must(viommu_endpoint_add(guest->v, VTD_GUEST_SOURCE, "bench", &guest->endpoint));
	if (kind == GUEST_TELLS)
		attach(guest);
	else
		vtd_guest_make(&guest->vtd, guest->v, guest->endpoint, guest->memory, RING_PAGES * BENCH_PAGE);
	for (uint64_t page = 0; page < GUEST_PAGES; page++)
		map_page(guest, page, bench_gpa(page));
	for (uint64_t page = 0; page < RING_PAGES; page++)
		map_page(guest, GUEST_PAGES + page, page * BENCH_PAGE);
}

static void detach(struct iotlb_guest *guest)
{
	bench_must(viommu_detach(guest->endpoint, guest->inval));
	complete(guest);
	viommu_domain_destroy(guest->domain);
	viommu_inval_destroy(guest->inval);
}

void iotlb_guest_end(struct iotlb_guest *guest)
{
	if (guest->domain)
		detach(guest);
	else
		vtd_guest_end(&guest->vtd);
	bench_must(viommu_endpoint_remove(guest->endpoint));
	viommu_destroy(guest->v);
	munmap(guest->memory, BENCH_MEMORY);
	close(guest->memory_fd);
}
