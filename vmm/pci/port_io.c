/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration mechanism #1 (PCI Local Bus 3.0, section 3.2.2.3.2): an address register at 0xcf8 that takes accesses
 * of four bytes only, and a window of four bytes at 0xcfc onto the doubleword that it names. Bits 1:0 of the address
 * are reserved there. PCs and their monitors add them to the port by an OR, and programs rely on it: they name a byte
 * in the address and read it at 0xcfc.
 *
 * The guest orders the two accesses of its vCPUs; here nothing is needed beyond a register that is written as a whole.
 */
#include "vmm/pci/internal.h"

enum { ADDRESS = 0, DATA = 4, PORTS = 8, REGISTERS = 256 };

#define ADDRESS_ENABLE (1u << 31)
#define ADDRESS_BITS (ADDRESS_ENABLE | 0x00ffffffu)

static uint32_t load_address(struct pci_root *root)
{
	/* Partner: the store in ports_write(). */
	return atomic_load_explicit(&root->config_address, memory_order_relaxed);
}

/* True: this access goes to a function's register; bus, devfn and reg name it. */
static bool decode(uint32_t address, uint64_t offset, unsigned size, unsigned *bus, unsigned *devfn, unsigned *reg)
{
	if (offset < DATA || !(address & ADDRESS_ENABLE))
		return false;
	*bus = address >> 16 & 0xff;
	*devfn = address >> 8 & 0xff;
	*reg = (address & 0xff) | (unsigned)(offset - DATA);
	return *reg + size <= REGISTERS;
}

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
	struct pci_root *root = opaque;
	const uint32_t address = load_address(root);
	unsigned bus, devfn, reg;

	if (offset == ADDRESS && size == 4)
		return address;
	if (!decode(address, offset, size, &bus, &devfn, &reg))
		return UINT64_MAX;
	return pci_root_config_read(root, bus, devfn, reg, size);
}

static void ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_root *root = opaque;
	unsigned bus, devfn, reg;

	/* Partner: load_address(). */
	if (offset == ADDRESS && size == 4)
		atomic_store_explicit(&root->config_address, (uint32_t)value & ADDRESS_BITS, memory_order_relaxed);
	else if (decode(load_address(root), offset, size, &bus, &devfn, &reg))
		pci_root_config_write(root, bus, devfn, reg, value, size);
}

static const struct bus_ops ports_ops = {.read = ports_read, .write = ports_write};

int pci_port_io_add(struct pci_root *root)
{
	root->port_io = (struct bus_range){
		.first = LAYOUT_PORT_PCI,
		.last = LAYOUT_PORT_PCI + PORTS - 1,
		.ops = &ports_ops,
		.opaque = root,
	};
	return bus_add(root->config.pio, &root->port_io);
}

void pci_port_io_remove(struct pci_root *root)
{
	bus_remove(root->config.pio, &root->port_io);
}
