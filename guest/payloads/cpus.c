/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another processor, "cpu=ID": it starts, knows its id, and gets interrupts from this one and, where an 8-bit
 * destination reaches it, from a device.
 */
#include "ap.h"
#include "edu.h"
#include "interrupt.h"
#include "payload.h"
#include "pci.h"

enum { BY_PROCESSOR = 0, BY_MESSAGE = 1, XAPIC_IDS = 255 };

static void check_message(uint32_t id)
{
	const unsigned slot = pci_find(EDU_ID, 0);

	if (id >= XAPIC_IDS || slot == PCI_SLOTS)
		return;
	const uint32_t edu = pci_enable(slot);
	const unsigned msi = pci_find_capability(slot, PCI_CAP_MSI);

	ap_forget();
	write32(ecam(slot) + msi + 4, MSI_ADDRESS | id << 12);
	write32(ecam(slot) + msi + 8, 0);
	write16(ecam(slot) + msi + 12, MSI_DATA(BY_MESSAGE));
	write16(ecam(slot) + msi + 2, 1);
	write32(edu + EDU_RAISE, 1);
	check("a device's message comes", wait_interrupts(BY_MESSAGE, 1));
	check_equal("the message is taken by that processor", ap_taker(), id);
}

void payload(void)
{
	const uint32_t id = parameter("cpu", 1);

	check_equal("the processor starts and knows its id", ap_start(id), id);
	check_equal("its caches are on: MTRR default type", ap_memory_type(), MTRR_ON_WRITE_BACK);
	x2apic_send(id, BY_PROCESSOR);
	check("an interrupt from here comes", wait_interrupts(BY_PROCESSOR, 1));
	check_equal("it is taken by that processor", ap_taker(), id);
	check_message(id);
	check_equal("it came once", interrupts[BY_PROCESSOR], 1);
}
