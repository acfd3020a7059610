/* SPDX-License-Identifier: BSD-2-Clause */
/* MSI (PCI Express base 5.0, sections 6.1.4 and 7.7.1): one message, address of 64 bits, no mask bits. */
#include <linux/pci_regs.h>

#include "vmm/irqchip/route.h"
#include "vmm/pci/internal.h"

enum { CAPABILITY_SIZE = 14 };

void pci_add_msi(struct pci_dev *dev)
{
	uint8_t body[CAPABILITY_SIZE] = {0};
	uint8_t at;

	pci_set16(body, PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT);
	at = pci_add_capability(dev, PCI_CAP_ID_MSI, body, sizeof(body));
	dev->msi = at;
	pci_set16(dev->writable, at + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	pci_set32(dev->writable, at + PCI_MSI_ADDRESS_LO, ~3u);
	pci_set32(dev->writable, at + PCI_MSI_ADDRESS_HI, UINT32_MAX);
	pci_set16(dev->writable, at + PCI_MSI_DATA_64, UINT16_MAX);
}

bool pci_msi_enabled(const struct pci_dev *dev)
{
	return dev->msi && pci_get16(dev, dev->msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_ENABLE;
}

/* A message is a memory write, so it needs bus mastering. */
void pci_msi_update(struct pci_dev *dev)
{
	if (!dev->msi_route)
		return;
	if (!pci_msi_enabled(dev) || !pci_bus_master(dev)) {
		irq_route_clear(dev->msi_route);
		return;
	}
	const struct msi_message message = {
		.address = pci_get32(dev, dev->msi + PCI_MSI_ADDRESS_LO) |
			   (uint64_t)pci_get32(dev, dev->msi + PCI_MSI_ADDRESS_HI) << 32,
		.data = pci_get16(dev, dev->msi + PCI_MSI_DATA_64),
	};

	irq_route_set(dev->msi_route, message);
}

/* It is sent or lost: nothing here can hold it back. */
void pci_msi_raise_locked(struct pci_dev *dev)
{
	if (dev->msi_route)
		irq_route_raise(dev->msi_route);
}
