/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fault reasons of DMA requests. Intel Virtualization Technology for Directed I/O, architecture specification, revision
 * 3.3, section 7.1.3. Those of interrupt requests are in vtd_irq.h. Not listed: what only nested translation,
 * supervisor requests, requests to execute and page requests can meet.
 */
#ifndef LIB_SPEC_VTD_FAULT_H
#define LIB_SPEC_VTD_FAULT_H

#include <stdbool.h>

/* "Qualified": not recorded where an entry on the way has FPD set. */
enum vtd_dma_fault {
	/* Legacy mode */
	VTD_FAULT_ROOT_NOT_PRESENT = 0x1,
	VTD_FAULT_CONTEXT_NOT_PRESENT = 0x2, /* qualified */
	VTD_FAULT_CONTEXT_INVALID = 0x3,     /* qualified */
	VTD_FAULT_BEYOND_WIDTH = 0x4,        /* qualified */
	VTD_FAULT_NO_WRITE = 0x5,            /* qualified */
	VTD_FAULT_NO_READ = 0x6,             /* qualified */
	VTD_FAULT_ENTRY_ACCESS = 0x7,        /* qualified */
	VTD_FAULT_ROOT_ACCESS = 0x8,
	VTD_FAULT_CONTEXT_ACCESS = 0x9,
	VTD_FAULT_ROOT_RESERVED = 0xa,
	VTD_FAULT_CONTEXT_RESERVED = 0xb,
	VTD_FAULT_ENTRY_RESERVED = 0xc,   /* qualified */
	VTD_FAULT_TRANSLATION_TYPE = 0xd, /* qualified */
	VTD_FAULT_INTERRUPT_RANGE = 0xe,  /* qualified */

	/* Scalable mode */
	VTD_FAULT_S_ROOT_ADDRESS = 0x30,
	VTD_FAULT_S_ROOT_ACCESS = 0x38,
	VTD_FAULT_S_ROOT_NOT_PRESENT = 0x39,
	VTD_FAULT_S_ROOT_RESERVED = 0x3a,
	VTD_FAULT_S_CONTEXT_ACCESS = 0x40,
	VTD_FAULT_S_CONTEXT_NOT_PRESENT = 0x41, /* qualified */
	VTD_FAULT_S_CONTEXT_RESERVED = 0x42,
	VTD_FAULT_S_RID_PASID = 0x48, /* qualified */
	VTD_FAULT_DIRECTORY_ACCESS = 0x50,
	VTD_FAULT_DIRECTORY_NOT_PRESENT = 0x51, /* qualified */
	VTD_FAULT_DIRECTORY_RESERVED = 0x52,
	VTD_FAULT_PASID_ACCESS = 0x58,
	VTD_FAULT_PASID_NOT_PRESENT = 0x59, /* qualified */
	VTD_FAULT_PASID_RESERVED = 0x5a,
	VTD_FAULT_PASID_INVALID = 0x5b, /* qualified */
	VTD_FAULT_FS_ACCESS = 0x70,     /* from here on all are qualified */
	VTD_FAULT_FS_NOT_PRESENT = 0x71,
	VTD_FAULT_FS_RESERVED = 0x72,
	VTD_FAULT_FS_TOP = 0x73,
	VTD_FAULT_SS_ACCESS = 0x78,
	VTD_FAULT_SS_PERMISSION = 0x79,
	VTD_FAULT_SS_RESERVED = 0x7a,
	VTD_FAULT_SS_TOP = 0x7b,
	VTD_FAULT_NOT_CANONICAL = 0x80,
	VTD_FAULT_NOT_USER = 0x81,
	VTD_FAULT_S_BEYOND_WIDTH = 0x83,
	VTD_FAULT_SS_BEYOND_WIDTH = 0x84,
	VTD_FAULT_S_NO_WRITE = 0x85,
	VTD_FAULT_S_NO_READ = 0x86,
	VTD_FAULT_S_INTERRUPT_RANGE = 0x87,
	VTD_FAULT_FS_MARK = 0x91, /* an entry could not be marked as accessed or dirty */
};

/* Errors of the tables that nobody could have meant are recorded whatever FPD says. */
static inline bool vtd_fault_qualified(enum vtd_dma_fault reason)
{
	switch (reason) {
	case VTD_FAULT_ROOT_NOT_PRESENT:
	case VTD_FAULT_ROOT_ACCESS:
	case VTD_FAULT_CONTEXT_ACCESS:
	case VTD_FAULT_ROOT_RESERVED:
	case VTD_FAULT_CONTEXT_RESERVED:
	case VTD_FAULT_S_ROOT_ADDRESS:
	case VTD_FAULT_S_ROOT_ACCESS:
	case VTD_FAULT_S_ROOT_NOT_PRESENT:
	case VTD_FAULT_S_ROOT_RESERVED:
	case VTD_FAULT_S_CONTEXT_ACCESS:
	case VTD_FAULT_S_CONTEXT_RESERVED:
	case VTD_FAULT_DIRECTORY_ACCESS:
	case VTD_FAULT_DIRECTORY_RESERVED:
	case VTD_FAULT_PASID_ACCESS:
	case VTD_FAULT_PASID_RESERVED:
		return false;
	default:
		return true;
	}
}

#endif
