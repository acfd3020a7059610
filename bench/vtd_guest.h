/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest does with a VT-d unit that serves one endpoint: tables of four levels in guest memory, queued
 * invalidation with a wait. The unit is not in caching mode, so whoever caches hears of a new translation by its own
 * miss.
 */
#ifndef BENCH_VTD_GUEST_H
#define BENCH_VTD_GUEST_H

#include <stdatomic.h>

#include <viommu/vtd.h>

#include "bench/bench.h"

enum { VTD_GUEST_SOURCE = 0x0010 }; /* the endpoint's id */

struct vtd_guest {
	struct viommu_vtd *unit;
	uint8_t *memory;
	uint64_t next, queue, status, top; /* guest addresses: the next page for a table, what there is already */
	uint32_t commands, tail;
};

/* Translation on, nothing mapped. `memory` lies at guest address 0 and is all zero from `free` on, where tables go. */
void vtd_guest_make(struct vtd_guest *guest, struct viommu *v, struct viommu_endpoint *endpoint, uint8_t *memory,
		    uint64_t free);
/* The endpoint is blocked afterwards. */
void vtd_guest_end(struct vtd_guest *guest);

/* The entry of a page, for vtd_guest_leaf() or 0; tables on the way are made. */
_Atomic uint64_t *vtd_guest_entry(struct vtd_guest *guest, uint64_t iova);
uint64_t vtd_guest_leaf(uint64_t gpa);

/* What was cached of a page, or of everything, is no longer used when these return. */
void vtd_guest_invalidate_page(struct vtd_guest *guest, uint64_t iova);
void vtd_guest_invalidate_all(struct vtd_guest *guest);

#endif
