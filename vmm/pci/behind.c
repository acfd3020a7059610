/* SPDX-License-Identifier: BSD-2-Clause */
/* What a write to a bridge's registers means for the functions behind it. */
#include <linux/pci_regs.h>

#include "vmm/pci/bus.h"
#include "vmm/pci/internal.h"

static int look_again(struct pci_dev *dev, void *opaque)
{
	(void)opaque;
	mutex_take(&dev->lock);
	pci_master_update(dev);
	pci_bars_update(dev);
	pci_msix_update(dev);
	pci_msi_update(dev);
	if (dev->ops->config_access)
		dev->ops->config_access(dev, PCI_COMMAND, 2, true); /* what waits for bus mastering is to look again */
	mutex_drop(&dev->lock);
	return 0;
}

void pci_behind_update(struct pci_dev *bridge)
{
	if (bridge->secondary)
		pci_bus_each(bridge->secondary, look_again, NULL);
}
