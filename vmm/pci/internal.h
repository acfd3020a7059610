/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this folder share. All functions run with dev->lock held unless they say otherwise. */
#ifndef VMM_PCI_INTERNAL_H
#define VMM_PCI_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/layout/layout.h"
#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/util/mutex.h"

struct pci_root {
	struct pci_root_config config;
	struct bus_range ecam, port_io;
	_Atomic uint32_t config_address; /* the register at LAYOUT_PORT_PCI */
	struct pci_dev host;             /* the bridge at 00.0 */
	struct pci_bus *bus;             /* number 0 */
	/*
	 * vCPUs look functions up, pci_bus_add() and pci_bus_remove() change what there is. Taken before any
	 * pci_dev.lock, never around one.
	 */
	struct mutex lock;
	pthread_cond_t unused;                                       /* some function has no users any more */
	struct mutex intx_lock;                                      /* taken inside of pci_dev.lock */
	unsigned intx_users[LAYOUT_INTX_PINS] GUARDED_BY(intx_lock); /* how many functions hold each pin up */
};

struct pci_window {
	uint64_t first, last; /* last below first: none */
};

struct pci_bus {
	struct pci_root *root;
	struct pci_dev *bridge; /* that it hangs under; NULL: the root's */
	uint8_t number;
	/* What the bridge is to pass on, and where on its own bus that was found room for. */
	uint64_t memory_size, prefetchable_size;
	struct pci_window memory, prefetchable;
	struct pci_dev *functions[PCI_FUNCTIONS]; /* by devfn; root->lock guards them */
};

/* Heap-allocated, empty. -ENOMEM. */
int pci_bus_create(struct pci_root *root, struct pci_dev *bridge, uint8_t number, struct pci_bus **out);
void pci_bus_destroy(struct pci_bus *bus);

/* Take all functions away and destroy them. No vCPU runs. */
void pci_bus_clear(struct pci_bus *bus);

/*
 * The function at this address, by the bus numbers that bridges have now; or on this bus. It stays until pci_unuse().
 * NULL: none. dev->lock not held.
 */
struct pci_dev *pci_root_use(struct pci_root *root, unsigned number, unsigned devfn);
struct pci_dev *pci_bus_use(struct pci_bus *bus, unsigned devfn);
void pci_unuse(struct pci_root *root, struct pci_dev *dev);

/* Every function on the bus and behind its bridges, each bridge before what is behind it, until one says other than 0.
 */
int pci_bus_each(struct pci_bus *bus, int (*visit)(struct pci_dev *dev, void *opaque), void *opaque);

/* True: memory at these addresses reaches the bus. Any lock may be held. */
bool pci_bus_reached(const struct pci_bus *bus, uint64_t first, uint64_t size);

/* Where a range of such a kind goes on the bus: first here, then there. */
void pci_bus_windows(const struct pci_bus *bus, bool is64, bool prefetch, struct pci_window out[2]);
bool pci_window_has(struct pci_window window, uint64_t first, uint64_t size);

/* What a bridge passes on, before a guest sees it. */
void pci_bridge_set_memory(struct pci_dev *bridge, struct pci_window window);
void pci_bridge_set_prefetchable(struct pci_dev *bridge, struct pci_window window);

/* A bridge's command register or windows were written. dev->lock not held. */
void pci_behind_update(struct pci_dev *bridge);

/* The function, or the port, is at a link. Before the guest sees it. */
void pci_express_on_link(struct pci_dev *dev);

/* Registers that a guest may be writing at this moment. Any lock may be held. */
uint8_t pci_peek8(const struct pci_dev *dev, unsigned offset);
uint16_t pci_peek16(const struct pci_dev *dev, unsigned offset);

/* Little-endian fields of config space, without effects. */
uint16_t pci_get16(const struct pci_dev *dev, unsigned offset);
uint32_t pci_get32(const struct pci_dev *dev, unsigned offset);
void pci_set16(uint8_t *space, unsigned offset, uint16_t value);
void pci_set32(uint8_t *space, unsigned offset, uint32_t value);

/* Put the BARs where config space says, or take them away. */
void pci_bars_update(struct pci_dev *dev);

/* Offset of the BAR in config space. */
unsigned pci_bar_register(const struct pci_bar *bar);

/* Take all BARs away and wait for accesses that are under way. Not from a handler, dev->lock not held. */
void pci_bars_withdraw(struct pci_dev *dev);

/* Serve an access to the BAR if it falls into the MSI-X table or PBA. */
bool pci_msix_read(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size, uint64_t *value);
bool pci_msix_write(struct pci_dev *dev, unsigned bar, uint64_t offset, uint64_t value, unsigned size);

/* Config space changed: messages may be sent now or not, or are others; send what waits and may go now. */
void pci_msi_update(struct pci_dev *dev);
void pci_msix_update(struct pci_dev *dev);

/* Config space or what the device wants has changed: drive its pin accordingly. dev->lock held. */
void pci_intx_update(struct pci_dev *dev);

/* Config space changed: tell the device whether ATS is on. */
void pci_ats_update(struct pci_dev *dev);

/* A function has its place: tell software which pin that means. */
void pci_intx_place(struct pci_dev *dev);

/* The function goes: its pin is not its business any more. */
void pci_intx_withdraw(struct pci_dev *dev);

/* A function gets its place: it may do no DMA yet. Nobody else knows it. */
void pci_master_place(struct pci_dev *dev);

/* The command register was written, or a bridge's: DMA may begin from now on, or not and the end of it is awaited. */
void pci_master_update(struct pci_dev *dev);

/* Configuration by I/O ports. Errors: those of bus_add(). */
int pci_port_io_add(struct pci_root *root);
void pci_port_io_remove(struct pci_root *root);

/* Configuration by memory. Errors: those of bus_add(). */
int pci_ecam_add(struct pci_root *root);
void pci_ecam_remove(struct pci_root *root);

#endif
