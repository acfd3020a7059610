/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A register page that a guest reaches as memory while a monitor shows it, and else by accesses that leave the guest.
 * As with KVM, the page goes when nobody is at it.
 */
#ifndef TESTS_SUPPORT_VTD_PAGED_H
#define TESTS_SUPPORT_VTD_PAGED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <viommu/viommu.h>

struct vtd_paged {
	struct viommu_vtd *unit;
	uint8_t *page;
	pthread_rwlock_t slot;
	bool shown; /* written by the monitor, under `slot` */
};

void vtd_paged_init(struct vtd_paged *p, struct viommu_vtd *unit);
void vtd_paged_fini(struct vtd_paged *p);

/* The guest's accesses of 4 or 8 bytes, on any thread. */
uint64_t vtd_paged_read(struct vtd_paged *p, unsigned offset, unsigned size);
void vtd_paged_write(struct vtd_paged *p, unsigned offset, uint64_t value, unsigned size);

/* What the open page has at an offset, and to write there, as a processor does. */
uint64_t vtd_paged_load(const struct vtd_paged *p, unsigned offset, unsigned size);
void vtd_paged_store(struct vtd_paged *p, unsigned offset, uint64_t value, unsigned size);

/* The monitor's, which exclude each other: as viommu_vtd_page_open() and the like. */
int vtd_paged_open(struct vtd_paged *p);
int vtd_paged_look(struct vtd_paged *p);
void vtd_paged_close(struct vtd_paged *p);

#endif
