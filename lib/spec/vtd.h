/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel Virtualization Technology for Directed I/O, architecture specification, revision 3.3: registers (chapter 11),
 * invalidation descriptors (6.5.2) and fault reasons (7.1.3). Tables are in vtd_tables.h, paging entries in vtd_pt.h,
 * interrupt entries in vtd_irq.h. Not supported: protected memory regions, advanced fault log, page requests, posted
 * interrupts, performance monitoring, virtual and enhanced commands; their registers do not exist.
 */
#ifndef LIB_SPEC_VTD_H
#define LIB_SPEC_VTD_H

#include <stdint.h>

#define VTD_BIT(n) (1ull << (n))
/* Bits high..low. */
#define VTD_MASK(high, low) ((UINT64_MAX >> (63 - (high))) & (UINT64_MAX << (low)))

static inline uint64_t vtd_field(uint64_t value, unsigned high, unsigned low)
{
	return (value & VTD_MASK(high, low)) >> low;
}

/* 11.4 Registers: byte offsets */
enum {
	VTD_VER = 0x000,
	VTD_CAP = 0x008,
	VTD_ECAP = 0x010,
	VTD_GCMD = 0x018,
	VTD_GSTS = 0x01c,
	VTD_RTADDR = 0x020,
	VTD_CCMD = 0x028,
	VTD_FSTS = 0x034,
	VTD_FECTL = 0x038,
	VTD_FEDATA = 0x03c,
	VTD_FEADDR = 0x040,
	VTD_FEUADDR = 0x044,
	VTD_PMEN = 0x064,
	VTD_IQH = 0x080,
	VTD_IQT = 0x088,
	VTD_IQA = 0x090,
	VTD_ICS = 0x09c,
	VTD_IECTL = 0x0a0,
	VTD_IEDATA = 0x0a4,
	VTD_IEADDR = 0x0a8,
	VTD_IEUADDR = 0x0ac,
	VTD_IQERCD = 0x0b0,
	VTD_IRTA = 0x0b8,
	/* Where ECAP.IRO and CAP.FRO say. */
	VTD_IVA = 0x0f0,
	VTD_IOTLB = 0x0f8,
	VTD_FRCD = 0x220,
	VTD_FRCD_SIZE = 16,
};

/* 11.4.2 CAP */
#define VTD_CAP_ND 0x6ull /* domain ids of 16 bits */
#define VTD_CAP_CM VTD_BIT(7)
#define VTD_CAP_SAGAW_SHIFT 8 /* bits 1, 2, 3 of it: 39, 48, 57 bits */
#define VTD_CAP_MGAW_SHIFT 16
#define VTD_CAP_ZLR VTD_BIT(22)
#define VTD_CAP_FRO_SHIFT 24
#define VTD_CAP_SLLPS_2M VTD_BIT(34)
#define VTD_CAP_SLLPS_1G VTD_BIT(35)
#define VTD_CAP_PSI VTD_BIT(39)
#define VTD_CAP_NFR_SHIFT 40
#define VTD_CAP_MAMV_SHIFT 48
#define VTD_CAP_DWD VTD_BIT(54)
#define VTD_CAP_DRD VTD_BIT(55)
#define VTD_CAP_FL1GP VTD_BIT(56)
#define VTD_CAP_FL5LP VTD_BIT(60)

static inline unsigned vtd_cap_mgaw(uint64_t cap) /* in bits */
{
	return (unsigned)vtd_field(cap, 21, 16) + 1;
}

static inline unsigned vtd_cap_mamv(uint64_t cap)
{
	return (unsigned)vtd_field(cap, 53, 48);
}

/* 11.4.3 ECAP */
#define VTD_ECAP_C VTD_BIT(0)
#define VTD_ECAP_QI VTD_BIT(1)
#define VTD_ECAP_DT VTD_BIT(2)
#define VTD_ECAP_IR VTD_BIT(3)
#define VTD_ECAP_EIM VTD_BIT(4)
#define VTD_ECAP_PT VTD_BIT(6)
#define VTD_ECAP_SC VTD_BIT(7)
#define VTD_ECAP_IRO_SHIFT 8
#define VTD_ECAP_MHMV_SHIFT 20
#define VTD_ECAP_SMTS VTD_BIT(43)
#define VTD_ECAP_SLTS VTD_BIT(46)
#define VTD_ECAP_FLTS VTD_BIT(47)
#define VTD_ECAP_SMPWC VTD_BIT(48)

