/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What firmware leaves in configuration space. There is none here, and programs that start without Linux's care rely on
 * it: each BAR has its address, and memory decoding is on. Which pin is wired to which GSI stands in the interrupt line
 * register (intx.c).
 *
 * Bus mastering stays off. Firmware switches it on for the devices that it boots from and takes it away again before it
 * hands over (UEFI 2.10, section 7.4.6; a DMA that an earlier owner began would hit the new one's memory), and each
 * driver switches it on for its own.
 */
#include <errno.h>
#include <linux/pci_regs.h>

#include "vmm/pci/bus.h"
#include "vmm/pci/internal.h"

enum { WINDOW_MIN_SHIFT = 30 };

void pci_window64(uint64_t top, unsigned bits, uint64_t *first, uint64_t *size)
{
	const uint64_t end = 1ull << (bits < LAYOUT_HOST_BITS ? bits : LAYOUT_HOST_BITS);

	for (*size = LAYOUT_PCI64_SIZE; *size >> WINDOW_MIN_SHIFT; *size /= 2) {
		*first = (top + *size - 1) & ~(*size - 1);
		if (*first + *size <= end)
			return;
	}
	*first = *size = 0;
}

/* Where the function has BARs, or passes memory on to those of others. -ENOMEM: some BAR does not answer. */
static int enable_memory(struct pci_dev *dev, void *opaque)
{
	bool wanted = dev->secondary;
	int err = 0;

	(void)opaque;
	for (unsigned b = 0; b < PCI_BARS; b++)
		wanted |= dev->bars[b].size != 0;
	if (!wanted)
		return 0;
	mutex_take(&dev->lock);
	pci_set16(dev->config, PCI_COMMAND, pci_get16(dev, PCI_COMMAND) | PCI_COMMAND_MEMORY);
	pci_bars_update(dev);
	for (unsigned b = 0; b < PCI_BARS; b++)
		if (dev->bars[b].size && !dev->bars[b].mapped)
			err = -ENOMEM;
	mutex_drop(&dev->lock);
	return err;
}

/* A bridge comes before what is behind it. */
int pci_firmware_setup(struct pci_root *root)
{
	return pci_bus_each(root->bus, enable_memory, NULL);
}
