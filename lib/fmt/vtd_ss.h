/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d second-stage tables: three to five levels; what the legacy mode and the second stage of the scalable mode have.
 */
#ifndef LIB_FMT_VTD_SS_H
#define LIB_FMT_VTD_SS_H

#include <assert.h>

#include "lib/fmt/walk.h"
#include "lib/spec/vtd_pt.h"

static_assert(VTD_SS_R == VIOMMU_READ && VTD_SS_W == VIOMMU_WRITE, "rights in place");

/* What the unit's CAP and ECAP registers say (10.4.2, 10.4.3). */
struct vtd_ss_caps {
	unsigned host_width;  /* HAW, as in the DMAR table: guest-physical addresses have so many bits */
	unsigned guest_width; /* CAP.MGAW + 1 */
	bool pages_2m, pages_1g;
	bool snoop_control; /* ECAP.SC */
	bool device_tlb;    /* ECAP.DT; false where leaves must not have TM */
};

/* 9.8, and 3.7 for what the bits do. */
static const struct pt_format vtd_ss_format = {
	.index_bits = VTD_PT_INDEX_BITS,
	.page_shift = VTD_PT_PAGE_SHIFT,
	.address = VTD_PT_ADDRESS,
	.present = VTD_SS_R | VTD_SS_W,
	.rights_shift = 0, /* VTD_SS_R, VTD_SS_W */
	.large = VTD_PT_PS,
};

/* Reserved in a leaf of this level. A leaf's address is a multiple of its size. */
static inline uint64_t vtd_ss_leaf_reserved(const struct vtd_ss_caps *caps, unsigned level)
{
	uint64_t bits = (vtd_pt_size(level) - 1) & VTD_PT_ADDRESS;

	if (!caps->snoop_control)
		bits |= VTD_SS_SNP;
	if (!caps->device_tlb)
		bits |= VTD_SS_TM;
	if ((level == VTD_PT_LEVEL_2M && !caps->pages_2m) || (level == VTD_PT_LEVEL_1G && !caps->pages_1g) ||
	    level > VTD_PT_LEVEL_1G)
		bits |= VTD_PT_PS;
	return bits;
}

/*
 * @top: guest-physical address of the first table, page-aligned
 * @levels: 3 to 5, which the caller has checked against CAP.SAGAW
 */
static inline void vtd_ss_init(struct pt_space *space, uint64_t top, unsigned levels, const struct vtd_ss_caps *caps)
{
	uint64_t beyond = VTD_PT_ADDRESS & ~((1ull << caps->host_width) - 1);
	unsigned width = VTD_PT_PAGE_SHIFT + VTD_PT_INDEX_BITS * levels;

	/* 3.7: a request for an address beyond the smaller of MGAW and AGAW is blocked. */
	*space = (struct pt_space){
		.top = top, .levels = levels, .width = width < caps->guest_width ? width : caps->guest_width};
	for (unsigned level = 1; level <= levels; level++) {
		space->reserved[level][0] = beyond | VTD_SS_SNP | VTD_SS_TM;
		space->reserved[level][1] = beyond | vtd_ss_leaf_reserved(caps, level);
	}
}

/* As pt_walk(). An address within the interrupt window, before or after translation, is the caller's affair. */
static inline enum pt_end vtd_ss_walk(const struct pt_space *space, struct pt_memory *memory, uint64_t iova,
				      unsigned access, struct pt_cursor *cursor, struct pt_leaf *leaf)
{
	return pt_walk(&vtd_ss_format, space, memory, iova, access, cursor, leaf);
}

#endif
