/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An Intel VT-d remapping unit (Intel Virtualization Technology for Directed I/O, revision 3.3 and the parts of earlier
 * ones that Linux relies on): DMA remapping in legacy and scalable mode, queued invalidation, interrupt remapping,
 * fault reporting. The embedder puts its registers at an address of its choice and names it in the ACPI DMAR table.
 *
 * Thread rules: registers may be accessed from any thread (vCPUs), translations come from any. Nothing here blocks:
 * where DMA is under way that an invalidation concerns, this stays pending, the guest sees the register or the wait
 * descriptor complete later, and `pending` asks for viommu_vtd_poll().
 */
#ifndef VIOMMU_VTD_H
#define VIOMMU_VTD_H

#include <viommu/irq.h>
#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_vtd;

/* Bytes of the register page. */
enum { VIOMMU_VTD_SIZE = 4096 };

struct viommu_vtd_config {
	size_t size;         /* sizeof(struct viommu_vtd_config): types.h */
	unsigned aw_bits;    /* 39, 48 or 57: the widest page tables (CAP.SAGAW has this and what is narrower); 0: 48 */
	unsigned input_bits; /* CAP.MGAW, up to aw_bits; 0: aw_bits */
	unsigned host_bits;  /* guest-physical width: address bits from here on are reserved in table entries; 0: 46 */
	bool irq_only;       /* CAP.SAGAW is 0: this unit remaps interrupts and no DMA */
	bool intremap;       /* ECAP.IR */
	bool eim;            /* ECAP.EIM: x2APIC ids; needs intremap */
	bool caching_mode;   /* CAP.CM: the guest invalidates what it adds, too */
	bool device_iotlb;   /* ECAP.DT */
	bool scalable;       /* ECAP.SMTS and what belongs to it */
	/*
	 * Callbacks come from any thread, with locks of the unit held. They must not call the unit's functions, but for
	 * viommu_vtd_remap(), which irq_invalidate and irq_commit may call.
	 */
	/* Send the message of a fault or completion event; it is not remapped. */
	void (*interrupt)(void *opaque, struct viommu_irq_message message);
	/*
	 * The entries first..last of the interrupt table may have changed: resolve what goes through them again. May be
	 * NULL.
	 */
	void (*irq_invalidate)(void *opaque, uint32_t first, uint32_t last);
	/*
	 * All that irq_invalidate() has named so far must be in effect when this returns (the guest's wait descriptor
	 * is next).
	 */
	void (*irq_commit)(void *opaque);
	/*
	 * Called when the unit waits, on any thread inside a call of the unit, perhaps with its locks held: wake the
	 * thread that calls viommu_vtd_poll(), soon, and until that returns 0 whenever viommu_config.progress is
	 * called, and every half deadline (inval.h). May be NULL.
	 */
	void (*pending)(void *opaque);
	void *opaque;
};

/*
 * viommu_vtd_create - make a unit, with all registers as after a reset.
 *
 * Errors:
 *   -E2BIG   @config wants what this library does not know (types.h)
 *   -EINVAL  widths, eim without intremap
 *   -ENOSPC  no endpoint is left for the unit itself
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_vtd_create(struct viommu *v, const struct viommu_vtd_config *config, struct viommu_vtd **out);

/*
 * viommu_vtd_destroy - free it; its endpoints end up blocked. No section or hold of theirs may be open. NULL is
 * allowed.
 */
VIOMMU_PUBLIC void viommu_vtd_destroy(struct viommu_vtd *unit);

/*
 * viommu_vtd_manage - put a blocked endpoint behind this unit, also while the guest runs; its id is its PCI requester
 * id. It bypasses, or is translated where translation is on. On an error nothing has changed. Any thread.
 *
 * Errors:
 *   -EBUSY   a model manages it already, or it is not blocked
 *   -EINVAL  an irq_only unit; an id of more than 16 bits
 *   -EIO     the endpoint has failed and still holds on to memory (inval.h)
 *   -ENOSPC  65 534 domains exist: each endpoint behind a unit has one
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_vtd_manage(struct viommu_vtd *unit, struct viommu_endpoint *endpoint);

/*
 * viommu_vtd_release - take an endpoint back from this unit, also while the guest runs and its device is at work. It is
 * blocked, what the unit has cached of it is gone, and invalidations that name it find no device. @inval waits for all
 * DMA that it has begun, wherever it was attached then. When @inval is complete, and so is each one of the guest that
 * was pending (viommu_vtd_poll()), viommu_endpoint_remove() succeeds, and another model may have it at once. On an
 * error nothing has changed. Any thread.
 *
 * Errors:
 *   -ENOENT  this unit does not manage it
 *   -EBUSY   @inval has begun already
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_vtd_release(struct viommu_vtd *unit, struct viommu_endpoint *endpoint,
				     struct viommu_inval *inval);

/*
 * viommu_vtd_read / viommu_vtd_write - the guest accesses the register page.
 *
 * @offset: from its start
 * @size: 4 or 8 and aligned; anything else reads as 0 and writes nothing
 */
