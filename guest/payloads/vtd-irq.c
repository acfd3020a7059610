/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt remapping of a VT-d unit (section 5.1): edu's messages, whose unit is the one of its DMA, and then the
 * IOAPIC's pins, whose unit is the one for everything else: the same, or another one. "translates=0": that one
 * translates no DMA. "eim=1": processors have ids of 32 bits. "ir=0": the unit does not remap.
 */
#include "interrupt.h"
#include "payload.h"
#include "pci.h"
#include "vtd-irte.h"
#include "vtd.h"

enum { FIRST = 0, SECOND = 1, THIRD = 2, ENTRY = 4, SUBHANDLE = 3, HIGH_ENTRY = 200 };

static void check_fault(const char *name, uint8_t reason, uint16_t source, unsigned index)
{
	const struct fault fault = fault_take();
	const bool good = fault.reason == reason && fault.source == source && fault.info == (uint64_t)index << 48;

	if (!good)
		print("# reason 0x%x source 0x%x index %u\n", fault.reason, fault.source, (uint32_t)(fault.info >> 48));
	check(name, good);
}

static void check_blocked(const char *name, uint8_t reason, unsigned index)
{
	if (check(name, edu_blocked()))
		check_fault("and the record says so", reason, VTD_SOURCE, index);
}

/* An entry for handle ENTRY. */
static void check_entry(const char *name, uint64_t low, uint64_t high, unsigned index)
{
	irte_set(ENTRY, low, high);
	check(name, edu_reaches(index));
}

static void check_bad_entry(const char *name, uint64_t low, uint64_t high, uint8_t reason)
{
	irte_set(ENTRY, low, high);
	check_blocked(name, reason, ENTRY);
}

static void check_without(void)
{
	check("the unit does not remap interrupts", !(vtd_ecap & (ECAP_IR | ECAP_EIM)));
	vtd_put64(VTD_IRTA, 0x8000);
	check_equal("IRTA is not there", vtd_get(VTD_IRTA), 0);
	vtd_put(VTD_GCMD, CMD_SIRTP | CMD_IRE | CMD_CFI);
	check_equal("nor its switches", vtd_get(VTD_GSTS), 0);
	edu_message(MSI_ADDRESS, MSI_DATA(FIRST));
	check("messages pass", edu_reaches(FIRST));
}

/* 5.1.4: the other format. */
static void check_compatibility(bool extended)
{
	edu_message(MSI_ADDRESS, MSI_DATA(FIRST));
	check("before remapping is on messages pass", edu_reaches(FIRST));
	check("interrupt table", irte_start(extended));
	check_blocked("0x25 compatibility format", 0x25, 0);
	check("CFI on", vtd_switch(CMD_CFI, true));
	if (extended)
		check_blocked("0x25 compatibility format with 32-bit destinations, whatever CFI is", 0x25, 0);
	else
		check("compatibility format passes with CFI", edu_reaches(FIRST));
	check("CFI off", vtd_switch(CMD_CFI, false));
	check_blocked("0x25 compatibility format again", 0x25, 0);
}

static void check_handles(void)
{
	const uint64_t low = irte_to(SECOND, 0);

	irte_set(ENTRY, low, IRTE_SOURCE(VTD_SOURCE));
	irte_set(ENTRY + SUBHANDLE, irte_to(THIRD, 0), IRTE_SOURCE(VTD_SOURCE));
	edu_handle(ENTRY, -1);
	check("a handle, with data that mean nothing", edu_reaches(SECOND));
	edu_handle(ENTRY, SUBHANDLE);
	check("a handle and a subhandle", edu_reaches(THIRD));
	edu_handle(0x8000 | ENTRY, -1);
	check_blocked("0x21 handle with bit 15, beyond the table", 0x21, 0x8000 | ENTRY);
	edu_handle(IRTE_ENTRIES - 1, 1);
	check_blocked("0x21 subhandle beyond the table", 0x21, IRTE_ENTRIES);
	edu_message(1ull << 32 | MSI_ADDRESS | ENTRY << 5 | 1 << 4, 0);
	check_blocked("0x20 upper half of the address", 0x20, 0);
	edu_handle(ENTRY, -1);
}

