/* SPDX-License-Identifier: BSD-2-Clause */
/* Enhanced configuration access (PCI Express base 5.0, section 7.2.2): bus, function and register in the address. */
#include "vmm/pci/internal.h"

#define ECAM_BUS_SIZE 0x100000ull

static uint64_t ecam_read(void *opaque, uint64_t offset, unsigned size)
{
	const unsigned bus = (unsigned)(offset / ECAM_BUS_SIZE);
	const unsigned devfn = offset / PCI_CONFIG_SIZE % PCI_FUNCTIONS;

	return pci_root_config_read(opaque, bus, devfn, offset % PCI_CONFIG_SIZE, size);
}

static void ecam_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	const unsigned bus = (unsigned)(offset / ECAM_BUS_SIZE);
	const unsigned devfn = offset / PCI_CONFIG_SIZE % PCI_FUNCTIONS;

	pci_root_config_write(opaque, bus, devfn, offset % PCI_CONFIG_SIZE, value, size);
}

static const struct bus_ops ecam_ops = {.read = ecam_read, .write = ecam_write};

int pci_ecam_add(struct pci_root *root)
{
	root->ecam = (struct bus_range){
		.first = LAYOUT_ECAM,
		.last = LAYOUT_ECAM + (root->config.last_bus + 1) * ECAM_BUS_SIZE - 1,
		.ops = &ecam_ops,
		.opaque = root,
	};
	return bus_add(root->config.mmio, &root->ecam);
}

void pci_ecam_remove(struct pci_root *root)
{
	bus_remove(root->config.mmio, &root->ecam);
}
