/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bus mastering (PCI Express base 5.0, sections 7.5.1.1.3 and 7.5.3.5): while it is off, in the function or in a bridge
 * above it, the function's endpoint is paused. The write that clears Bus Master Enable completes at once, and no DMA
 * begins after it, by whoever does the device's DMA; Transactions Pending in Device Status is 1 from then on until what
 * was under way is over, which is what software has to look at before it uses the memory for something else.
 *
 * Writes to a function and to its bridges may come at the same time. Each looks at all of them after its own change,
 * with the function's lock, so the last look sees every change.
 */
#include <linux/pci_regs.h>

#include <viommu/domain.h>

#include "vmm/pci/internal.h"

/* Bridges on the way have to pass it on. */
bool pci_bus_master(const struct pci_dev *dev)
{
	while (pci_peek8(dev, PCI_COMMAND) & PCI_COMMAND_MASTER) {
		if (!dev->bus || !dev->bus->bridge)
			return true;
		dev = dev->bus->bridge;
	}
	return false;
}

void pci_master_place(struct pci_dev *dev)
{
	dev->paused = dev->endpoint && !pci_bus_master(dev);
	if (dev->paused)
		viommu_endpoint_pause(dev->endpoint);
}

/* Paused first: what the call of master_off() leads to waits for all that has begun before. */
void pci_master_update(struct pci_dev *dev)
{
	const bool off = !pci_bus_master(dev);

	if (!dev->endpoint || off == dev->paused)
		return;
	dev->paused = off;
	if (!off) {
		viommu_endpoint_resume(dev->endpoint);
		return;
	}
	viommu_endpoint_pause(dev->endpoint);
	if (!dev->bus || !dev->bus->root->config.master_off)
		return;
	dev->config[dev->express + PCI_EXP_DEVSTA] |= PCI_EXP_DEVSTA_TRPND;
	dev->bus->root->config.master_off(dev->bus->root->config.opaque, dev);
}

void pci_dma_idle_locked(struct pci_dev *dev)
{
	dev->config[dev->express + PCI_EXP_DEVSTA] &= (uint8_t)~PCI_EXP_DEVSTA_TRPND;
}
