/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt remapping (5.1): the unit's registers in front of lib/ir. The unit caches no entries. The embedder, whose
 * routes keep outcomes, is the interrupt entry cache: irq_invalidate() tells it what invalidations name.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/model/vtd/unit.h"

void vtd_irq_latch(struct viommu_vtd *unit)
{
	uint64_t irta = unit->regs[REG_IRTA];

	spin_take(&unit->irq_lock);
	unit->irq_table.gpa = irta & VTD_IRTA_BASE;
	unit->irq_table.count = 2u << (irta & VTD_IRTA_S);
	unit->irq_table.extended = irta & VTD_IRTA_EIME;
	spin_drop(&unit->irq_lock);
	vtd_irq_invalidate(unit, 0, UINT32_MAX);
	vtd_irq_commit(unit);
}

void vtd_irq_switch(struct viommu_vtd *unit, bool enabled, bool compatibility)
{
	spin_take(&unit->irq_lock);
	unit->irq_table.enabled = enabled;
	unit->irq_table.compatibility_passes = compatibility;
	spin_drop(&unit->irq_lock);
	vtd_irq_invalidate(unit, 0, UINT32_MAX);
	vtd_irq_commit(unit);
}

void vtd_irq_invalidate(struct viommu_vtd *unit, uint32_t first, uint32_t last)
{
	unit->irq_changed = true;
	if (unit->config.irq_invalidate)
		unit->config.irq_invalidate(unit->config.opaque, first, last);
}

void vtd_irq_commit(struct viommu_vtd *unit)
{
	if (unit->irq_changed && unit->config.irq_commit)
		unit->config.irq_commit(unit->config.opaque);
	unit->irq_changed = false;
}

static int read_memory(void *opaque, uint64_t gpa, void *buffer, size_t len)
{
	return vtd_guest_read(opaque, gpa, buffer, len);
}

static bool qualified(enum vtd_ir_fault fault)
{
	return fault == VTD_IR_FAULT_NOT_PRESENT || fault == VTD_IR_FAULT_ENTRY_RESERVED ||
	       fault == VTD_IR_FAULT_SOURCE;
}

static const char *reason_name(enum vtd_ir_fault fault)
{
	switch (fault) {
	case VTD_IR_FAULT_REQUEST_RESERVED:
		return "reserved bits in the request";
	case VTD_IR_FAULT_INDEX:
		return "beyond the table";
	case VTD_IR_FAULT_NOT_PRESENT:
		return "entry not present";
	case VTD_IR_FAULT_UNREADABLE:
		return "entry not readable";
	case VTD_IR_FAULT_ENTRY_RESERVED:
		return "reserved bits in the entry";
	case VTD_IR_FAULT_COMPATIBILITY:
		return "compatibility format is blocked";
	case VTD_IR_FAULT_SOURCE:
		return "the entry is another device's";
	}
	return "unknown reason";
}

static void irq_report(struct viommu_vtd *unit, uint16_t source, const struct ir_result *result)
{
	uint64_t index = result->index == IR_NO_INDEX ? 0 : result->index;
	char line[128];

	snprintf(line, sizeof(line), "fault: 0000:%02x:%02x.%x interrupt %" PRIu64 ": %s", source >> 8,
		 source >> 3 & 31, source & 7, index, reason_name(result->fault));
	viommu__fault_line(unit->v, line);
	vtd_fault_record(unit, &(struct vtd_fault){
				       .source = source,
				       .reason = (uint8_t)result->fault,
				       .qualified = qualified(result->fault),
				       .silent = result->silent,
				       .info = index << 48,
			       });
}

int viommu_vtd_remap(struct viommu_vtd *unit, uint16_t source, const struct viommu_irq_message *in,
		     struct viommu_irq_message *out, uint32_t *index, bool really)
{
	const struct ir_memory memory = {read_memory, unit};
	struct ir_result result;
	struct ir_table table;

	spin_take(&unit->irq_lock);
	table = unit->irq_table;
	spin_drop(&unit->irq_lock);
	enum ir_outcome outcome = ir_remap(&table, &memory, source, in, &result);

	if (index)
		*index = result.index;
	if (outcome == IR_BLOCKED) {
		if (really)
			irq_report(unit, source, &result);
		return -EPERM;
	}
	*out = result.message;
	return 0;
}
