/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the VT-d unit share.
 *
 *   unit.c        made, given endpoints, destroyed
 *   access.c      software reads and writes registers, and what a write begins
 *   page.c        the register page as memory that software writes
 *   operation.c   what the unit does next: polled, reset
 *   registers.c   the register file: one table row for each register
 *   command.c     GCMD and GSTS
 *   queue.c       queued invalidation: fetch, wait; descriptor.c: check, perform
 *   memory.c      its own accesses to guest memory
 *   event.c       the fault and completion interrupts; fault.c: fault records
 *   irq.c         interrupt remapping, on lib/ir
 *   endpoint.c    what stands for a device behind the unit
 *   invalidate.c  what an invalidation means for the endpoints, on the core
 *   context.c     root and context tables; scalable.c: those of scalable mode, and PASID tables
 *   walk.c        a miss: context, then page tables (lib/fmt)
 *
 * The last three, and endpoint.c, see no unit, only struct vtd_caps.
 *
 * Lock order: viommu_vtd.lock (the register file and everything that software drives) -> the core's locks.
 * vtd_endpoint.lock, irq_lock and event_lock are innermost, each taken alone: walks, interrupts and faults need them,
 * and come from anywhere, also out of sections. No thread waits for another while it holds one of them.
 */
#ifndef LIB_MODEL_VTD_MODEL_H
#define LIB_MODEL_VTD_MODEL_H

#include <viommu/viommu.h>
#include <viommu/vtd.h>

#include "lib/core/internal.h"
#include "lib/util/lock.h"
#include "lib/util/spin.h"

/* What a walk needs of the unit. */
struct vtd_caps {
	uint64_t cap, ecap;           /* what entries may contain; they never change */
	unsigned host_bits;           /* of guest-physical addresses */
	const _Atomic uint64_t *root; /* RTADDR as SRTP latched it: changes under the unit's lock, is read without */
};

struct vtd_root {
	uint64_t table; /* GPA */
	unsigned ttm;   /* RTADDR bits 11:10: 0 legacy, 1 scalable; others block everything */
};

/*
 * A context entry, and in scalable mode the PASID entry behind it, as it was read: the context cache of one endpoint.
 */
enum vtd_translation { VTD_SECOND_STAGE, VTD_FIRST_STAGE, VTD_PASS_THROUGH };

struct vtd_context {
	bool valid;
	bool silent; /* FPD */
	enum vtd_translation kind;
	uint32_t did, pasid; /* pasid: RID_PASID in scalable mode */
	unsigned levels;     /* of the page tables */
	uint64_t table;      /* GPA of the top one */
	bool translated_ok;  /* TT = 01 or DTE: translation requests (ATS) are allowed */
	bool scalable;       /* which fault reasons apply */
};

struct vtd_endpoint {
	struct vtd_caps caps;
	struct viommu_endpoint *endpoint;
	struct viommu_domain *space; /* walked; attached while translation is on */
	struct vtd_endpoint *next;   /* the unit's lock guards it */
	uint16_t source;
	bool translating; /* or bypassing; the unit's lock guards it */
	struct spin lock;
	struct vtd_context context GUARDED_BY(lock);
};

struct vtd_fault {
	uint16_t source;
	uint8_t reason; /* section 7.1.3 */
	bool read;
	bool qualified, silent; /* FPD suppresses qualified ones */
	uint64_t info;          /* page address, or interrupt index << 48 */
	bool has_pasid;
	uint32_t pasid;
};

/* fault.c: record it (section 7.2.1), raise the event. Any thread, also inside a section; takes event_lock. */
void vtd_fault_record(struct viommu_vtd *unit, const struct vtd_fault *fault);
/* The same for a fault of DMA; opaque: the unit. */
void vtd_fault_sink(void *opaque, const struct viommu_fault *fault);

/* What stands for a device, with an empty space. -ENOSPC, -ENOMEM. */
int vtd_endpoint_create(struct viommu *v, const struct vtd_caps *caps, struct viommu_endpoint *endpoint,
			struct vtd_endpoint **out);
/* The device is not in its space any more. Memory is freed when no walk can use it. */
void vtd_endpoint_destroy(struct vtd_endpoint *endpoint);

/*
 * context.c, scalable.c: read the entries of a source into *context. 0 or a fault reason (context->silent is set for
 * FPD).
 */
unsigned vtd_context_load(const struct vtd_caps *caps, const struct memory *memory, struct vtd_root root,
			  uint16_t source, struct vtd_context *context);
unsigned vtd_context_load_scalable(const struct vtd_caps *caps, const struct memory *memory, struct vtd_root root,
				   uint16_t source, struct vtd_context *context);

#endif
