/* SPDX-License-Identifier: BSD-2-Clause */
/* Two edu devices at slots 2 and 10 share an interrupt pin: it is up while one of them wants it. */
#include "edu.h"
#include "interrupt.h"
#include "payload.h"
#include "pci.h"

enum { FIRST_SLOT = 2, SECOND_SLOT = 10, BY_PIN = 0 };

static uint32_t first, second;

/* Lets go of the first device at the second interrupt, of the other at the fourth. */
static void acknowledge_in_turn(unsigned index)
{
	if (interrupts[index] == 2)
		write32(first + EDU_ACKNOWLEDGE, UINT32_MAX);
	if (interrupts[index] == 4)
		write32(second + EDU_ACKNOWLEDGE, UINT32_MAX);
}

void payload(void)
{
	const unsigned pin = read8(ecam(FIRST_SLOT) + PCI_LINE);

	first = pci_enable(FIRST_SLOT);
	second = pci_enable(SECOND_SLOT);
	check("two devices", read32(ecam(FIRST_SLOT)) == EDU_ID && read32(ecam(SECOND_SLOT)) == EDU_ID);
	check_equal("one pin", read8(ecam(SECOND_SLOT) + PCI_LINE), pin);
	interrupts_init();
	interrupt_work = acknowledge_in_turn;
	ioapic_route(pin, BY_PIN, true);
	write32(first + EDU_RAISE, 1);
	write32(second + EDU_RAISE, 1);
	ioapic_route(pin, BY_PIN, false);
	wait_interrupts(BY_PIN, 4);
	check("comes until both have let go", interrupts_stop_at(BY_PIN, 4));
	check_equal("the first is acknowledged", read32(first + EDU_INTERRUPTS), 0);
	check_equal("the second is acknowledged", read32(second + EDU_INTERRUPTS), 0);
}
