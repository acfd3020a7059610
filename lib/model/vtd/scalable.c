/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Root, context and PASID tables of the scalable mode, sections 3.4.3, 9.2, 9.4 to 9.6. All requests come without
 * PASID: the context entry's RID_PASID stands for it.
 */
#include "lib/model/vtd/tables.h"

static unsigned scalable_load_root(const struct vtd_caps *caps, const struct memory *memory, uint64_t gpa,
				   uint64_t *table)
{
	uint64_t word;

	if (!vtd_load(memory, gpa, &word))
		return VTD_FAULT_S_ROOT_ACCESS;
	if (!(word & VTD_ENTRY_P))
		return VTD_FAULT_S_ROOT_NOT_PRESENT;
	if (word & (VTD_ROOT_RESERVED | vtd_beyond_host(caps)))
		return VTD_FAULT_S_ROOT_RESERVED;
	*table = word & VTD_ENTRY_ADDRESS;
	return 0;
}

/* 9.4: DTE, PASIDE and PRE are reserved where the unit has not what they switch on. The latter two it never has. */
static uint64_t context_reserved(const struct vtd_caps *caps)
{
	uint64_t reserved = VTD_S_CONTEXT_LOW_RESERVED | VTD_S_CONTEXT_PASIDE | VTD_S_CONTEXT_PRE;

	if (!(caps->ecap & VTD_ECAP_DT))
		reserved |= VTD_S_CONTEXT_DTE;
	return reserved | vtd_beyond_host(caps);
}

/* Gives the GPA of the PASID directory's entry. */
static unsigned load_context(const struct vtd_caps *caps, const struct memory *memory, uint64_t gpa,
			     struct vtd_context *context, uint64_t *directory)
{
	uint64_t words[VTD_S_CONTEXT_WORDS];

	for (unsigned i = 0; i < VTD_S_CONTEXT_WORDS; i++) {
		if (!vtd_load(memory, gpa + i * sizeof(words[0]), &words[i]))
			return VTD_FAULT_S_CONTEXT_ACCESS;
		if (i)
			continue;
		context->silent = words[0] & VTD_ENTRY_FPD;
		if (!(words[0] & VTD_ENTRY_P))
			return VTD_FAULT_S_CONTEXT_NOT_PRESENT;
	}
	if (words[0] & context_reserved(caps) || words[1] & VTD_S_CONTEXT_HIGH_RESERVED || words[2] || words[3])
		return VTD_FAULT_S_CONTEXT_RESERVED;
	context->pasid = vtd_s_context_rid_pasid(words[1]);
	context->translated_ok = words[0] & VTD_S_CONTEXT_DTE;
	if (context->pasid >= vtd_s_context_pasids(words[0]))
		return VTD_FAULT_S_RID_PASID;
	*directory = (words[0] & VTD_ENTRY_ADDRESS) + vtd_directory_offset(context->pasid);
	return 0;
}

/* Gives the GPA of the PASID's entry. */
static unsigned load_directory(const struct vtd_caps *caps, const struct memory *memory, uint64_t gpa,
			       struct vtd_context *context, uint64_t *entry)
{
	uint64_t word;

	if (!vtd_load(memory, gpa, &word))
		return VTD_FAULT_DIRECTORY_ACCESS;
	context->silent |= !!(word & VTD_ENTRY_FPD);
	if (!(word & VTD_ENTRY_P))
		return VTD_FAULT_DIRECTORY_NOT_PRESENT;
	if (word & (VTD_DIRECTORY_RESERVED | vtd_beyond_host(caps)))
		return VTD_FAULT_DIRECTORY_RESERVED;
	*entry = (word & VTD_ENTRY_ADDRESS) + vtd_pasid_offset(context->pasid);
	return 0;
}

/*
 * 9.6: a pointer counts only where PGTT makes use of it. SRE and its neighbours change nothing for requests of users,
 * and Linux before 6.1 sets SRE whatever ECAP says.
 */
