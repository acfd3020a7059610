/* SPDX-License-Identifier: BSD-2-Clause */
/* Root and context tables of the legacy mode, sections 3.4.1, 3.4.2, 9.1, 9.3. */
#include "lib/model/vtd/tables.h"

static unsigned context_load_root(const struct vtd_caps *caps, const struct memory *memory, uint64_t gpa,
				  uint64_t *table)
{
	uint64_t low, high;

	if (!vtd_load(memory, gpa, &low))
		return VTD_FAULT_ROOT_ACCESS;
	if (!(low & VTD_ENTRY_P))
		return VTD_FAULT_ROOT_NOT_PRESENT;
	if (!vtd_load(memory, gpa + VTD_ROOT_UPPER, &high))
		return VTD_FAULT_ROOT_ACCESS;
	if (low & (VTD_ROOT_RESERVED | vtd_beyond_host(caps)) || high)
		return VTD_FAULT_ROOT_RESERVED;
	*table = low & VTD_ENTRY_ADDRESS;
	return 0;
}

/* TT: what the unit offers decides what is valid. */
static bool context_take_type(const struct vtd_caps *caps, unsigned tt, struct vtd_context *context)
{
	context->kind = tt == VTD_TT_PASS_THROUGH ? VTD_PASS_THROUGH : VTD_SECOND_STAGE;
	context->translated_ok = tt == VTD_TT_ALL;
	switch (tt) {
	case VTD_TT_UNTRANSLATED:
		return true;
	case VTD_TT_ALL:
		return caps->ecap & VTD_ECAP_DT;
	case VTD_TT_PASS_THROUGH:
		return caps->ecap & VTD_ECAP_PT;
	default:
		return false;
	}
}

/* 9.3: the pointer means nothing to pass-through; AW must be a width that the unit has all the same. */
static unsigned context_decode(const struct vtd_caps *caps, uint64_t low, uint64_t high, struct vtd_context *context)
{
	bool pass = vtd_context_tt(low) == VTD_TT_PASS_THROUGH;
	uint64_t reserved = VTD_CONTEXT_LOW_RESERVED | (pass ? 0 : vtd_beyond_host(caps));

	if (low & reserved || high & VTD_CONTEXT_HIGH_RESERVED)
		return VTD_FAULT_CONTEXT_RESERVED;
	if (!vtd_aw_supported(caps, vtd_context_aw(high)) || !context_take_type(caps, vtd_context_tt(low), context))
		return VTD_FAULT_CONTEXT_INVALID;
	context->did = vtd_context_did(high);
	context->levels = vtd_aw_levels(vtd_context_aw(high));
	context->table = low & VTD_ENTRY_ADDRESS;
	return 0;
}

unsigned vtd_context_load(const struct vtd_caps *caps, const struct memory *memory, struct vtd_root root,
			  uint16_t source, struct vtd_context *context)
{
	uint64_t table, low, high;

	*context = (struct vtd_context){0};
	unsigned reason = context_load_root(caps, memory, root.table + vtd_root_offset(source), &table);

	if (reason)
		return reason;
	table += vtd_context_offset(source);
	if (!vtd_load(memory, table, &low))
		return VTD_FAULT_CONTEXT_ACCESS;
	context->silent = low & VTD_ENTRY_FPD;
	if (!(low & VTD_ENTRY_P))
		return VTD_FAULT_CONTEXT_NOT_PRESENT;
	if (!vtd_load(memory, table + VTD_CONTEXT_HIGH, &high))
		return VTD_FAULT_CONTEXT_ACCESS;
	return context_decode(caps, low, high, context);
}