static void check_modes(bool extended)
{
	const uint64_t source = IRTE_SOURCE(VTD_SOURCE);

	if (!extended)
		lapic_set_logical(1);
	check_entry("fixed, with redirection hint", irte_to(FIRST, 0) | IRTE_HINT, source, FIRST);
	check_entry("fixed, logical destination", irte_to(SECOND, 1) | IRTE_LOGICAL, source, SECOND);
	check_entry("lowest priority, logical destination", irte_to(THIRD, 1) | IRTE_LOGICAL | IRTE_MODE_LOWEST, source,
		    THIRD);
	nmis_expected = 1;
	irte_set(ENTRY, irte_to(FIRST, 0) | IRTE_MODE_NMI, source);
	edu_send();
	breathe(200);
	check_equal("NMI", nmis, 1);
	check_bad_entry("0x24 delivery mode 3", irte_to(FIRST, 0) | 3 << IRTE_MODE_SHIFT, source, 0x24);
}

static void check_bad(void)
{
	const uint64_t low = irte_to(FIRST, 0), source = IRTE_SOURCE(VTD_SOURCE);

	check_bad_entry("0x22 entry not present", low & ~1ull, source, 0x22);
	check_bad_entry("0x24 reserved bit of the low word", low | 1 << 24, source, 0x24);
	check_bad_entry("0x24 posting is not offered", low | 1 << 15, source, 0x24);
	check_bad_entry("0x24 reserved bit of the high word", low, source | BIT64(20), 0x24);
	irte_set(ENTRY, ENTRY_FPD, 0);
	check("not present with FPD: blocked", edu_blocked());
	check_equal("without a record", fault_take().reason, 0);
	irte_set(ENTRY, low | ENTRY_FPD, IRTE_SOURCE(VTD_SOURCE + 8));
	check("another device's with FPD: blocked", edu_blocked());
	check_equal("without a record, too", fault_take().reason, 0);
}

static void check_sources(void)
{
	const uint64_t low = irte_to(FIRST, 0);

	check_entry("its own entry", low, IRTE_SOURCE(VTD_SOURCE), FIRST);
	check_entry("anybody's entry", low, 0xffff, FIRST);
	check_bad_entry("0x26 another device's", low, IRTE_SOURCE(VTD_SOURCE + 8), 0x26);
	check_bad_entry("0x26 another function's", low, IRTE_SOURCE(VTD_SOURCE + 4), 0x26);
	check_entry("function bit 2 does not count", low, IRTE_SOURCE(VTD_SOURCE + 4) | IRTE_QUALIFIER(1), FIRST);
	check_bad_entry("0x26 function bit 1 does", low, IRTE_SOURCE(VTD_SOURCE + 2) | IRTE_QUALIFIER(1), 0x26);
	check_entry("function bits 2:1 do not count", low, IRTE_SOURCE(VTD_SOURCE + 6) | IRTE_QUALIFIER(2), FIRST);
	check_bad_entry("0x26 function bit 0 does", low, IRTE_SOURCE(VTD_SOURCE + 1) | IRTE_QUALIFIER(2), 0x26);
	check_entry("no function bit counts", low, IRTE_SOURCE(VTD_SOURCE + 7) | IRTE_QUALIFIER(3), FIRST);
	check_entry("a range of buses with its own", low, IRTE_BUSES(0, 3), FIRST);
	check_bad_entry("0x26 a range of other buses", low, IRTE_BUSES(1, 3), 0x26);
	check_bad_entry("0x26 no such validation", low, IRTE_INVALID_SVT, 0x26);
}

/* What holds after an invalidation; before it either entry may be in use. */
static void check_invalidation(void)
{
	const uint64_t source = IRTE_SOURCE(VTD_SOURCE);

	check_entry("in use", irte_to(FIRST, 0), source, FIRST);
	irte_write(ENTRY, irte_to(SECOND, 0), source);
	irte_invalidate(ENTRY, 0);
	check("changed and invalidated by index", edu_reaches(SECOND));
	irte_write(ENTRY, irte_to(THIRD, 0), source);
	irte_invalidate(0, 3);
	check("changed and invalidated with eight entries", edu_reaches(THIRD));
	irte_write(ENTRY, irte_to(FIRST, 0), source);
	irte_invalidate_all();
	check("changed and invalidated with all", edu_reaches(FIRST));
	irte_write(ENTRY, 0, 0);
	irte_invalidate_all();
	check_blocked("taken away and invalidated", 0x22, ENTRY);
	irte_set(HIGH_ENTRY, irte_to(SECOND, 0), source);
	edu_handle(HIGH_ENTRY, -1);
	check("another handle", edu_reaches(SECOND));
}

