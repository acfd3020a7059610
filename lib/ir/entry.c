/* SPDX-License-Identifier: BSD-2-Clause */
/* What an interrupt remapping table entry says (VT-d 9.10). */
#include "lib/ir/ir.h"

/* 3 and 6 are reserved. */
static bool mode_exists(unsigned mode)
{
	return 1u << mode & (1u << VTD_DLM_FIXED | 1u << VTD_DLM_LOWEST | 1u << VTD_DLM_SMI | 1u << VTD_DLM_NMI |
			     1u << VTD_DLM_INIT | 1u << VTD_DLM_EXTINT);
}

static bool reserved_clear(struct vtd_irte irte, bool extended)
{
	const uint64_t low = VTD_IRTE_LOW_RESERVED | (extended ? 0 : VTD_IRTE_LOW_RESERVED_XAPIC);

	return !(irte.low & low) && !(irte.high & VTD_IRTE_HIGH_RESERVED) && mode_exists(vtd_irte_delivery_mode(irte));
}

static bool source_allowed(struct vtd_irte irte, uint16_t requester)
{
	/* SQ: function bits that do not count; the phantom functions of a device differ in the high ones first. */
	static const uint16_t ignored[] = {0, 1 << 2, 3 << 1, 7};
	const uint16_t id = vtd_irte_source_id(irte);
	const unsigned bus = requester >> 8;

	switch (vtd_irte_source_validation(irte)) {
	case VTD_SVT_NONE:
		return true;
	case VTD_SVT_ID:
		return !((id ^ requester) & (uint16_t)~ignored[vtd_irte_source_qualifier(irte)]);
	case VTD_SVT_BUS:
		return id >> 8 <= bus && bus <= (id & 0xff);
	default: /* reserved: nobody is allowed */
		return false;
	}
}

static struct viommu_irq_message make_message(struct vtd_irte irte, bool extended)
{
	const uint32_t destination = vtd_irte_destination(irte, extended);
	struct viommu_irq_message message = {
		.address = VTD_MSI_WINDOW | (destination & VTD_MSI_DESTINATION_LOW) << VTD_MSI_DESTINATION_SHIFT |
			   (uint64_t)(destination & ~VTD_MSI_DESTINATION_LOW) << 32,
		.data = vtd_irte_vector(irte) | vtd_irte_delivery_mode(irte) << VTD_MSI_MODE_SHIFT,
	};

	if (vtd_irte_logical(irte))
		message.address |= VTD_MSI_LOGICAL;
	if (vtd_irte_redirection_hint(irte))
		message.address |= VTD_MSI_REDIRECTION_HINT;
	if (vtd_irte_level(irte))
		message.data |= VTD_MSI_DATA_LEVEL | VTD_MSI_DATA_ASSERT;
	return message;
}

static enum ir_outcome block(struct vtd_irte irte, enum vtd_ir_fault fault, struct ir_result *out)
{
	out->fault = fault;
	out->silent = vtd_irte_faults_disabled(irte);
	return IR_BLOCKED;
}

enum ir_outcome ir_entry_remap(struct vtd_irte irte, bool extended, uint16_t requester, struct ir_result *out)
{
	if (!vtd_irte_present(irte))
		return block(irte, VTD_IR_FAULT_NOT_PRESENT, out);
	if (!reserved_clear(irte, extended))
		return block(irte, VTD_IR_FAULT_ENTRY_RESERVED, out);
	if (!source_allowed(irte, requester))
		return block(irte, VTD_IR_FAULT_SOURCE, out);
	out->message = make_message(irte, extended);
	return IR_REMAPPED;
}
