/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An IOMMU in a program of its own: one thread is a device that writes to memory by DMA, the other one maps a page for
 * it and takes it away again. After the unmap the device cannot write any more, and the page is safe to reuse.
 *
 *	cc embed.c $(pkg-config --cflags --libs viommu) -pthread -o embed
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/viommu.h>

enum { RAM_SIZE = 1 << 20, PAGE = 4096, PAGE_GPA = 0x5000, WRITES = 100000 };

static const struct viommu_iova iova = {0xfffffffff000}; /* where the device sees the page */
static atomic_ulong writes;

/* A device: a section for each burst of work; host addresses are used nowhere else. Ends where its DMA is blocked. */
static void *device_main(void *opaque)
{
	struct viommu_endpoint *endpoint = opaque;
	struct viommu_section section;
	struct viommu_span span;
	int err;

	do {
		err = viommu_dma_begin(endpoint, &section);
		if (err)
			break;
		err = viommu_dma_translate(&section, iova, PAGE, VIOMMU_WRITE, &span);
		if (!err)
			memset(span.host, (int)(atomic_fetch_add(&writes, 1) & 0xff), span.len);
		viommu_dma_end(&section);
	} while (!err);
	return NULL;
}

static void wait_for(struct viommu_inval *inval)
{
	viommu_inval_begin(inval);
	while (viommu_inval_poll(inval) == -EAGAIN)
		sched_yield(); /* an event loop would look again later */
}

/* Map, let the device write, unmap. Returns whether the page kept still afterwards. */
static bool lend_page(struct viommu_domain *domain, struct viommu_inval *inval, const uint8_t *page)
{
	const struct viommu_iova last = {iova.value + PAGE - 1};

	while (atomic_load(&writes) < WRITES)
		sched_yield();
	if (viommu_unmap(domain, iova, last, inval, NULL))
		return false;
	wait_for(inval);

	const unsigned long done = atomic_load(&writes);
	const uint8_t content = page[0];

	for (int i = 0; i < 1000; i++)
		sched_yield();
	printf("the device wrote %lu times, and not once after the unmap\n", done);
	return done == atomic_load(&writes) && page[0] == content && page[PAGE - 1] == content;
}

int main(void)
{
	const struct viommu_iova last = {iova.value + PAGE - 1};
	uint8_t *ram = aligned_alloc(PAGE, RAM_SIZE);
	struct viommu *v = NULL;
	struct viommu_endpoint *endpoint;
	struct viommu_domain *domain;
	struct viommu_inval *inval;
	pthread_t device;

	if (!ram || viommu_create(NULL, &v) || viommu_mem_add(v, (struct viommu_gpa){0}, RAM_SIZE, ram, -1, 0) ||
	    viommu_inval_create(v, &inval) || viommu_domain_create(v, 1, &domain) ||
	    viommu_endpoint_add(v, 0x18, "0000:00:03.0", &endpoint) || viommu_attach(endpoint, domain, inval) ||
	    viommu_map(domain, iova, last, (struct viommu_gpa){PAGE_GPA}, VIOMMU_WRITE))
		return EXIT_FAILURE;
	wait_for(inval); /* for the attach */
	if (pthread_create(&device, NULL, device_main, endpoint))
		return EXIT_FAILURE;
	const bool good = lend_page(domain, inval, ram + PAGE_GPA);

	pthread_join(device, NULL);
	if (!viommu_detach(endpoint, inval))
		wait_for(inval);
	viommu_endpoint_remove(endpoint);
	viommu_domain_destroy(domain);
	viommu_inval_destroy(inval);
	viommu_destroy(v);
	free(ram);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
