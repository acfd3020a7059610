/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this folder share. All functions run with dev->lock held unless they say otherwise. */
#ifndef VMM_PCI_INTERNAL_H
#define VMM_PCI_INTERNAL_H

#include <stdatomic.h>

#include "vmm/layout/layout.h"
#include "vmm/pci/pci.h"
#include "vmm/util/mutex.h"

struct pci_root {
	struct pci_root_config config;
	struct bus_range ecam, ports;
	_Atomic uint32_t config_address; /* the register at LAYOUT_PORT_PCI */
	struct pci_dev bridge;
	/* vCPUs look slots up, pci_root_add() changes them. Taken before any pci_dev.lock, never around one. */
	struct mutex lock;
	struct pci_dev *slots[LAYOUT_PCI_SLOTS] GUARDED_BY(lock);
	struct mutex intx_lock;                                      /* taken inside of pci_dev.lock */
	uint32_t intx_users[LAYOUT_INTX_PINS] GUARDED_BY(intx_lock); /* for each pin the slots that hold it up */
};

/* Little-endian fields of config space, without effects. */
uint16_t pci_get16(const struct pci_dev *dev, unsigned offset);
uint32_t pci_get32(const struct pci_dev *dev, unsigned offset);
void pci_set16(uint8_t *space, unsigned offset, uint16_t value);
void pci_set32(uint8_t *space, unsigned offset, uint32_t value);

/* Put the BARs where config space says, or take them away. */
void pci_bars_update(struct pci_dev *dev);

/* Find addresses for the BARs of a device that is not on the root yet. dev->lock not held. -ENOSPC. */
int pci_bars_place(struct pci_root *root, struct pci_dev *dev) REQUIRES(root->lock);

/* Take all BARs away and wait for accesses that are under way. Not from a handler, dev->lock not held. */
void pci_bars_withdraw(struct pci_dev *dev);

/* Serve an access to the BAR if it falls into the MSI-X table or PBA. */
bool pci_msix_read(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size, uint64_t *value);
bool pci_msix_write(struct pci_dev *dev, unsigned bar, uint64_t offset, uint64_t value, unsigned size);

/* Free the table. dev->lock not held. */
void pci_msix_fini(struct pci_dev *dev);

/* A function gets its slot: routes for its messages, whose requester it is now. -ENOMEM. */
int pci_msi_place(struct pci_dev *dev);
int pci_msix_place(struct pci_dev *dev);

/* Config space changed: messages may be sent now or not, or are others; send what waits and may go now. */
void pci_msi_update(struct pci_dev *dev);
void pci_msix_update(struct pci_dev *dev);

/* Config space or what the device wants has changed: drive its pin accordingly. dev->lock held. */
void pci_intx_update(struct pci_dev *dev);

/* Config space changed: tell the device whether ATS is on. */
void pci_ats_update(struct pci_dev *dev);

/* A function gets its slot: tell software which pin that means. */
void pci_intx_place(struct pci_dev *dev, unsigned slot);

/* The function goes: its pin is not its business any more. */
void pci_intx_withdraw(struct pci_dev *dev);

/* The command register was written: if that took bus mastering away, wait for DMA that is under way. */
void pci_master_update(struct pci_dev *dev, bool was_on);

/* Configuration by I/O ports. Errors: those of bus_add(). */
int pci_port_io_add(struct pci_root *root);
void pci_port_io_remove(struct pci_root *root);

extern const struct bus_ops pci_ecam_ops;

#endif
