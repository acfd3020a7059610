/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a driver of an Intel VT-d unit has to know (architecture specification, revision 3.3): registers (11.4),
 * descriptors (6.5.2), table entries (9). Written down on its own, so that a mistake in the library's headers is not
 * here, too.
 */
#ifndef PAYLOAD_VTD_REGS_H
#define PAYLOAD_VTD_REGS_H

enum {
	VTD_CAP = 0x08,
	VTD_ECAP = 0x10,
	VTD_GCMD = 0x18,
	VTD_GSTS = 0x1c,
	VTD_RTADDR = 0x20,
	VTD_CCMD = 0x28,
	VTD_FSTS = 0x34,
	VTD_FECTL = 0x38,
	VTD_FEDATA = 0x3c,
	VTD_FEADDR = 0x40,
	VTD_IQH = 0x80,
	VTD_IQT = 0x88,
	VTD_IQA = 0x90,
	VTD_ICS = 0x9c,
	VTD_IECTL = 0xa0,
	VTD_IEDATA = 0xa4,
	VTD_IEADDR = 0xa8,
	VTD_IRTA = 0xb8,
};

#define BIT64(n) (1ull << (n))

/* CAP and ECAP */
#define CAP_CM BIT64(7)
#define CAP_FL5LP BIT64(60)
#define ECAP_QI BIT64(1)
#define ECAP_DT BIT64(2)
#define ECAP_IR BIT64(3)
#define ECAP_EIM BIT64(4)
#define ECAP_SMTS BIT64(43)
#define ECAP_FLTS BIT64(47)

/* GCMD and GSTS */
#define CMD_TE (1u << 31)
#define CMD_SRTP (1u << 30)
#define CMD_QIE (1u << 26)
#define CMD_IRE (1u << 25)
#define CMD_SIRTP (1u << 24)
#define CMD_CFI (1u << 23)

#define RTADDR_SCALABLE (1u << 10)
#define IQA_WIDE (1u << 11)
#define IRTA_EIME (1u << 11)

/* FSTS; FECTL and IECTL; ICS */
#define FSTS_PFO (1u << 0)
#define FSTS_PPF (1u << 1)
#define FSTS_IQE (1u << 4)
#define EVENT_MASKED (1u << 31)
#define EVENT_PENDING (1u << 30)
#define ICS_IWC (1u << 0)

/* Descriptors */
enum {
	DESC_CONTEXT = 1,
	DESC_IOTLB = 2,
	DESC_DEVICE_TLB = 3,
	DESC_IEC = 4,
	DESC_WAIT = 5,
	DESC_PASID_IOTLB = 6,
	DESC_PASID_CACHE = 7,
	DESC_PASID_DEVICE_TLB = 8,
	WAIT_INTERRUPT = 1 << 4,
	WAIT_STATUS = 1 << 5,
};

/* Granularities of context and IOTLB invalidations. */
enum { GLOBAL = 1, DOMAIN = 2, DEVICE = 3, PAGE = 3 };

/* Present, fault processing disable: all of root, context, directory, PASID and interrupt entries. */
#define ENTRY_P 1u
#define ENTRY_FPD 2u
enum { TT_UNTRANSLATED = 0, TT_PASS_THROUGH = 2 << 2, TT_INVALID = 3 << 2 };
enum { PGTT_FIRST = 1 << 6, PGTT_SECOND = 2 << 6, PGTT_PASS_THROUGH = 4 << 6 };

/* Paging entries */
#define SS_R 1u
#define SS_W 2u
#define SS_SNP (1u << 11)
#define FS_P 1u
#define FS_RW 2u
#define FS_US 4u
#define FS_A (1u << 5)
#define FS_D (1u << 6)
#define PT_PS (1u << 7)

#endif
