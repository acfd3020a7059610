/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration space, both ways. */
#ifndef PAYLOAD_PCI_H
#define PAYLOAD_PCI_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PORT_PCI_ADDRESS = 0xcf8,
	PORT_PCI_DATA = 0xcfc,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_BAR0 = 0x10,
	PCI_CAPABILITIES = 0x34,
	PCI_LINE = 0x3c,
	PCI_PIN = 0x3d,
	PCI_COMMAND_MEMORY = 1 << 1,
	PCI_COMMAND_MASTER = 1 << 2,
	PCI_COMMAND_INTX_DISABLE = 1 << 10,
	PCI_STATUS_INTERRUPT = 1 << 3,
	PCI_CAP_MSI = 5,
	PCI_SLOTS = 32,
	EDU_ID = 0x11e81234,
};

#define ECAM 0xe0000000u

/* Address of a function's config space; function 0 of a slot on bus 0. */
static inline uint32_t ecam(unsigned slot)
{
	return ECAM + (slot << 15);
}

/* A register's address for mechanism #1, enabled. */
static inline uint32_t port_address(unsigned slot, unsigned reg)
{
	return 1u << 31 | slot << 11 | (reg & 0xfc);
}

/* The first slot from `from` on that holds a device with this id (device << 16 | vendor); PCI_SLOTS: none. */
unsigned pci_find(uint32_t id, unsigned from);

/* Offset of a capability, or 0. */
unsigned pci_find_capability(unsigned slot, uint8_t id);

/* Memory decoding and bus mastering on; the address of BAR 0. */
uint32_t pci_enable(unsigned slot);

#endif
