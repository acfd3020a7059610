/* SPDX-License-Identifier: BSD-2-Clause */
/* The unit itself, for the files of its register side and for what its registers invalidate. */
#ifndef LIB_MODEL_VTD_UNIT_H
#define LIB_MODEL_VTD_UNIT_H

#include "lib/ir/ir.h"
#include "lib/model/vtd/model.h"
#include "lib/spec/vtd.h"

enum { VTD_RECORDS = 8, VTD_MAMV = 36, VTD_MHMV = 15, VTD_PAGE_WORDS = 23 };

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
	REGISTERS,
};

/* Those of the unit's own interrupts, and their causes. */
enum vtd_event_register {
	EVENT_FSTS,
	EVENT_FECTL,
	EVENT_FEDATA,
	EVENT_FEADDR,
	EVENT_FEUADDR,
	EVENT_ICS,
	EVENT_IECTL,
	EVENT_IEDATA,
	EVENT_IEADDR,
	EVENT_IEUADDR,
	EVENT_REGISTERS,
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

/* The tail among the open page's words; what lies behind it closes the page when it is written. */
enum { VTD_PAGE_TAIL = 15 };

/* page.c. Who looks at it without the lock is the one that opens and closes it. */
struct vtd_page {
	void *host; /* NULL: closed. Changes under the unit's lock, on the thread that looks */
	_Atomic uint32_t shown[VTD_PAGE_WORDS];
};

struct viommu_vtd {
	struct viommu *v;
	struct viommu_vtd_config config;
	struct vtd_caps caps;           /* never change */
	struct viommu_endpoint *reader; /* bypasses: by it the unit reaches its own structures in memory */

	_Atomic bool missed; /* a poll found the lock taken since its holder took it */
	struct lock lock;    /* lock order: model.h; dropped by vtd_unlock() */
	struct vtd_endpoint *endpoints GUARDED_BY(lock);
	bool translating GUARDED_BY(lock); /* or bypassing: all of them, and each that comes */
	uint64_t regs[REGISTERS] GUARDED_BY(lock);
	enum vtd_operation operation GUARDED_BY(lock);
	unsigned granularity GUARDED_BY(lock);   /* of OPERATION_CONTEXT and OPERATION_IOTLB; 0: refused */
	uint32_t command GUARDED_BY(lock);       /* what OPERATION_COMMAND does to GSTS when complete: bits to set */
	uint32_t command_clear GUARDED_BY(lock); /* and to clear */
	bool command_waits GUARDED_BY(lock);     /* GCMD was written meanwhile */
	uint32_t next_command GUARDED_BY(lock);
	bool reset_waits GUARDED_BY(lock);
	struct viommu_inval *inval GUARDED_BY(lock); /* of the operation */
	struct vtd_queue queue GUARDED_BY(lock);
	bool more GUARDED_BY(lock);        /* the queue has more than one turn's work */
	bool irq_changed GUARDED_BY(lock); /* irq_invalidate() was called since the last irq_commit() */
	struct viommu_vtd_stats stats GUARDED_BY(lock);
	struct vtd_page page;

	_Atomic uint64_t root; /* RTADDR as SRTP latched it */

	struct spin irq_lock; /* taken last, alone */
	struct ir_table irq_table GUARDED_BY(irq_lock);

