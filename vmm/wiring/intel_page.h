/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registers of a VT-d unit as memory of the guest, while its invalidation queue is polled: then an invalidation
 * costs the guest no exit. Anything else that software does to a register, a fault, and a while without any request
 * take the memory away again, and accesses leave for us as they did before.
 *
 * Loop thread, but for intel_page_busy() and intel_page_settle().
 */
#ifndef VMM_WIRING_INTEL_PAGE_H
#define VMM_WIRING_INTEL_PAGE_H

#include <viommu/viommu.h>

#include "vmm/kvm/slots.h"
#include "vmm/util/mutex.h"
#include "vmm/util/polling.h"

struct intel_page {
	struct viommu_vtd *unit;
	struct kvm_slots *slots;
	void *host;           /* NULL: it is never shown */
	struct mutex lock;    /* before the unit's and KVM's */
	struct kvm_slot slot; /* while `shown` */
	bool shown GUARDED_BY(lock);
	struct polling polling;
};

/* `unit`'s registers lie at `gpa`. -errno of mmap. */
int intel_page_init(struct intel_page *page, struct viommu_vtd *unit, uint64_t gpa, struct kvm_slots *slots,
		    struct loop *loop, enum polling_mode mode);
/* The guest does not run any more. Before the unit is destroyed. */
void intel_page_fini(struct intel_page *page);

/* A vCPU is about to enter its guest, which may know by now of what a fault is about. */
void intel_page_settle(struct intel_page *page);

/* The guest left to ring for the queue. Any vCPU's thread. */
void intel_page_busy(struct intel_page *page);

#endif
