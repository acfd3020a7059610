/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d first-stage tables, four or five levels, for requests without supervisor privilege: all that devices make here.
 * Walks write: they mark entries as accessed and dirty in guest memory.
 */
#ifndef LIB_FMT_VTD_FS_H
#define LIB_FMT_VTD_FS_H

#include <assert.h>

#include "lib/fmt/walk.h"
#include "lib/spec/vtd_pt.h"

static_assert(VTD_FS_P == VIOMMU_READ && VTD_FS_RW == VIOMMU_WRITE, "rights in place");

/* What the unit's CAP register says (10.4.2), and the PASID entry (9.6). */
struct vtd_fs_caps {
	unsigned host_width; /* HAW, as in the DMAR table */
	bool pages_1g;       /* CAP.FL1GP */
	bool no_execute;     /* NXE; false: XD is reserved */
};

/* 9.7, and 3.6 for what the bits do. A is set at each level, D in the leaf of a write (3.6.2). */
static const struct pt_format vtd_fs_format = {
	.index_bits = VTD_PT_INDEX_BITS,
	.page_shift = VTD_PT_PAGE_SHIFT,
	.address = VTD_PT_ADDRESS,
	.present = VTD_FS_P,
	.user = VTD_FS_US,
	.rights_shift = 0, /* what is present can be read; VTD_FS_RW */
	.large = VTD_PT_PS,
	.accessed = VTD_FS_A,
	.dirty = VTD_FS_D,
	.canonical = true,
};

static inline uint64_t vtd_fs_leaf_reserved(const struct vtd_fs_caps *caps, unsigned level)
{
	uint64_t bits = (vtd_pt_size(level) - 1) & VTD_PT_ADDRESS & ~VTD_FS_PAT_LARGE;

	if ((level == VTD_PT_LEVEL_1G && !caps->pages_1g) || level > VTD_PT_LEVEL_1G)
		bits |= VTD_PT_PS;
	return bits;
}

/*
 * @top: guest-physical address of the first table, page-aligned
 * @levels: 4 or 5, which the caller has checked against CAP.FL5LP
 */
static inline void vtd_fs_init(struct pt_space *space, uint64_t top, unsigned levels, const struct vtd_fs_caps *caps)
{
	uint64_t always = VTD_PT_ADDRESS & ~((1ull << caps->host_width) - 1);

	if (!caps->no_execute)
		always |= VTD_FS_XD;
	*space = (struct pt_space){
		.top = top, .levels = levels, .width = VTD_PT_PAGE_SHIFT + VTD_PT_INDEX_BITS * levels};
	for (unsigned level = 1; level <= levels; level++) {
		space->reserved[level][0] = always;
		space->reserved[level][1] = always | vtd_fs_leaf_reserved(caps, level);
	}
}

/* As pt_walk(). */
static inline enum pt_end vtd_fs_walk(const struct pt_space *space, struct pt_memory *memory, uint64_t iova,
				      unsigned access, struct pt_cursor *cursor, struct pt_leaf *leaf)
{
	return pt_walk(&vtd_fs_format, space, memory, iova, access, cursor, leaf);
}

#endif
