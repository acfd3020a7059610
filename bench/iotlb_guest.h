/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory in a memfd and an endpoint that reaches it through many small mappings: what a device IOTLB outside of
 * this process, or in the kernel, is filled from. Neighbouring pages do not lie side by side in memory, so each is an
 * entry and a miss of its own.
 */
#ifndef BENCH_IOTLB_GUEST_H
#define BENCH_IOTLB_GUEST_H

#include "bench/vtd_guest.h"

enum {
	GUEST_PAGES = 1 << 16,                 /* from IOVA 0 on */
	GUEST_RING = GUEST_PAGES * BENCH_PAGE, /* pages that do lie side by side, from GPA 0 on */
	GUEST_RINGS = 2,
	GUEST_RING_PAGES = 3 /* of each ring: descriptors, available, used */
};

struct iotlb_guest {
	struct viommu *v;
	struct viommu_domain *domain; /* NULL: behind VT-d */
	struct vtd_guest vtd;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	uint8_t *memory;
	int memory_fd;
};

/* Who tells of what it maps (as virtio-iommu), or has tables behind VT-d, which nobody looks at before a miss. */
enum iotlb_guest_kind { GUEST_TELLS, GUEST_HAS_TABLES };

void iotlb_guest_make(struct iotlb_guest *guest, enum iotlb_guest_kind kind);
/* The endpoint's client is gone before. */
void iotlb_guest_end(struct iotlb_guest *guest);

/* By the clock, in microseconds: for what is mostly waiting. */
double iotlb_now_us(void);

#endif
