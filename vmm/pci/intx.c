/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INTx (PCI Express base 5.0, sections 6.1.2 and 7.5.1.1): pin A of each function, wired to one of the IOAPIC's last
 * eight pins (LAYOUT_INTX_GSI). Several functions share a pin, which is up while at least one of them wants it.
 */
#include <linux/pci.h>
#include <linux/pci_regs.h>

#include "vmm/pci/internal.h"

enum { PIN_A = 1, PINS = 4 };

void pci_add_intx(struct pci_dev *dev)
{
	dev->config[PCI_INTERRUPT_PIN] = PIN_A;
}

/* Each bridge turns the pins of what is behind it by the device's number (section 2.2.8.1). */
static unsigned gsi_of(const struct pci_dev *dev)
{
	unsigned pin = dev->config[PCI_INTERRUPT_PIN] - PIN_A;

	for (; dev->bus->bridge; dev = dev->bus->bridge)
		pin = (pin + PCI_SLOT(dev->devfn)) % PINS;
	return LAYOUT_INTX_GSI(PCI_SLOT(dev->devfn), pin);
}

void pci_intx_place(struct pci_dev *dev)
{
	if (dev->config[PCI_INTERRUPT_PIN])
		dev->config[PCI_INTERRUPT_LINE] = (uint8_t)gsi_of(dev);
}

/* The pin is set under the lock, so that two functions cannot set it in the wrong order. */
static void drive(const struct pci_dev *dev, bool level)
{
	struct pci_root *root = dev->bus->root;
	const unsigned gsi = gsi_of(dev);
	unsigned *users = &root->intx_users[gsi - LAYOUT_INTX_FIRST];

	mutex_take(&root->intx_lock);
	*users = level ? *users + 1 : *users - 1;
	irq_set_pin(root->config.irqchip, gsi, *users != 0);
	mutex_drop(&root->intx_lock);
}

/* A function that sends messages does not use its pin; one whose pin is disabled still shows its state. */
void pci_intx_update(struct pci_dev *dev)
{
	const bool pending = dev->intx && !pci_msix_enabled(dev) && !pci_msi_enabled(dev);
	const bool level = pending && !(pci_get16(dev, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);

	if (pending)
		dev->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	else
		dev->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
	if (level == dev->intx_level || !dev->bus)
		return;
	dev->intx_level = level;
	drive(dev, level);
}

void pci_intx_set_locked(struct pci_dev *dev, bool level)
{
	if (!dev->config[PCI_INTERRUPT_PIN] || dev->intx == level)
		return;
	dev->intx = level;
	pci_intx_update(dev);
}

void pci_intx_withdraw(struct pci_dev *dev)
{
	mutex_take(&dev->lock);
	dev->intx = false;
	pci_intx_update(dev);
	mutex_drop(&dev->lock);
}
