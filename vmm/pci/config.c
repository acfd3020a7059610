/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to config space: bytes with masks, and then what the changed registers mean. */
#include <linux/pci_regs.h>

#include "vmm/pci/internal.h"

static bool touches(unsigned offset, unsigned size, unsigned first, unsigned last)
{
	return offset <= last && offset + size > first;
}

uint64_t pci_config_read(struct pci_dev *dev, unsigned offset, unsigned size)
{
	uint64_t value = 0;

	if (offset >= PCI_CONFIG_SIZE || size > PCI_CONFIG_SIZE - offset)
		return UINT64_MAX;
	mutex_take(&dev->lock);
	if (dev->ops->config_access)
		dev->ops->config_access(dev, offset, size, false);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)dev->config[offset + i] << (8 * i);
	mutex_drop(&dev->lock);
	return value;
}

static void write_byte(struct pci_dev *dev, unsigned offset, uint8_t value)
{
	uint8_t byte = dev->config[offset], writable = dev->writable[offset];

	byte = (uint8_t)((byte & ~writable) | (value & writable));
	byte &= (uint8_t)~(value & dev->w1c[offset]);
	/* Partner: the load in pci_peek8(), which takes no lock. */
	__atomic_store_n(&dev->config[offset], byte, __ATOMIC_RELEASE);
}

static void perform_effects(struct pci_dev *dev, unsigned offset, unsigned size)
{
	bool command = touches(offset, size, PCI_COMMAND, PCI_COMMAND + 1);
	unsigned msix = dev->msix.capability;

	if (command || touches(offset, size, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_5 + 3))
		pci_bars_update(dev);
	if (msix && (command || touches(offset, size, msix + PCI_MSIX_FLAGS, msix + PCI_MSIX_FLAGS + 1)))
		pci_msix_update(dev);
	if (dev->msi && (command || touches(offset, size, dev->msi, dev->msi + PCI_MSI_DATA_64 + 1)))
		pci_msi_update(dev);
	if (dev->ats && touches(offset, size, dev->ats + PCI_ATS_CTRL, dev->ats + PCI_ATS_CTRL + 1))
		pci_ats_update(dev);
	pci_intx_update(dev);
	if (dev->ops->config_access)
		dev->ops->config_access(dev, offset, size, true);
}

void pci_config_write(struct pci_dev *dev, unsigned offset, uint64_t value, unsigned size)
{
	if (offset >= PCI_CONFIG_SIZE || size > PCI_CONFIG_SIZE - offset)
		return;
	mutex_take(&dev->lock);
	for (unsigned i = 0; i < size; i++)
		write_byte(dev, offset + i, (uint8_t)(value >> (8 * i)));
	/* First: a device that hears of bus mastering begins its DMA. */
	pci_master_update(dev);
	perform_effects(dev, offset, size);
	mutex_drop(&dev->lock);
	if (touches(offset, size, PCI_COMMAND, PCI_COMMAND + 1) ||
	    touches(offset, size, PCI_MEMORY_BASE, PCI_PREF_LIMIT_UPPER32 + 3))
		pci_behind_update(dev);
}

uint64_t pci_root_config_read(struct pci_root *root, unsigned bus, unsigned devfn, unsigned offset, unsigned size)
{
	struct pci_dev *dev = pci_root_use(root, bus, devfn);

	if (!dev)
		return UINT64_MAX;
	const uint64_t value = pci_config_read(dev, offset, size);

	pci_unuse(root, dev);
	return value;
}

void pci_root_config_write(struct pci_root *root, unsigned bus, unsigned devfn, unsigned offset, uint64_t value,
			   unsigned size)
{
	struct pci_dev *dev = pci_root_use(root, bus, devfn);

	if (!dev)
		return;
	pci_config_write(dev, offset, value, size);
	pci_unuse(root, dev);
}
