/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two interrupts of the unit itself (11.4.7, 11.4.8): a cause sets IP; unless IM forbids it the message goes out
 * and IP is clear again. IP also goes when software clears all causes.
 */
#include "lib/model/vtd/unit.h"

#define CAUSES (VTD_FSTS_PFO | VTD_FSTS_PPF | VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE | VTD_FSTS_PRO)

struct event {
	enum vtd_event_register status, control, data, address, upper;
	uint64_t causes;
};

static const struct event fault_event = {EVENT_FSTS, EVENT_FECTL, EVENT_FEDATA, EVENT_FEADDR, EVENT_FEUADDR, CAUSES};
static const struct event completion_event = {EVENT_ICS,    EVENT_IECTL,   EVENT_IEDATA,
					      EVENT_IEADDR, EVENT_IEUADDR, VTD_ICS_IWC};

static void send_unless_masked(struct viommu_vtd *unit, const struct event *event) REQUIRES(unit->event_lock)
{
	uint64_t *control = &unit->event_regs[event->control];

	if (unit->events_held || !(*control & VTD_EVENT_IP) || *control & VTD_EVENT_IM)
		return;
	*control &= ~VTD_EVENT_IP;
	unit->config.interrupt(unit->config.opaque, (struct viommu_irq_message){
							    .address = unit->event_regs[event->address] |
								       unit->event_regs[event->upper] << 32,
							    .data = (uint32_t)unit->event_regs[event->data],
						    });
}

static void event_raise(struct viommu_vtd *unit, const struct event *event, uint64_t cause) REQUIRES(unit->event_lock)
{
	bool first = !(unit->event_regs[event->status] & event->causes);

	unit->event_regs[event->status] |= cause;
	if (unit->events_held)
		/* Relaxed: who sees it closes the page, and takes the lock for that. */
		atomic_store_explicit(&unit->event_waits, true, memory_order_relaxed);
	if (!first)
		return;
	unit->event_regs[event->control] |= VTD_EVENT_IP;
	send_unless_masked(unit, event);
}

void vtd_event_fault_locked(struct viommu_vtd *unit, uint64_t status)
{
	event_raise(unit, &fault_event, status);
}

void vtd_event_fault(struct viommu_vtd *unit, uint64_t status)
{
	lock_take(&unit->event_lock);
	event_raise(unit, &fault_event, status);
	lock_drop(&unit->event_lock);
}

void vtd_event_complete(struct viommu_vtd *unit)
{
	lock_take(&unit->event_lock);
	event_raise(unit, &completion_event, VTD_ICS_IWC);
	lock_drop(&unit->event_lock);
}

bool vtd_event_status(struct viommu_vtd *unit, uint64_t status)
{
	lock_take(&unit->event_lock);
	bool set = unit->event_regs[EVENT_FSTS] & status;

	lock_drop(&unit->event_lock);
	return set;
}

static void event_settle(struct viommu_vtd *unit, const struct event *event) REQUIRES(unit->event_lock)
{
	if (!(unit->event_regs[event->status] & event->causes))
		unit->event_regs[event->control] &= ~VTD_EVENT_IP;
	send_unless_masked(unit, event);
}

void vtd_event_settle_locked(struct viommu_vtd *unit)
{
	event_settle(unit, &fault_event);
}

void vtd_event_written(struct viommu_vtd *unit, enum vtd_event_register reg)
{
	lock_take(&unit->event_lock);
	event_settle(unit, reg == EVENT_FSTS || reg == EVENT_FECTL ? &fault_event : &completion_event);
	lock_drop(&unit->event_lock);
}

bool vtd_event_hold(struct viommu_vtd *unit)
{
	lock_take(&unit->event_lock);
	bool none = !(unit->event_regs[EVENT_FSTS] & CAUSES) && !(unit->event_regs[EVENT_ICS] & VTD_ICS_IWC);

	unit->events_held = none;
	atomic_store_explicit(&unit->event_waits, false, memory_order_relaxed);
	lock_drop(&unit->event_lock);
	return none;
}

bool vtd_event_waits(const struct viommu_vtd *unit)
{
	return atomic_load_explicit(&unit->event_waits, memory_order_relaxed);
}

void vtd_event_release(struct viommu_vtd *unit)
{
	lock_take(&unit->event_lock);
	unit->events_held = false;
	atomic_store_explicit(&unit->event_waits, false, memory_order_relaxed);
	send_unless_masked(unit, &fault_event);
	send_unless_masked(unit, &completion_event);
	lock_drop(&unit->event_lock);
}
