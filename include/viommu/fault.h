/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults: DMA that was blocked. Each is counted, logged (rate-limited, struct viommu_config) and handed to the model
 * that manages the endpoint, which tells the guest. Faults of endpoints without a model queue up here.
 */
#ifndef VIOMMU_FAULT_H
#define VIOMMU_FAULT_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum viommu_fault_reason {
	VIOMMU_FAULT_BLOCKED = 1,    /* the endpoint is attached to nothing */
	VIOMMU_FAULT_NOT_MAPPED = 2, /* no mapping covers the address */
	VIOMMU_FAULT_PERMISSION = 3, /* the mapping does not allow this access */
	VIOMMU_FAULT_NO_MEMORY = 4,  /* mapped, but no guest memory lies there */
	VIOMMU_FAULT_NO_ROOM = 5,    /* mapped, but a mirror could not take the mapping (mirror.h) */
};

struct viommu_fault {
	uint32_t endpoint;       /* requester id */
	uint32_t domain;         /* the guest's id for it, if in_domain */
	struct viommu_iova iova; /* first address that could not be reached */
	unsigned access;         /* VIOMMU_READ and/or VIOMMU_WRITE */
	enum viommu_fault_reason reason;
	uint32_t detail; /* the model's own word for the reason, or 0 (VT-d: the fault reason field) */
	bool silent;     /* the guest does not want faults of this endpoint reported (VT-d: Fault Processing Disable) */
	bool in_domain;  /* the endpoint was attached to a domain: neither blocked nor bypassing */
};

/*
 * viommu_fault_next - take the oldest fault of an endpoint that no model manages. At most 256 wait; more are dropped.
 *
 * Any thread.
 *
 * Errors:
 *   -EAGAIN  none
 */
VIOMMU_PUBLIC int viommu_fault_next(struct viommu *v, struct viommu_fault *out);

/*
 * viommu_fault_report - a DMA of the endpoint was blocked by somebody else (another process, hardware): count it, log
 * it and hand it on like those that the library finds. Any thread.
 *
 * @access: VIOMMU_READ and/or VIOMMU_WRITE
 *
 * Errors:
 *   -EINVAL  unknown access or reason
 *   -EAGAIN  as viommu_dma_begin(); nothing is reported
 */
VIOMMU_PUBLIC int viommu_fault_report(struct viommu_endpoint *endpoint, struct viommu_iova iova, unsigned access,
				      enum viommu_fault_reason reason);

/* viommu_fault_reason_name - "not mapped" and the like; never NULL. */
VIOMMU_PUBLIC const char *viommu_fault_reason_name(enum viommu_fault_reason reason);

#ifdef __cplusplus
}
#endif
#endif
