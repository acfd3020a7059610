/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d paging entries. Intel Virtualization Technology for Directed I/O, Architecture Specification, revision 3.3,
 * sections 3.6 and 3.7 (how they are walked), 9.7 and 9.8 (their fields). Little-endian, 8 bytes, 512 in a table of 4
 * KiB.
 *
 * A table's level counts from the leaves: 1 is where 4 KiB pages are, 5 the top of five levels. Not supported: EA (bit
 * 10 of first-stage entries, ECAP.EAFS), A and D of second-stage entries (bits 8 and 9, ECAP.SLADS), nesting.
 */
#ifndef LIB_SPEC_VTD_PT_H
#define LIB_SPEC_VTD_PT_H

#include <stdint.h>

enum {
	VTD_PT_INDEX_BITS = 9,
	VTD_PT_PAGE_SHIFT = 12,
	VTD_PT_LEVELS = 5, /* the most that there can be */
	VTD_PT_LEVEL_4K = 1,
	VTD_PT_LEVEL_2M = 2,
	VTD_PT_LEVEL_1G = 3,
};

/* Both formats: bits 51:12, of which those from the host address width up are reserved. */
#define VTD_PT_ADDRESS 0x000ffffffffff000ull

/* Both formats: this entry of level 2 or 3 is a leaf; reserved above; ignored, or of another meaning, in level 1. */
#define VTD_PT_PS (1ull << 7)

/* 9.8 Second-stage paging entries. Neither R nor W: not present. Bits 2, 6:3, 10:8, 61:52 and 63 are ignored. */
#define VTD_SS_R (1ull << 0)
#define VTD_SS_W (1ull << 1)
#define VTD_SS_SNP (1ull << 11) /* leaves only, where ECAP.SC is set; else reserved */
#define VTD_SS_TM (1ull << 62)  /* leaves only, where ECAP.DT is set (gone from later revisions); else reserved */

/*
 * 9.7 First-stage paging entries, which look like those of an x86-64 processor. Bits 62:52, 11:8, 4:3 and a leaf's PAT
 * are ignored.
 */
#define VTD_FS_P (1ull << 0)
#define VTD_FS_RW (1ull << 1)
#define VTD_FS_US (1ull << 2)
#define VTD_FS_A (1ull << 5)
#define VTD_FS_D (1ull << 6)
#define VTD_FS_PAT_LARGE (1ull << 12) /* of large pages; their address starts above it */
#define VTD_FS_XD (1ull << 63)

/* Bytes that an entry of this level stands for. */
static inline uint64_t vtd_pt_size(unsigned level)
{
	return 1ull << (VTD_PT_PAGE_SHIFT + VTD_PT_INDEX_BITS * (level - 1));
}

#endif