static bool pasid_reserved(const struct vtd_caps *caps, const uint64_t words[VTD_PASID_WORDS])
{
	unsigned pgtt = vtd_pasid_pgtt(words[0]);
	uint64_t reserved_0 = VTD_PASID_0_RESERVED | VTD_PASID_0_SSADE,
		 reserved_2 = VTD_PASID_2_RESERVED | VTD_PASID_2_EAFE;

	if (pgtt == VTD_PGTT_SECOND)
		reserved_0 |= vtd_beyond_host(caps);
	if (pgtt == VTD_PGTT_FIRST)
		reserved_2 |= vtd_beyond_host(caps);
	if (words[0] & reserved_0 || words[1] & VTD_PASID_1_RESERVED || words[2] & reserved_2)
		return true;
	for (unsigned i = 3; i < VTD_PASID_WORDS; i++)
		if (words[i])
			return true;
	return false;
}

static bool take_second_stage(const struct vtd_caps *caps, const uint64_t words[VTD_PASID_WORDS],
			      struct vtd_context *context)
{
	context->kind = VTD_SECOND_STAGE;
	context->levels = vtd_aw_levels(vtd_pasid_aw(words[0]));
	context->table = words[0] & VTD_ENTRY_ADDRESS;
	return caps->ecap & VTD_ECAP_SLTS && vtd_aw_supported(caps, vtd_pasid_aw(words[0]));
}

static bool take_first_stage(const struct vtd_caps *caps, const uint64_t words[VTD_PASID_WORDS],
			     struct vtd_context *context)
{
	unsigned flpm = vtd_pasid_flpm(words[2]);

	context->kind = VTD_FIRST_STAGE;
	context->levels = 4 + flpm;
	context->table = words[2] & VTD_ENTRY_ADDRESS;
	return caps->ecap & VTD_ECAP_FLTS && (!flpm || (flpm == 1 && caps->cap & VTD_CAP_FL5LP));
}

static bool scalable_take_type(const struct vtd_caps *caps, const uint64_t words[VTD_PASID_WORDS],
			       struct vtd_context *context)
{
	switch (vtd_pasid_pgtt(words[0])) {
	case VTD_PGTT_FIRST:
		return take_first_stage(caps, words, context);
	case VTD_PGTT_SECOND:
		return take_second_stage(caps, words, context);
	case VTD_PGTT_PASS_THROUGH:
		context->kind = VTD_PASS_THROUGH;
		return caps->ecap & VTD_ECAP_PT;
	default: /* nested translation is not offered (ECAP.NEST) */
		return false;
	}
}

static unsigned load_pasid(const struct vtd_caps *caps, const struct memory *memory, uint64_t gpa,
			   struct vtd_context *context)
{
	uint64_t words[VTD_PASID_WORDS];

	for (unsigned i = 0; i < VTD_PASID_WORDS; i++) {
		if (!vtd_load(memory, gpa + i * sizeof(words[0]), &words[i]))
			return VTD_FAULT_PASID_ACCESS;
		if (i)
			continue;
		context->silent |= !!(words[0] & VTD_ENTRY_FPD);
		if (!(words[0] & VTD_ENTRY_P))
			return VTD_FAULT_PASID_NOT_PRESENT;
	}
	if (pasid_reserved(caps, words))
		return VTD_FAULT_PASID_RESERVED;
	context->did = vtd_pasid_did(words[1]);
	return scalable_take_type(caps, words, context) ? 0 : VTD_FAULT_PASID_INVALID;
}

unsigned vtd_context_load_scalable(const struct vtd_caps *caps, const struct memory *memory, struct vtd_root root,
				   uint16_t source, struct vtd_context *context)
{
	uint64_t half = vtd_s_context_upper(source) ? VTD_ROOT_UPPER : 0, at = 0;

	*context = (struct vtd_context){.scalable = true};
	if (root.table & vtd_beyond_host(caps))
		return VTD_FAULT_S_ROOT_ADDRESS;
	unsigned reason = scalable_load_root(caps, memory, root.table + vtd_root_offset(source) + half, &at);

	if (!reason)
		reason = load_context(caps, memory, at + vtd_s_context_offset(source), context, &at);
	if (!reason)
		reason = load_directory(caps, memory, at, context, &at);
	if (!reason)
		reason = load_pasid(caps, memory, at, context);
	return reason;
}
