/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A root port (PCI Express base 5.0, sections 7.5.1.3 and 7.5.3): a bridge with a bus behind it. It passes
 * configuration accesses on by its bus numbers (bus.c), memory by its windows (window.c) and DMA while its bus
 * mastering is on (dma.c).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "vmm/pci/bus.h"
#include "vmm/pci/internal.h"

/* The generic PCI Express root port of QEMU's PCI id list (docs/specs/pci-ids.rst). */
static const struct pci_ids port_ids = {
	.vendor = 0x1b36,
	.device = 0x000c,
	.class_code = 0x060400,
};

static void port_destroy(struct pci_dev *dev)
{
	pci_bus_clear(dev->secondary);
	pci_bus_destroy(dev->secondary);
	pci_dev_fini(dev);
	free(dev);
}

static const struct pci_ops port_ops = {.destroy = port_destroy};

static void init_bridge_header(struct pci_dev *dev, const struct pci_port_config *config)
{
	const struct pci_window none = {UINT64_MAX, 0};

	dev->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	dev->config[PCI_SECONDARY_BUS] = config->number;
	dev->config[PCI_SUBORDINATE_BUS] = config->last;
	dev->writable[PCI_PRIMARY_BUS] = 0xff;
	dev->writable[PCI_SECONDARY_BUS] = 0xff;
	dev->writable[PCI_SUBORDINATE_BUS] = 0xff;
	pci_bridge_set_memory(dev, none);
	pci_bridge_set_prefetchable(dev, none);
	pci_set32(dev->writable, PCI_MEMORY_BASE, 0xfff0fff0);
	pci_set32(dev->writable, PCI_PREF_MEMORY_BASE, 0xfff0fff0);
	pci_set32(dev->writable, PCI_PREF_BASE_UPPER32, UINT32_MAX);
	pci_set32(dev->writable, PCI_PREF_LIMIT_UPPER32, UINT32_MAX);
	pci_set16(dev->writable, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR);
	pci_set16(dev->config, dev->express + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ROOT_PORT << 4);
}

int pci_port_create(struct pci_root *root, const struct pci_port_config *config, struct pci_dev **out)
{
	struct pci_dev *dev = calloc(1, sizeof(*dev));
	int err = dev ? pci_bus_create(root, dev, config->number, &dev->secondary) : -ENOMEM;

	if (err)
		goto err_free;
	dev->secondary->memory_size = config->memory;
	dev->secondary->prefetchable_size = config->prefetchable;
	err = pci_dev_init(dev, &port_ops, &port_ids);
	if (err)
		goto err_bus;
	pci_express_on_link(dev);
	init_bridge_header(dev, config);
	*out = dev;
	return 0;

err_bus:
	pci_bus_destroy(dev->secondary);
err_free:
	free(dev);
	return err;
}