/* 11.4.4 GCMD and GSTS: the same bits */
#define VTD_GCMD_TE VTD_BIT(31)
#define VTD_GCMD_SRTP VTD_BIT(30)
#define VTD_GCMD_QIE VTD_BIT(26)
#define VTD_GCMD_IRE VTD_BIT(25)
#define VTD_GCMD_SIRTP VTD_BIT(24)
#define VTD_GCMD_CFI VTD_BIT(23)

/* 11.4.5 RTADDR: what it points to, bits 11:10 */
#define VTD_RTADDR_TABLE VTD_MASK(63, 12)
#define VTD_RTADDR_TTM VTD_MASK(11, 10)
enum { VTD_TTM_LEGACY = 0, VTD_TTM_SCALABLE = 1 };

/* 11.4.6.1 CCMD. CIRG and CAIG: 1 global, 2 domain, 3 device. */
#define VTD_CCMD_ICC VTD_BIT(63)
#define VTD_CCMD_CIRG_SHIFT 61
#define VTD_CCMD_CAIG_SHIFT 59
#define VTD_CCMD_CAIG VTD_MASK(60, 59)

/* 11.4.6.3 IOTLB and IVA. IIRG and IAIG: 1 global, 2 domain, 3 page. */
#define VTD_IOTLB_IVT VTD_BIT(63)
#define VTD_IOTLB_IIRG_SHIFT 60
#define VTD_IOTLB_IAIG_SHIFT 57
#define VTD_IOTLB_IAIG VTD_MASK(58, 57)
#define VTD_IVA_AM VTD_MASK(5, 0)
#define VTD_IVA_ADDRESS VTD_MASK(63, 12)

/* 11.4.7.1 FSTS */
#define VTD_FSTS_PFO VTD_BIT(0)
#define VTD_FSTS_PPF VTD_BIT(1)
#define VTD_FSTS_IQE VTD_BIT(4)
#define VTD_FSTS_ICE VTD_BIT(5)
#define VTD_FSTS_ITE VTD_BIT(6)
#define VTD_FSTS_PRO VTD_BIT(7)
#define VTD_FSTS_FRI_SHIFT 8
#define VTD_FSTS_FRI VTD_MASK(15, 8)

/* 11.4.7.2 FECTL, 11.4.8.4 IECTL */
#define VTD_EVENT_IM VTD_BIT(31)
#define VTD_EVENT_IP VTD_BIT(30)

/* 11.4.7.6 FRCD, the upper of its two words */
#define VTD_FRCD_F VTD_BIT(63)
#define VTD_FRCD_T VTD_BIT(62) /* a read */
#define VTD_FRCD_PASID_SHIFT 40
#define VTD_FRCD_REASON_SHIFT 32
#define VTD_FRCD_PP VTD_BIT(31)

/* 11.4.8.1 IQH, IQT, IQA */
#define VTD_IQ_POINTER VTD_MASK(18, 4)
#define VTD_IQA_BASE VTD_MASK(63, 12)
#define VTD_IQA_DW VTD_BIT(11)    /* descriptors of 256 bits */
#define VTD_IQA_QS VTD_MASK(2, 0) /* the queue has 2^QS pages */
#define VTD_IQ_PAGE 4096u

#define VTD_ICS_IWC VTD_BIT(0)

/* 11.4.8.7 IQERCD */
#define VTD_IQERCD_ITE_SHIFT 32

/* 11.4.10 IRTA */
#define VTD_IRTA_BASE VTD_MASK(63, 12)
#define VTD_IRTA_EIME VTD_BIT(11)
#define VTD_IRTA_S VTD_MASK(3, 0)

/* 6.5.2 Invalidation descriptors: type in bits 3:0 of the first word, and bits 11:9 (0 for all of these) */
enum vtd_descriptor {
	VTD_D_CONTEXT = 1,
	VTD_D_IOTLB = 2,
	VTD_D_DEVICE_TLB = 3,
	VTD_D_IEC = 4,
	VTD_D_WAIT = 5,
	VTD_D_PASID_IOTLB = 6,
	VTD_D_PASID_CACHE = 7,
	VTD_D_PASID_DEVICE_TLB = 8,
};

/* 6.5.2.8 Wait: interrupt, status write; fence and page request drain need nothing here */
#define VTD_WAIT_IF VTD_BIT(4)
#define VTD_WAIT_SW VTD_BIT(5)
#define VTD_WAIT_FN VTD_BIT(6)
#define VTD_WAIT_PD VTD_BIT(7)

/* 6.5.2.3 Granularities of PASID cache and PASID IOTLB descriptors */
enum { VTD_PASID_ALL = 0, VTD_PASID_ONE = 1, VTD_PASID_GLOBAL = 3 };
enum { VTD_PIOTLB_ALL = 2, VTD_PIOTLB_PAGES = 3 };

#endif
