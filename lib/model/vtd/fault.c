/* SPDX-License-Identifier: BSD-2-Clause */
/* Primary fault logging (7.2.1): a ring of records that software empties; while PFO is set nothing is recorded. */
#include <string.h>

#include "lib/model/vtd/unit.h"
#include "lib/spec/vtd_fault.h"

static bool record_pending(const struct viommu_vtd *unit, unsigned index) REQUIRES(unit->event_lock)
{
	return unit->records[index].high & VTD_FRCD_F;
}

/* A device that goes on and on takes one record, and leaves the others to others. */
static bool collapses(const struct viommu_vtd *unit, uint16_t source) REQUIRES(unit->event_lock)
{
	for (unsigned i = 0; i < VTD_RECORDS; i++)
		if (record_pending(unit, i) && (uint16_t)unit->records[i].high == source)
			return true;
	return false;
}

static void fill(struct viommu_vtd *unit, unsigned index, const struct vtd_fault *fault) REQUIRES(unit->event_lock)
{
	uint64_t high = VTD_FRCD_F | (uint64_t)fault->reason << VTD_FRCD_REASON_SHIFT | fault->source;

	if (fault->read)
		high |= VTD_FRCD_T;
	if (fault->has_pasid)
		high |= VTD_FRCD_PP | (uint64_t)(fault->pasid & 0xfffff) << VTD_FRCD_PASID_SHIFT;
	unit->records[index].low = fault->info & VTD_MASK(63, 12);
	unit->records[index].high = high;
}

static void record(struct viommu_vtd *unit, const struct vtd_fault *fault) REQUIRES(unit->event_lock)
{
	unsigned index = unit->next_record;
	uint64_t *status = &unit->event_regs[EVENT_FSTS];

	if (*status & VTD_FSTS_PFO || collapses(unit, fault->source)) {
		unit->lost++;
		return;
	}
	if (record_pending(unit, index)) {
		unit->lost++;
		vtd_event_fault_locked(unit, VTD_FSTS_PFO);
		return;
	}
	fill(unit, index, fault);
	unit->recorded++;
	unit->next_record = (index + 1) % VTD_RECORDS;
	if (!(*status & VTD_FSTS_PPF))
		*status = (*status & ~VTD_FSTS_FRI) | (uint64_t)index << VTD_FSTS_FRI_SHIFT;
	vtd_event_fault_locked(unit, VTD_FSTS_PPF);
}

void vtd_fault_record(struct viommu_vtd *unit, const struct vtd_fault *fault)
{
	if (fault->qualified && fault->silent)
		return;
	lock_take(&unit->event_lock);
	record(unit, fault);
	lock_drop(&unit->event_lock);
}

void vtd_fault_sink(void *opaque, const struct viommu_fault *fault)
{
	unsigned reason = fault->detail;

	if (!reason) /* not of translation: no memory there, or an address for interrupts */
		return;
	vtd_fault_record(opaque, &(struct vtd_fault){
					 .source = (uint16_t)fault->endpoint,
					 .reason = (uint8_t)reason,
					 .read = !(fault->access & VIOMMU_WRITE) || reason == VTD_FAULT_NO_READ ||
						 reason == VTD_FAULT_S_NO_READ,
					 .qualified = vtd_fault_qualified(reason),
					 .silent = fault->silent,
					 .info = fault->iova.value & ~(uint64_t)0xfff,
				 });
}

uint32_t vtd_record_read(struct viommu_vtd *unit, unsigned offset)
{
	unsigned index = offset / VTD_FRCD_SIZE;

	lock_take(&unit->event_lock);
	uint64_t word = offset & 8 ? unit->records[index].high : unit->records[index].low;

	lock_drop(&unit->event_lock);
	return (uint32_t)(word >> (offset & 4 ? 32 : 0));
}

void vtd_record_write(struct viommu_vtd *unit, unsigned offset, uint32_t value)
{
	unsigned index = offset / VTD_FRCD_SIZE;
	bool any = false;

	if (offset % VTD_FRCD_SIZE != 12 || !((uint64_t)value << 32 & VTD_FRCD_F))
		return;
	lock_take(&unit->event_lock);
	unit->records[index].high &= ~VTD_FRCD_F;
	for (unsigned i = 0; i < VTD_RECORDS; i++)
		any |= record_pending(unit, i);
	if (!any)
		unit->event_regs[EVENT_FSTS] &= ~VTD_FSTS_PPF;
	vtd_event_settle_locked(unit);
	lock_drop(&unit->event_lock);
}

void vtd_records_reset(struct viommu_vtd *unit)
{
	lock_take(&unit->event_lock);
	memset(unit->records, 0, sizeof(unit->records));
	unit->next_record = 0;
	lock_drop(&unit->event_lock);
}
