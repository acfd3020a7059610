/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci.h"

#include "payload.h"

unsigned pci_find(uint32_t id, unsigned from)
{
	while (from < PCI_SLOTS && read32(ecam(from)) != id)
		from++;
	return from;
}

unsigned pci_find_capability(unsigned slot, uint8_t id)
{
	unsigned at = read8(ecam(slot) + PCI_CAPABILITIES);

	while (at && read8(ecam(slot) + at) != id)
		at = read8(ecam(slot) + at + 1);
	return at;
}

uint32_t pci_enable(unsigned slot)
{
	write16(ecam(slot) + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return read32(ecam(slot) + PCI_BAR0) & ~0xfu;
}
