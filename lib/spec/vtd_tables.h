/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d root, context and PASID entries. Intel Virtualization Technology for Directed I/O, architecture specification,
 * revision 3.3, chapter 9. Little-endian; tables are 4 KiB, but for PASID directories. A reserved bit is named where it
 * is so always; what depends on capabilities is the reader's affair. Not supported: nesting, page requests, supervisor
 * privilege, execute permission, memory types.
 */
#ifndef LIB_SPEC_VTD_TABLES_H
#define LIB_SPEC_VTD_TABLES_H

#include <stdbool.h>
#include <stdint.h>

/* The fields that most entries have: P, FPD, and a table's address in bits 63:12. */
#define VTD_ENTRY_P (1ull << 0)
#define VTD_ENTRY_FPD (1ull << 1)
#define VTD_ENTRY_ADDRESS 0xfffffffffffff000ull

/* RTADDR.TTM, 11.4.5 */
enum { VTD_TTM_IS_LEGACY = 0, VTD_TTM_IS_SCALABLE = 1 };

/* 9.1 Root entry, 9.2 scalable-mode root entry (two words: devices 0-15, and 16-31) */
enum { VTD_ROOT_SIZE = 16, VTD_ROOT_UPPER = 8 };
#define VTD_ROOT_RESERVED 0xffeull

static inline uint64_t vtd_root_offset(uint16_t source)
{
	return (source >> 8) * (uint64_t)VTD_ROOT_SIZE;
}

/* 9.3 Context entry */
enum { VTD_CONTEXT_SIZE = 16, VTD_CONTEXT_HIGH = 8 };
#define VTD_CONTEXT_LOW_RESERVED 0xff0ull
#define VTD_CONTEXT_HIGH_RESERVED 0xffffffffff000080ull

/* TT */
enum { VTD_TT_UNTRANSLATED = 0, VTD_TT_ALL = 1, VTD_TT_PASS_THROUGH = 2 };

static inline uint64_t vtd_context_offset(uint16_t source)
{
	return (source & 0xff) * (uint64_t)VTD_CONTEXT_SIZE;
}

static inline unsigned vtd_context_tt(uint64_t low)
{
	return low >> 2 & 3;
}

static inline unsigned vtd_context_aw(uint64_t high)
{
	return high & 7;
}

static inline uint16_t vtd_context_did(uint64_t high)
{
	return (uint16_t)(high >> 8);
}

/* AW, in both modes: 1 is 39 bits in three levels; the same number is the bit of CAP.SAGAW */
static inline unsigned vtd_aw_levels(unsigned aw)
{
	return aw + 2;
}

/* 9.4 Scalable-mode context entry: four words, of which the last two are reserved */
enum { VTD_S_CONTEXT_SIZE = 32, VTD_S_CONTEXT_WORDS = 4 };
#define VTD_S_CONTEXT_DTE (1ull << 2)
#define VTD_S_CONTEXT_PASIDE (1ull << 3)
#define VTD_S_CONTEXT_PRE (1ull << 4)
#define VTD_S_CONTEXT_LOW_RESERVED 0x1e0ull
#define VTD_S_CONTEXT_HIGH_RESERVED 0xffffffffffe00000ull

/* In its half of the bus's devices */
static inline uint64_t vtd_s_context_offset(uint16_t source)
{
	return (source & 0x7f) * (uint64_t)VTD_S_CONTEXT_SIZE;
}

static inline bool vtd_s_context_upper(uint16_t source)
{
	return source & 0x80;
}

/* PDTS: entries of the PASID directory, each for 64 PASIDs */
static inline uint32_t vtd_s_context_pasids(uint64_t low)
{
	return 64u << ((low >> 9 & 7) + 7);
}

static inline uint32_t vtd_s_context_rid_pasid(uint64_t high)
{
	return high & 0xfffff;
}

/* 9.5 Scalable-mode PASID directory entry */
#define VTD_DIRECTORY_RESERVED 0xffcull

static inline uint64_t vtd_directory_offset(uint32_t pasid)
{
	return (pasid >> 6) * sizeof(uint64_t);
}

/* 9.6 Scalable-mode PASID table entry: eight words */
enum { VTD_PASID_SIZE = 64, VTD_PASID_WORDS = 8 };
#define VTD_PASID_0_RESERVED 0xc20ull
#define VTD_PASID_0_SSADE (1ull << 9)
#define VTD_PASID_1_RESERVED 0xfffffffffe7f0000ull
#define VTD_PASID_2_EAFE (1ull << 7)
#define VTD_PASID_2_RESERVED 0xf00ull

enum vtd_pgtt { VTD_PGTT_FIRST = 1, VTD_PGTT_SECOND = 2, VTD_PGTT_NESTED = 3, VTD_PGTT_PASS_THROUGH = 4 };

static inline uint64_t vtd_pasid_offset(uint32_t pasid)
{
	return (pasid & 63) * (uint64_t)VTD_PASID_SIZE;
}

static inline unsigned vtd_pasid_aw(uint64_t word0)
{
	return word0 >> 2 & 7;
}

static inline unsigned vtd_pasid_pgtt(uint64_t word0)
{
	return word0 >> 6 & 7;
}

static inline uint16_t vtd_pasid_did(uint64_t word1)
{
	return (uint16_t)word1;
}

/* FLPM: 0 four levels, 1 five, others reserved */
static inline unsigned vtd_pasid_flpm(uint64_t word2)
{
	return word2 >> 2 & 3;
}

#endif
