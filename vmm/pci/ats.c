/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address translation services (PCI Express base 5.0, sections 10.5.1 and 7.6.3): the capability; what it does is the
 * device's.
 */
#include <linux/pci_regs.h>

#include <viommu/core.h>

#include "vmm/pci/internal.h"

enum { CAPABILITY_SIZE = 8, VERSION = 1, QUEUE_DEPTH = 0 /* 32 invalidations */ };

void pci_add_ats(struct pci_dev *dev)
{
	uint8_t body[CAPABILITY_SIZE] = {0};

	pci_set16(body, PCI_ATS_CAP, QUEUE_DEPTH | PCI_ATS_CAP_PAGE_ALIGNED);
	dev->ats = pci_add_extended_capability(dev, PCI_EXT_CAP_ID_ATS, VERSION, body, sizeof(body));
	/* The smallest translation unit, and enable. */
	pci_set16(dev->writable, dev->ats + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE | 0x1f);
}

bool pci_ats_enabled(const struct pci_dev *dev)
{
	return dev->ats && pci_peek8(dev, dev->ats + PCI_ATS_CTRL + 1) & PCI_ATS_CTRL_ENABLE >> 8;
}

void pci_ats_update(struct pci_dev *dev)
{
	const bool on = pci_ats_enabled(dev);

	if (on == dev->ats_on)
		return;
	dev->ats_on = on;
	if (dev->endpoint)
		viommu_endpoint_set_ats(dev->endpoint, on);
	if (dev->ops->ats_enabled)
		dev->ops->ats_enabled(dev, on);
}