/* The table is somewhere else from now on. */
static void check_table(bool extended)
{
	vtd_put64(VTD_IRTA, NOWHERE | 7 | (extended ? IRTA_EIME : 0));
	vtd_latch(CMD_SIRTP);
	irte_invalidate_all();
	check_blocked("0x23 no memory for the table", 0x23, HIGH_ENTRY);
	vtd_put64(VTD_IRTA, (uint32_t)irte_table | 6 | (extended ? IRTA_EIME : 0));
	vtd_latch(CMD_SIRTP);
	irte_invalidate_all();
	check_blocked("0x21 half of the table", 0x21, HIGH_ENTRY);
	check("remapping off", vtd_switch(CMD_IRE, false));
	edu_message(MSI_ADDRESS, MSI_DATA(FIRST));
	check("messages pass again", edu_reaches(FIRST));
}

static void end_at_ioapic(unsigned index)
{
	(void)index;
	if (interrupts[FIRST] == 3)
		edu_acknowledge();
	ioapic_end(SECOND); /* the vector of the pin's entry, not the one that came */
}

/* 5.1.5.1: handle 14:0 in bits 63:49, bit 48: remappable. The vector is only there for the EOI. */
static uint64_t pin_entry(uint16_t handle, uint32_t besides)
{
	return (uint64_t)handle << 49 | BIT64(48) | SECOND | besides;
}

static void check_level(unsigned pin)
{
	interrupts[FIRST] = 0;
	ioapic_set_entry(pin, pin_entry(ENTRY, IOAPIC_ENTRY_LEVEL));
	edu_send();
	breathe(100);
	check_equal("level: once until its end is told", interrupts[FIRST], 1);
	check_equal("remote IRR is set", (uint32_t)ioapic_entry(pin) & IOAPIC_ENTRY_REMOTE_IRR,
		    IOAPIC_ENTRY_REMOTE_IRR);
	interrupt_work = end_at_ioapic;
	ioapic_end(SECOND);
	wait_interrupts(FIRST, 3);
	breathe(100);
	check_equal("level: comes again until the device lets go", interrupts[FIRST], 3);
	check_equal("remote IRR is clear", (uint32_t)ioapic_entry(pin) & IOAPIC_ENTRY_REMOTE_IRR, 0);
	interrupt_work = NULL;
}

static void check_pin(void)
{
	const unsigned pin = read8(ecam(VTD_SLOT) + PCI_LINE);

	edu_use_pin();
	irte_set(ENTRY, irte_to(FIRST, 0), IRTE_SOURCE(VTD_IOAPIC_SOURCE));
	ioapic_set_entry(pin, pin_entry(ENTRY, 0));
	check("edge by an entry", edu_reaches(FIRST));
	edu_acknowledge();
	check_level(pin);
	edu_acknowledge();
	ioapic_set_entry(pin, FIRST_VECTOR + FIRST);
	check("a pin in compatibility format: blocked", edu_blocked());
	check_fault("and the record says so", 0x25, VTD_IOAPIC_SOURCE, 0);
	irte_set(ENTRY, irte_to(FIRST, 0), IRTE_SOURCE(VTD_SOURCE));
	ioapic_set_entry(pin, pin_entry(ENTRY, 0));
	check("a pin with a device's entry: blocked", edu_blocked());
	check_fault("and the record says who", 0x26, VTD_IOAPIC_SOURCE, ENTRY);
}

static void check_ioapic(bool extended)
{
	if (!check("DMAR names the unit of the IOAPIC", vtd_find(VTD_IOAPIC_SOURCE)))
		return;
	check_equal("which translates DMA, or does not", ((uint32_t)vtd_cap >> 8 & 0x1f) != 0,
		    parameter("translates", 1));
	check("its queue", queue_start());
	check("its interrupt table", irte_start(extended));
	check_pin();
}

void payload(void)
{
	const bool extended = parameter("eim", 1);

	if (!check("DMAR names the unit of the device", vtd_find(VTD_SOURCE)))
		return;
	if (extended)
		x2apic_enable();
	interrupts_init();
	edu_open(VTD_SLOT);
	if (!parameter("ir", 1)) {
		check_without();
		return;
	}
	check_equal("32-bit destinations", !!(vtd_ecap & ECAP_EIM), extended);
	check("queue on", queue_start());
	check_compatibility(extended);
	edu_handle(ENTRY, -1);
	check_sources();
	check_handles();
	check_modes(extended);
	check_bad();
	check_invalidation();
	check_table(extended);
	check_ioapic(extended);
}
