/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests to the virtio-iommu (virtio 1.2, section 5.13.6), in 32 bits of address. */
#ifndef PAYLOAD_IOMMU_H
#define PAYLOAD_IOMMU_H

#include "virtio.h"

enum { IOMMU_SLOT = 1, IOMMU_OK = 0, IOMMU_DEVERR = 3, IOMMU_NONE = 0xff, IOMMU_REQUESTS = 2 };

struct iommu {
	struct virtio dev;
	struct queue queue;
	uint32_t request[IOMMU_REQUESTS][10];
	volatile uint8_t tail[IOMMU_REQUESTS][4];
};

/* Its queue in this page of the rings. */
bool iommu_start(struct iommu *iommu, unsigned page);

/* Each begins request `number` with its own descriptors. A range is closed; the endpoint is that of a slot. */
void iommu_attach(struct iommu *iommu, unsigned number, uint32_t domain, unsigned slot);
void iommu_map(struct iommu *iommu, unsigned number, uint32_t domain, uint32_t first, uint32_t last, uint32_t physical);
void iommu_unmap(struct iommu *iommu, unsigned number, uint32_t domain, uint32_t first, uint32_t last);

/* Is it answered? And wait until it is: its status, or IOMMU_NONE. */
bool iommu_done(struct iommu *iommu, unsigned number);
uint8_t iommu_end(struct iommu *iommu, unsigned number);

#endif