VIOMMU_PUBLIC uint64_t viommu_vtd_read(struct viommu_vtd *unit, uint64_t offset, unsigned size);
VIOMMU_PUBLIC void viommu_vtd_write(struct viommu_vtd *unit, uint64_t offset, uint64_t value, unsigned size);

/*
 * viommu_vtd_poll - go on with what is pending. 0: nothing is any more. Any thread, outside of sections; waits for
 * none.
 *
 * Errors:
 *   -EAGAIN  something is still pending: call again when somebody lets go, or when `pending` is called: that it is
 *            where there is more to do at once, or where another thread was at work in the unit and has finished
 */
VIOMMU_PUBLIC int viommu_vtd_poll(struct viommu_vtd *unit);

/*
 * viommu_vtd_page_open - let the guest read and write the register page as memory, so that what it asks for in steady
 * state needs no access that the embedder has to pass on. The page shows the registers when this returns, and the
 * embedder may let the guest reach it in their place; accesses that still come by viommu_vtd_read() and
 * viommu_vtd_write(), before and after, find the same memory.
 *
 * Only invalidation by the queue goes on while the page is open, and somebody has to look for it, again and again
 * (viommu_vtd_page_look()). Commands, faults and completion events wait until it is closed.
 *
 * Thread rules: this, _look and _close exclude each other, outside of sections. Not open while the unit is
 * destroyed, or reset (viommu_vtd_reset()).
 *
 * @page: VIOMMU_VTD_SIZE bytes, aligned likewise; until it is closed
 *
 * Errors:
 *   -EBUSY  it is open; the queue is off; something else is under way, or a fault or completion waits for the guest
 */
VIOMMU_PUBLIC int viommu_vtd_page_open(struct viommu_vtd *unit, void *page);

/*
 * viommu_vtd_page_look - take what the guest has put into the queue. 1: something; 0: nothing was there,
 * or the page is not open.
 *
 * Errors:
 *   -EBUSY  something waits that needs the page closed: keep the guest away from it, then call viommu_vtd_page_close()
 */
VIOMMU_PUBLIC int viommu_vtd_page_look(struct viommu_vtd *unit);

/*
 * viommu_vtd_page_waits - an event waits for the page to be closed. Any thread. An embedder that asks on a vCPU's
 * thread before it enters the guest, and closes the page then, lets a guest see a fault as early as with registers:
 * what an access that leaves the guest tells of a device comes after what that device has done.
 */
VIOMMU_PUBLIC bool viommu_vtd_page_waits(const struct viommu_vtd *unit);

/*
 * viommu_vtd_page_close - the guest does not reach the page any more: perform what it has written there last, and send
 * the events that waited. Nothing where it is not open.
 */
VIOMMU_PUBLIC void viommu_vtd_page_close(struct viommu_vtd *unit);

/* viommu_vtd_reset - as at power-on: DMA bypasses, interrupts pass. Complete when viommu_vtd_poll() gives 0. */
VIOMMU_PUBLIC void viommu_vtd_reset(struct viommu_vtd *unit);

/*
 * viommu_vtd_remap - what becomes of an interrupt request (section 5.1). Any thread; does not call `pending`.
 *
 * @source: requester id of the sender
 * @out: the message that a CPU gets; the request itself where it passes as it is
 * @index: filled in if not NULL: the table entry that decided, or UINT32_MAX where none did (it passed, or named none)
 * @report: it is really sent now: a refusal is recorded as a fault; otherwise it is only asked what would become of it
 *
 * Errors:
 *   -EPERM  refused; @out is unchanged
 */
VIOMMU_PUBLIC int viommu_vtd_remap(struct viommu_vtd *unit, uint16_t source, const struct viommu_irq_message *in,
				   struct viommu_irq_message *out, uint32_t *index, bool report);

/* Counters since the unit was made. */
struct viommu_vtd_stats {
	size_t size; /* sizeof(struct viommu_vtd_stats): types.h */
	uint64_t context_invalidations, iotlb_invalidations, device_tlb_invalidations, irq_invalidations;
	uint64_t waits;    /* wait descriptors completed */
	uint64_t timeouts; /* invalidations that ended with ITE */
	uint64_t faults_recorded, faults_lost;
	uint64_t enables; /* how often software has switched translation on */
};

/*
 * viommu_vtd_stats_get - read the counters. Any thread.
 *
 * Errors:
 *   -EINVAL  the size in @out is none
 */
VIOMMU_PUBLIC int viommu_vtd_stats_get(struct viommu_vtd *unit, struct viommu_vtd_stats *out);

#ifdef __cplusplus
}
#endif
#endif
