/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another processor, "cpu=ID": it starts, knows its id, and gets interrupts from this one and, where an 8-bit destination
 * reaches it, from a device.
 */
#include "edu.h"
#include "interrupt.h"
#include "payload.h"
#include "pci.h"

enum { BY_PROCESSOR = 0, BY_MESSAGE = 1, XAPIC_IDS = 255, PATIENCE = 40000 };

#define AP_NONE 0xffffffffu

extern const char ap_begin[], ap_end[];
void ap_main(void);

static volatile uint32_t ap_alive = AP_NONE, taken_by = AP_NONE;

static void note_processor(unsigned index)
{
	(void)index;
	taken_by = x2apic_id();
}

void ap_main(void)
{
	x2apic_enable();
	interrupts_init();
	ap_alive = x2apic_id();
	for (;;)
		__asm__ volatile("hlt");
}

static void start_processor(uint32_t id)
{
	uint8_t *page = (uint8_t *)AP_PAGE;

	for (const char *at = ap_begin; at < ap_end; at++)
		*page++ = (uint8_t)*at;
	x2apic_init(id);
	breathe(100);
	x2apic_start(id);
	for (unsigned i = 0; i < PATIENCE && ap_alive == AP_NONE; i++)
		breathe(1);
}

/* Counted before it is noted where it came. */
static void check_taken(const char *name, uint32_t id)
{
	for (unsigned i = 0; i < PATIENCE && taken_by == AP_NONE; i++)
		breathe(1);
	check_equal(name, taken_by, id);
}

static void check_message(uint32_t id)
{
	const unsigned slot = pci_find(EDU_ID, 0);

	if (id >= XAPIC_IDS || slot == PCI_SLOTS)
		return;
	const uint32_t edu = pci_enable(slot);
	const unsigned msi = pci_find_capability(slot, PCI_CAP_MSI);

	taken_by = AP_NONE;
	write32(ecam(slot) + msi + 4, MSI_ADDRESS | id << 12);
	write32(ecam(slot) + msi + 8, 0);
	write16(ecam(slot) + msi + 12, MSI_DATA(BY_MESSAGE));
	write16(ecam(slot) + msi + 2, 1);
	write32(edu + EDU_RAISE, 1);
	check("a device's message comes", wait_interrupts(BY_MESSAGE, 1));
	check_taken("the message is taken by that processor", id);
}

void payload(void)
{
	const uint32_t id = parameter("cpu", 1);

	x2apic_enable();
	interrupts_init();
	interrupt_work = note_processor;
	start_processor(id);
	check_equal("the processor starts and knows its id", ap_alive, id);
	x2apic_send(id, BY_PROCESSOR);
	check("an interrupt from here comes", wait_interrupts(BY_PROCESSOR, 1));
	check_taken("it is taken by that processor", id);
	check_message(id);
	check_equal("it came once", interrupts[BY_PROCESSOR], 1);
}
