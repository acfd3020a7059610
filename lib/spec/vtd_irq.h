/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt remapping layouts. Intel Virtualization Technology for Directed I/O, architecture specification, revision
 * 3.3, sections 5.1 and 9.10. Not supported: posted interrupts (CAP.PI is 0), so bit IM of an entry is reserved.
 */
#ifndef LIB_SPEC_VTD_IRQ_H
#define LIB_SPEC_VTD_IRQ_H

#include <stdbool.h>
#include <stdint.h>

/* 5.1.2 Interrupt requests: a write of four bytes to 0xfeexxxxx */
#define VTD_MSI_WINDOW 0xfee00000u
#define VTD_MSI_WINDOW_MASK 0xfff00000u

static inline uint32_t vtd_msi_upper(uint64_t address)
{
	return (uint32_t)(address >> 32);
}

static inline bool vtd_msi_remappable(uint64_t address)
{
	return address >> 4 & 1;
}

/* 5.1.2.2 Remappable format */
static inline uint16_t vtd_msi_handle(uint64_t address)
{
	return (uint16_t)((address >> 5 & 0x7fff) | (address >> 2 & 1) << 15);
}

static inline bool vtd_msi_subhandle_valid(uint64_t address)
{
	return address >> 3 & 1;
}

static inline uint16_t vtd_msi_subhandle(uint32_t data)
{
	return (uint16_t)data;
}

#define VTD_MSI_DATA_RESERVED 0xffff0000u /* where the subhandle is valid; else all of the data is ignored */

/*
 * 5.1.5.1 An IOAPIC's redirection entry: bits 63:48 become bits 19:4 of the address, and bit 11 its bit 2, which is so
 * in both formats; 10:8 are 0 in the remappable one.
 */
static inline uint32_t vtd_rte_address(uint64_t entry)
{
	return VTD_MSI_WINDOW | (uint32_t)(entry >> 48) << 4 | (uint32_t)(entry >> 11 & 1) << 2;
}

/* 9.10 Interrupt remapping table entry (IRTE) for remapped interrupts */
enum { VTD_IRTE_SIZE = 16, VTD_IRTE_HIGH = 8, VTD_IRTE_MAX = 65536 };

struct vtd_irte {
	uint64_t low, high;
};

/* Bits 14:12, IM (posting), 31:24; with 8-bit destinations 39:32 and 63:48 as well. 127:84. */
#define VTD_IRTE_LOW_RESERVED 0x00000000ff00f000ull
#define VTD_IRTE_LOW_RESERVED_XAPIC 0xffff00ff00000000ull
#define VTD_IRTE_HIGH_RESERVED 0xfffffffffff00000ull

static inline bool vtd_irte_present(struct vtd_irte irte)
{
	return irte.low & 1;
}

/* FPD: qualified faults of this entry are not reported, present or not. */
static inline bool vtd_irte_faults_disabled(struct vtd_irte irte)
{
	return irte.low >> 1 & 1;
}

static inline bool vtd_irte_logical(struct vtd_irte irte)
{
	return irte.low >> 2 & 1;
}

static inline bool vtd_irte_redirection_hint(struct vtd_irte irte)
{
	return irte.low >> 3 & 1;
}

static inline bool vtd_irte_level(struct vtd_irte irte)
{
	return irte.low >> 4 & 1;
}

enum {
	VTD_DLM_FIXED = 0,
	VTD_DLM_LOWEST = 1,
	VTD_DLM_SMI = 2,
	VTD_DLM_NMI = 4,
	VTD_DLM_INIT = 5,
	VTD_DLM_EXTINT = 7,
};

static inline unsigned vtd_irte_delivery_mode(struct vtd_irte irte)
{
	return irte.low >> 5 & 7;
}

static inline uint8_t vtd_irte_vector(struct vtd_irte irte)
{
	return (uint8_t)(irte.low >> 16);
}

static inline uint32_t vtd_irte_destination(struct vtd_irte irte, bool extended)
{
	return extended ? (uint32_t)(irte.low >> 32) : (uint8_t)(irte.low >> 40);
}

static inline uint16_t vtd_irte_source_id(struct vtd_irte irte)
{
	return (uint16_t)irte.high;
}

/* SQ: how many of the low function bits 2, 2:1, 2:0 do not count (0 to 3). */
static inline unsigned vtd_irte_source_qualifier(struct vtd_irte irte)
{
	return irte.high >> 16 & 3;
}

enum {
	VTD_SVT_NONE = 0,
	VTD_SVT_ID = 1,  /* the source id, as the qualifier has it */
	VTD_SVT_BUS = 2, /* bits 15:8 of the id are the first bus, 7:0 the last */
};

static inline unsigned vtd_irte_source_validation(struct vtd_irte irte)
{
	return irte.high >> 18 & 3;
}

/* 5.1.4.1 Fault conditions; reasons of fault records (7.1.3). */
enum vtd_ir_fault {
	VTD_IR_FAULT_REQUEST_RESERVED = 0x20,
	VTD_IR_FAULT_INDEX = 0x21,
	VTD_IR_FAULT_NOT_PRESENT = 0x22, /* qualified */
	VTD_IR_FAULT_UNREADABLE = 0x23,
	VTD_IR_FAULT_ENTRY_RESERVED = 0x24, /* qualified */
	VTD_IR_FAULT_COMPATIBILITY = 0x25,
	VTD_IR_FAULT_SOURCE = 0x26, /* qualified */
};

/*
 * The message that a local APIC takes (Intel SDM volume 3, section 11.11), with bits 31:8 of a 32-bit destination where
 * KVM wants them: in bits 63:40 of the address (KVM_CAP_X2APIC_API).
 */
enum { VTD_MSI_DESTINATION_SHIFT = 12, VTD_MSI_MODE_SHIFT = 8 };

#define VTD_MSI_LOGICAL (1u << 2)
#define VTD_MSI_REDIRECTION_HINT (1u << 3)
#define VTD_MSI_DATA_ASSERT (1u << 14)
#define VTD_MSI_DATA_LEVEL (1u << 15)
#define VTD_MSI_DESTINATION_LOW 0xffu

#endif
