/* SPDX-License-Identifier: BSD-2-Clause */
/* The unit itself, for the files of its register side: registers, command, queue, event, fault, irq, unit. */
#ifndef LIB_MODEL_VTD_UNIT_H
#define LIB_MODEL_VTD_UNIT_H

#include "lib/ir/ir.h"
#include "lib/model/vtd/model.h"
#include "lib/spec/vtd.h"

enum { VTD_RECORDS = 8, VTD_MAMV = 36, VTD_MHMV = 15 };

/* Registers that hold something. */
enum vtd_register {
	REG_GSTS,
	REG_RTADDR,
	REG_CCMD,
	REG_IQH,
	REG_IQT,
	REG_IQA,
	REG_IQERCD,
	REG_IRTA,
	REG_IVA,
	REG_IOTLB,
	/* Guarded by event_lock. */
	REG_FSTS,
	REG_FECTL,
	REG_FEDATA,
	REG_FEADDR,
	REG_FEUADDR,
	REG_ICS,
	REG_IECTL,
	REG_IEDATA,
	REG_IEADDR,
	REG_IEUADDR,
	REGISTERS,
};

/* What the unit is doing that software waits for in a register. */
enum vtd_operation { OPERATION_NONE, OPERATION_COMMAND, OPERATION_CONTEXT, OPERATION_IOTLB, OPERATION_RESET };

enum vtd_queue_state {
	VTD_QUEUE_RUNS,
	VTD_QUEUE_WAITING, /* for what was collected: the wait descriptor at IQH has begun */
	VTD_QUEUE_FULL,    /* likewise, to make room for more, or because the queue went off */
};

struct vtd_queue {
	bool enabled, wide; /* latched by QIE, with base and size */
	uint64_t base;
	uint32_t size; /* bytes */
	enum vtd_queue_state state;
	uint64_t wait[2]; /* the wait descriptor */
	bool aborted;     /* the one at IQH timed out */
	struct viommu_inval *inval;
};

struct viommu_vtd {
	struct viommu *v;
	struct viommu_vtd_config config;
	uint64_t cap, ecap;             /* never change */
	struct viommu_endpoint *reader; /* bypasses: by it the unit reaches its own structures in memory */
	struct vtd_endpoint *endpoints;

	struct lock lock;
	uint64_t regs[REGISTERS] GUARDED_BY(lock); /* but for those of event_lock */
	enum vtd_operation operation GUARDED_BY(lock);
	unsigned granularity GUARDED_BY(lock);   /* of OPERATION_CONTEXT and OPERATION_IOTLB; 0: refused */
	uint32_t command GUARDED_BY(lock);       /* what OPERATION_COMMAND does to GSTS when complete: bits to set */
	uint32_t command_clear GUARDED_BY(lock); /* and to clear */
	bool command_waits GUARDED_BY(lock);     /* GCMD was written meanwhile */
	uint32_t next_command GUARDED_BY(lock);
	bool reset_waits GUARDED_BY(lock);
	struct viommu_inval *inval GUARDED_BY(lock); /* of the operation */
	struct vtd_queue queue GUARDED_BY(lock);
	bool irq_changed GUARDED_BY(lock); /* irq_invalidate() was called since the last irq_commit() */
	struct viommu_vtd_stats stats GUARDED_BY(lock);

	_Atomic uint64_t root; /* RTADDR as SRTP latched it */

	struct spin irq_lock;
	struct ir_table irq_table GUARDED_BY(irq_lock);

	struct lock event_lock; /* innermost */
	struct {
		uint64_t low, high;
	} records[VTD_RECORDS] GUARDED_BY(event_lock);
	unsigned next_record GUARDED_BY(event_lock);
	uint64_t recorded GUARDED_BY(event_lock), lost GUARDED_BY(event_lock);
};

/* memory.c: guest memory, by 64-bit words that are read once each; `gpa` and `len` are multiples of 8. -EFAULT: there is none. */
int vtd_guest_read(struct viommu_vtd *unit, uint64_t gpa, void *buffer, size_t len);
int vtd_guest_store32(struct viommu_vtd *unit, uint64_t gpa, uint32_t value);

/* unit.c: go on with whatever is under way or asked for. With the lock held. True: something is pending. */
bool vtd_advance(struct viommu_vtd *unit) REQUIRES(unit->lock);

/* registers.c */
void vtd_registers_reset(struct viommu_vtd *unit) REQUIRES(unit->lock);

/* command.c: GCMD was written; the operation that began is complete. */
void vtd_command(struct viommu_vtd *unit, uint32_t value) REQUIRES(unit->lock);
void vtd_command_done(struct viommu_vtd *unit) REQUIRES(unit->lock);

/* queue.c: fetch and perform. True: a wait descriptor is pending, or there is more than one turn's work. */
bool vtd_queue_run(struct viommu_vtd *unit) REQUIRES(unit->lock);

static inline unsigned vtd_descriptor_type(const uint64_t words[4])
{
	return (unsigned)(vtd_field(words[0], 3, 0) | vtd_field(words[0], 11, 9) << 4);
}

/* descriptor.c: perform one that is not a wait. 0; -EINVAL: it is wrong; -ENOMEM: first complete what was collected. */
int vtd_descriptor_perform(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock);
/* Is anything set in a wait descriptor that must not be? */
bool vtd_wait_valid(const struct viommu_vtd *unit, const uint64_t words[4]);

/* event.c: a bit of FSTS is set, IWC is set; an event register was written; is one of these bits set? They take event_lock. */
void vtd_event_fault(struct viommu_vtd *unit, uint64_t status);
void vtd_event_complete(struct viommu_vtd *unit);
void vtd_event_written(struct viommu_vtd *unit, enum vtd_register reg);
bool vtd_event_status(struct viommu_vtd *unit, uint64_t status);
void vtd_event_fault_locked(struct viommu_vtd *unit, uint64_t status) REQUIRES(unit->event_lock);
/* Software has cleared a fault record. */
void vtd_event_settle_locked(struct viommu_vtd *unit) REQUIRES(unit->event_lock);

/* fault.c: the records as registers; 4 bytes at an offset from VTD_FRCD. */
uint32_t vtd_record_read(struct viommu_vtd *unit, unsigned offset);
void vtd_record_write(struct viommu_vtd *unit, unsigned offset, uint32_t value);
void vtd_records_reset(struct viommu_vtd *unit);

/* irq.c: latch IRTA; IRE and CFI; entries were invalidated; what was announced takes effect. */
void vtd_irq_latch(struct viommu_vtd *unit) REQUIRES(unit->lock);
void vtd_irq_switch(struct viommu_vtd *unit, bool enabled, bool compatibility) REQUIRES(unit->lock);
void vtd_irq_invalidate(struct viommu_vtd *unit, uint32_t first, uint32_t last) REQUIRES(unit->lock);
void vtd_irq_commit(struct viommu_vtd *unit) REQUIRES(unit->lock);

#endif
