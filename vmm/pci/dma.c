/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bus mastering (PCI Express base 5.0, sections 7.5.1.1.3 and 7.5.3.5). The write that clears Bus Master Enable
 * completes at once, and no DMA begins after it; Transactions Pending in Device Status is 1 from then on until what was
 * under way is over, which is what software has to look at before it uses the memory for something else.
 */
#include <errno.h>
#include <linux/pci_regs.h>

#include <viommu/dma.h>

#include "vmm/pci/internal.h"

static bool master_on(const struct pci_dev *dev)
{
	/* Partner: the stores in pci_config_write(). */
	return __atomic_load_n(&dev->config[PCI_COMMAND], __ATOMIC_ACQUIRE) & PCI_COMMAND_MASTER;
}

/* Bridges on the way have to pass it on. */
bool pci_bus_master(const struct pci_dev *dev)
{
	while (master_on(dev)) {
		if (!dev->bus || !dev->bus->bridge)
			return true;
		dev = dev->bus->bridge;
	}
	return false;
}

int pci_dma_begin(struct pci_dev *dev, struct viommu_section *section)
{
	int ret = viommu_dma_begin(dev->endpoint, section);

	if (ret)
		return ret;
	/*
	 * Inside the section: a device that sees it on here is waited for. The full fence in viommu_dma_begin() is
	 * before this load; partner: the store in pci_config_write(), which viommu_inval_begin() with its own fence
	 * follows.
	 */
	if (pci_bus_master(dev))
		return 0;
	viommu_dma_end(section);
	return -EACCES;
}

void pci_master_update(struct pci_dev *dev, bool was_on)
{
	if (!was_on || pci_bus_master(dev) || !dev->endpoint || !dev->bus || !dev->bus->root->config.master_off)
		return;
	dev->config[dev->express + PCI_EXP_DEVSTA] |= PCI_EXP_DEVSTA_TRPND;
	dev->bus->root->config.master_off(dev->bus->root->config.opaque, dev);
}

void pci_dma_idle_locked(struct pci_dev *dev)
{
	dev->config[dev->express + PCI_EXP_DEVSTA] &= (uint8_t)~PCI_EXP_DEVSTA_TRPND;
}
