/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI functions on bus 0: configuration space, BARs, MSI-X. Devices embed struct pci_dev.
 *
 * Locking: `lock` guards config space, BAR state and the MSI-X table; it is taken around the device's own callbacks, too.
 * Order: bus (read) -> pci_dev.lock -> device's own locks -> irqchip.
 */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/irqchip/irqchip.h"
#include "vmm/util/bus.h"

struct viommu_endpoint;
struct pci_dev;
struct pci_root;

enum { PCI_BARS = 6, PCI_CONFIG_SIZE = 4096 };

struct pci_bar {
	uint64_t size; /* 0: absent; a power of two, at least 4096 for memory */
	bool is64;     /* takes this BAR and the next */
	bool prefetch;
	bool mapped; /* on the bus now, at range.first */
	struct bus_range range;
	struct pci_dev *dev;
};

struct pci_ops {
	uint64_t (*bar_read)(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size);
	void (*bar_write)(struct pci_dev *dev, unsigned bar, uint64_t offset, uint64_t value, unsigned size);
	/* A BAR was put at `address` (mapped) or is about to go from there (!mapped). May be NULL. */
	void (*bar_mapped)(struct pci_dev *dev, unsigned bar, uint64_t address, bool mapped);
	/* Free the device. */
	void (*destroy)(struct pci_dev *dev);
};

struct msix_entry {
	struct msi_message message;
	bool masked, pending;
};

/* MSI-X: table and pending bits lie at fixed offsets of one BAR; pci_msix_access() serves them. */
struct pci_msix {
	uint8_t capability; /* offset in config space; 0: none */
	unsigned bar, count;
	uint32_t table, pba;
	struct msix_entry *entries;
};

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint8_t revision;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
};

struct pci_dev {
	struct pci_root *root;
	const struct pci_ops *ops;
	struct viommu_endpoint *endpoint; /* whose DMA this is; set before the device can run */
	char name[16];                    /* "0000:00:03.0" */
	uint8_t devfn;
	pthread_mutex_t lock;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* mask of bits that the guest may change */
	struct pci_bar bars[PCI_BARS];
	struct pci_msix msix;
	uint8_t next_capability; /* where the next one goes */
};

struct pci_root_config {
	struct bus *mmio;
	struct irqchip *irqchip;
	uint64_t bar64; /* first address of the window for 64-bit BARs */
};

/* The root bus with its host bridge at 00.0; ECAM at LAYOUT_ECAM. pci_root_destroy() destroys every device on it. */
int pci_root_create(const struct pci_root_config *config, struct pci_root **out);
void pci_root_destroy(struct pci_root *root);

/* Prepare an embedded device: header, a PCI Express capability (root complex integrated endpoint), lock. */
int pci_dev_init(struct pci_dev *dev, const struct pci_ops *ops, const struct pci_ids *ids);
void pci_dev_fini(struct pci_dev *dev);

/* Before pci_root_add(): capabilities and BARs. A capability's first two bytes are filled in; returns its offset. */
uint8_t pci_add_capability(struct pci_dev *dev, uint8_t id, const void *body, uint8_t size);
void pci_add_bar(struct pci_dev *dev, unsigned bar, uint64_t size, bool is64, bool prefetch);
int pci_add_msix(struct pci_dev *dev, unsigned bar, uint32_t table, uint32_t pba, unsigned count);

/* Put a device at a slot (function 0) and give its BARs addresses. -EEXIST: slot taken; -ENOSPC: window full. */
int pci_root_add(struct pci_root *root, struct pci_dev *dev, unsigned slot);

/* Serve an access to the BAR if it falls into the MSI-X table or PBA. With dev->lock held. */
bool pci_msix_read(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size, uint64_t *value);
bool pci_msix_write(struct pci_dev *dev, unsigned bar, uint64_t offset, uint64_t value, unsigned size);

/* Raise an MSI-X vector; masked ones become pending. Any thread; without dev->lock held. */
void pci_msix_raise(struct pci_dev *dev, unsigned vector);
bool pci_msix_enabled(struct pci_dev *dev);

/* May the device do DMA (bus master enable)? Any thread. */
bool pci_bus_master(const struct pci_dev *dev);

#endif
