/* SPDX-License-Identifier: BSD-2-Clause */
/* Where things lie in guest-physical space and in I/O port space. Ranges are first address and size. */
#ifndef VMM_LAYOUT_LAYOUT_H
#define VMM_LAYOUT_LAYOUT_H

#include <stdint.h>

#define LAYOUT_HOST_BITS 46u             /* width of guest-physical addresses: all of RAM and windows lie below */
#define LAYOUT_LOW_RAM_MAX 0xc0000000ull /* RAM beyond this goes to 4 GiB and up */
#define LAYOUT_HIGH_RAM 0x100000000ull

#define LAYOUT_PCI32 0xc0000000ull /* BARs of 32 bits */
#define LAYOUT_PCI32_SIZE 0x20000000ull
#define LAYOUT_ECAM 0xe0000000ull /* 1 MiB for each bus */
#define LAYOUT_LAST_BUS 0u /* Linux asks for every slot of every bus that MCFG has: 16 000 exits for 256 of them */
#define LAYOUT_ECAM_SIZE ((LAYOUT_LAST_BUS + 1) * 0x100000ull)
#define LAYOUT_IOAPIC 0xfec00000ull
#define LAYOUT_IOAPIC_SIZE 0x1000ull
#define LAYOUT_VTD 0xfed90000ull /* a page for each unit */
#define LAYOUT_VTD_UNITS 2u
#define LAYOUT_LAPIC 0xfee00000ull
#define LAYOUT_MSI_SIZE 0x100000ull  /* writes of devices from LAYOUT_LAPIC on are interrupts */
#define LAYOUT_KVM_TSS 0xfffbd000ull /* three pages that KVM wants on Intel hosts */
#define LAYOUT_KVM_IDENTITY 0xfffbc000ull

#define LAYOUT_PCI64_SIZE (1ull << 36) /* BARs of 64 bits: the first multiple of this above RAM */

/* Below 1 MiB: what the boot code leaves there for a bzImage. ELF kernels have all of it where they leave room. */
#define LAYOUT_GDT 0x500ull
#define LAYOUT_BOOT_PARAMS 0x7000ull
#define LAYOUT_PAGE_TABLES 0x9000ull
#define LAYOUT_PAGE_TABLES_SIZE 0x6000ull
#define LAYOUT_CMDLINE 0x20000ull
#define LAYOUT_CMDLINE_MAX 2048u
/* From here to 1 MiB nothing is the kernel's. */
#define LAYOUT_EBDA 0x9fc00ull
#define LAYOUT_ACPI 0xe0000ull /* RSDP first, then all tables */
#define LAYOUT_ACPI_SIZE 0x1fff0ull
#define LAYOUT_RESET_VECTOR 0xffff0ull /* 16 bytes of code that reset the machine */
#define LAYOUT_LOW_END 0x100000ull
#define LAYOUT_KERNEL 0x1000000ull

/* I/O ports. */
#define LAYOUT_PORT_SERIAL 0x3f8u
#define LAYOUT_PORT_EXIT 0xf4u      /* four ports */
#define LAYOUT_PORT_PCI 0xcf8u      /* configuration address and data */
#define LAYOUT_PORT_SLEEP 0x600u    /* ACPI sleep control register */
#define LAYOUT_PORT_STATUS 0x601u   /* ACPI sleep status register */
#define LAYOUT_PORT_RESET 0x602u    /* ACPI reset register */
#define LAYOUT_PORT_PM_TIMER 0x608u /* four ports */
#define LAYOUT_SLEEP_S5 5u
#define LAYOUT_RESET_VALUE 1u

/* GSIs: 0-23 are the IOAPIC's pins. */
#define LAYOUT_IOAPIC_PINS 24u
#define LAYOUT_GSI_SERIAL 4u
/* Pins A to D (0 to 3) of the PCI slots share the last eight. */
#define LAYOUT_INTX_FIRST 16u
#define LAYOUT_INTX_PINS 8u
#define LAYOUT_INTX_GSI(slot, pin) (LAYOUT_INTX_FIRST + ((slot) + (pin)) % LAYOUT_INTX_PINS)

#define LAYOUT_MAX_VCPUS 512u
#define LAYOUT_XAPIC_VCPUS 255u   /* so many have APIC ids of 8 bits; 255 is all of them */
#define LAYOUT_IOAPIC_RID 0xf0f8u /* its requester id, on a bus that has nothing else */
#define LAYOUT_IOAPIC_ID 0u       /* what its register reads after reset; CPUs' ids are another space */
#define LAYOUT_BUS_DEVICES 32u    /* that a PCI bus has numbers for */

#endif