	struct lock event_lock; /* likewise; its holder may call config.interrupt() */
	uint64_t event_regs[EVENT_REGISTERS] GUARDED_BY(event_lock);
	struct {
		uint64_t low, high;
	} records[VTD_RECORDS] GUARDED_BY(event_lock);
	unsigned next_record GUARDED_BY(event_lock);
	uint64_t recorded GUARDED_BY(event_lock), lost GUARDED_BY(event_lock);
	bool events_held GUARDED_BY(event_lock); /* software would not see their cause: the page is open */
	_Atomic bool event_waits;                /* for the page to be closed; set under event_lock */
};

/*
 * memory.c: guest memory, by 64-bit words that are read once each; `gpa` and `len` are multiples of 8. -EFAULT: there
 * is none.
 */
int vtd_guest_read(struct viommu_vtd *unit, uint64_t gpa, void *buffer, size_t len);
int vtd_guest_store32(struct viommu_vtd *unit, uint64_t gpa, uint32_t value);

/* operation.c: go on with what is under way, then with what software asks for. True when something is pending. */
bool vtd_advance(struct viommu_vtd *unit) REQUIRES(unit->lock);
/* Have the unit polled. */
static inline void vtd_ask_poll(const struct viommu_vtd *unit)
{
	if (unit->config.pending)
		unit->config.pending(unit->config.opaque);
}
/* operation.c: drop the lock. A poll that was turned away by it is asked for again. */
void vtd_unlock(struct viommu_vtd *unit) LOCK_ATTR(release_capability(unit->lock));

/* access.c: as the registers stand, whatever the page shows. */
uint32_t vtd_access_read(struct viommu_vtd *unit, uint64_t offset) REQUIRES(unit->lock);
void vtd_access_write(struct viommu_vtd *unit, uint64_t offset, uint32_t value) REQUIRES(unit->lock);

/* access.c: the tail of an open page alone is served while it is open. */
void vtd_access_serve_tail(struct viommu_vtd *unit) REQUIRES(unit->lock);

/* registers.c: four bytes of the register that lies at an offset; where none does: 0, and nothing is written. */
uint32_t vtd_register_read(struct viommu_vtd *unit, uint64_t offset) REQUIRES(unit->lock);
/* What a write means besides. */
enum {
	VTD_EFFECT_COMMAND = 1, /* it is a command */
	VTD_EFFECT_TRIGGER = 2, /* its bits stay set until the work is done, and vtd_advance() looks for them */
	VTD_EFFECT_EVENT = 4,   /* an interrupt of the unit is due or over: vtd_register_write() sees to that */
};
unsigned vtd_register_write(struct viommu_vtd *unit, uint64_t offset, uint32_t value) REQUIRES(unit->lock);
void vtd_registers_reset(struct viommu_vtd *unit) REQUIRES(unit->lock);

/* command.c: perform a write of GCMD; finish the operation that it began. */
void vtd_command(struct viommu_vtd *unit, uint32_t value) REQUIRES(unit->lock);
void vtd_command_done(struct viommu_vtd *unit) REQUIRES(unit->lock);

/* queue.c: fetch and perform. True when a wait descriptor is pending, or there is more than one turn's work. */
bool vtd_queue_run(struct viommu_vtd *unit) REQUIRES(unit->lock);

static inline unsigned vtd_descriptor_type(const uint64_t words[4])
{
	return (unsigned)(vtd_field(words[0], 3, 0) | vtd_field(words[0], 11, 9) << 4);
}

/* descriptor.c: perform one that is not a wait. 0; -EINVAL: it is wrong; -ENOMEM: first complete what was collected. */
int vtd_descriptor_perform(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock);
/* True unless a bit of a wait descriptor is set that must not be. */
bool vtd_wait_valid(const struct viommu_vtd *unit, const uint64_t words[4]);

/*
 * event.c takes event_lock. Set a bit of FSTS; set IWC; act on a write of an event register; true when one of these
 * bits of FSTS is set.
 */
void vtd_event_fault(struct viommu_vtd *unit, uint64_t status);
void vtd_event_complete(struct viommu_vtd *unit);
void vtd_event_written(struct viommu_vtd *unit, enum vtd_event_register reg);
bool vtd_event_status(struct viommu_vtd *unit, uint64_t status);
void vtd_event_fault_locked(struct viommu_vtd *unit, uint64_t status) REQUIRES(unit->event_lock);
/* Software has cleared a fault record. */
void vtd_event_settle_locked(struct viommu_vtd *unit) REQUIRES(unit->event_lock);

/*
 * Hold events back while the page is open: false where one is there already. Does one wait? Let them go, once software
 * reads registers again.
 */
bool vtd_event_hold(struct viommu_vtd *unit);
bool vtd_event_waits(const struct viommu_vtd *unit);
void vtd_event_release(struct viommu_vtd *unit);

/* fault.c: the records as registers; 4 bytes at an offset from VTD_FRCD. */
uint32_t vtd_record_read(struct viommu_vtd *unit, unsigned offset);
void vtd_record_write(struct viommu_vtd *unit, unsigned offset, uint32_t value);
void vtd_records_reset(struct viommu_vtd *unit);

/*
 * invalidate.c: each takes effect at once for new accesses and adds what must be waited for to `inval`. 0 or -ENOMEM
 * (nothing is known to have been done: the caller makes it a global one, or fails the descriptor).
 */
enum vtd_granularity { VTD_GLOBAL = 1, VTD_DOMAIN = 2, VTD_DEVICE = 3, VTD_PAGE = 3 };

/*
 * The most that one command adds: evicted twice, switched (it leaves a domain, its mirrors enter another), and the
 * domain that it had failed in; one to spare.
 */
enum { VTD_CHANGES_PER_ENDPOINT = 6 };

int vtd_invalidate_context(struct viommu_vtd *unit, struct viommu_inval *inval, unsigned granularity, uint16_t did,
			   uint16_t source, unsigned function_mask) REQUIRES(unit->lock);
/* VTD_PAGE: 2^am pages from address. */
int vtd_invalidate_iotlb(struct viommu_vtd *unit, struct viommu_inval *inval, unsigned granularity, uint16_t did,
			 uint64_t address, unsigned am) REQUIRES(unit->lock);
/* Types 6 and 7 of scalable mode; granularities as in C.7's descriptors. */
int vtd_invalidate_pasid_iotlb(struct viommu_vtd *unit, struct viommu_inval *inval, bool page, uint16_t did,
			       uint32_t pasid, uint64_t address, unsigned am) REQUIRES(unit->lock);
int vtd_invalidate_pasid_cache(struct viommu_vtd *unit, struct viommu_inval *inval, unsigned granularity, uint16_t did,
			       uint32_t pasid) REQUIRES(unit->lock);
/* Types 3 and 8: the device TLB of one endpoint. */
int vtd_invalidate_device_tlb(struct viommu_vtd *unit, struct viommu_inval *inval, uint16_t source, uint64_t first,
			      uint64_t last) REQUIRES(unit->lock);
/* GCMD.TE: translation on or off for all endpoints; SRTP: everything that came from the old root goes. */
int vtd_invalidate_all(struct viommu_vtd *unit, struct viommu_inval *inval) REQUIRES(unit->lock);
int vtd_set_translation(struct viommu_vtd *unit, struct viommu_inval *inval, bool on) REQUIRES(unit->lock);

/* irq.c: latch IRTA; IRE and CFI; entries were invalidated; what was announced takes effect. */
void vtd_irq_latch(struct viommu_vtd *unit) REQUIRES(unit->lock);
void vtd_irq_switch(struct viommu_vtd *unit, bool enabled, bool compatibility) REQUIRES(unit->lock);
void vtd_irq_invalidate(struct viommu_vtd *unit, uint32_t first, uint32_t last) REQUIRES(unit->lock);
void vtd_irq_commit(struct viommu_vtd *unit) REQUIRES(unit->lock);

#endif
