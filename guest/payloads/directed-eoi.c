/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a level interrupt that the local APIC keeps from the IOAPIC (SDM volume 3, section 11.8.5): the
 * interrupt does not come again, though its line is still up, before the IOAPIC's own register is written.
 */
#include "edu.h"
#include "interrupt.h"
#include "payload.h"
#include "pci.h"

enum { BY_PIN = 0 };

static bool waits(unsigned pin)
{
	return ioapic_entry(pin) & IOAPIC_ENTRY_REMOTE_IRR;
}

void payload(void)
{
	const unsigned slot = pci_find(EDU_ID, 0);
	const unsigned pin = read8(ecam(slot) + PCI_LINE);
	const uint32_t edu = pci_enable(slot);

	interrupts_init();
	if (!check("the local APIC has directed EOIs", lapic_direct_eoi()))
		return;
	ioapic_route(pin, BY_PIN, false);
	write32(edu + EDU_RAISE, 1);
	check("the interrupt comes", wait_interrupts(BY_PIN, 1));
	check("the EOI at the processor does not let it come again", interrupts_stop_at(BY_PIN, 1));
	check("the pin waits for its end", waits(pin));

	const uint32_t before = interrupts[BY_PIN];

	ioapic_end(FIRST_VECTOR + BY_PIN);
	check("the IOAPIC's register does: the line is up", wait_interrupts(BY_PIN, before + 1));
	check("once", interrupts_stop_at(BY_PIN, before + 1));
	write32(edu + EDU_ACKNOWLEDGE, UINT32_MAX);
	check("the pin waits for its end once more", waits(pin));
	ioapic_end(FIRST_VECTOR + BY_PIN);
	check("the line is down: it ends", !waits(pin) && interrupts_stop_at(BY_PIN, before + 1));
}
