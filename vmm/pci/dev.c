/* SPDX-License-Identifier: BSD-2-Clause */
/* A PCI function: its header and its PCI Express capability (PCI Express base 5.0, sections 7.5.1 and 7.5.3). */
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "vmm/irqchip/route.h"
#include "vmm/pci/internal.h"

enum { FIRST_CAPABILITY = 0x40, FIRST_EXTENDED = 0x100, EXPRESS_SIZE = 0x3c };

static void init_header(struct pci_dev *dev, const struct pci_ids *ids)
{
	uint8_t *config = dev->config;

	pci_set16(config, PCI_VENDOR_ID, ids->vendor);
	pci_set16(config, PCI_DEVICE_ID, ids->device);
	pci_set32(config, PCI_CLASS_REVISION, ids->class_code << 8 | ids->revision);
	pci_set16(config, PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
	pci_set16(config, PCI_SUBSYSTEM_ID, ids->subsystem);
	pci_set16(config, PCI_STATUS, PCI_STATUS_CAP_LIST);

	/* No I/O space: its enable bit stays 0. The interrupt line is a scratch byte for software. */
	pci_set16(dev->writable, PCI_COMMAND,
		  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
			  PCI_COMMAND_INTX_DISABLE);
	dev->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	dev->writable[PCI_INTERRUPT_LINE] = 0xff;
	pci_set16(dev->w1c, PCI_STATUS,
		  PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT |
			  PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY);
}

/* Root complex integrated endpoint: no link, no slot, so their registers read 0 (section 7.5.3). */
static void add_express(struct pci_dev *dev)
{
	uint8_t body[EXPRESS_SIZE] = {0};
	uint8_t at;

	pci_set16(body, PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_RC_END << 4);
	pci_set32(body, PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER);
	pci_set16(body, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN | 2 << 12);
	at = pci_add_capability(dev, PCI_CAP_ID_EXP, body, sizeof(body));
	dev->express = at;
	pci_set16(dev->writable, at + PCI_EXP_DEVCTL,
		  PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE |
			  PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_NOSNOOP_EN |
			  PCI_EXP_DEVCTL_READRQ);
	pci_set16(dev->w1c, at + PCI_EXP_DEVSTA,
		  PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD);
}

int pci_dev_init(struct pci_dev *dev, const struct pci_ops *ops, const struct pci_ids *ids)
{
	int ret = mutex_init(&dev->lock);

	if (ret)
		return ret;
	dev->ops = ops;
	dev->next_capability = FIRST_CAPABILITY;
	dev->next_extended = FIRST_EXTENDED;
	init_header(dev, ids);
	add_express(dev);
	return 0;
}

void pci_dev_fini(struct pci_dev *dev)
{
	irq_route_destroy(dev->msi_route);
	for (unsigned i = 0; i < dev->msix.count; i++)
		irq_route_destroy(dev->msix.entries[i].route);
	free(dev->msix.entries);
	mutex_fini(&dev->lock);
}

/* Section 7.5.3. A device on a link, or the port that the link begins at: 2.5 GT/s, one lane, as slow as it goes. */
void pci_express_on_link(struct pci_dev *dev)
{
	pci_set16(dev->config, dev->express + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4);
	pci_set32(dev->config, dev->express + PCI_EXP_LNKCAP, PCI_EXP_LNKCAP_SLS_2_5GB | 1 << 4);
	pci_set16(dev->config, dev->express + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1);
}
