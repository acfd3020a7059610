/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buses, and the bridges that they hang under. The root bus (number 0) has room for 32 devices of eight functions; the
 * bus behind a port is a link, which has one device.
 *
 * The number of a bus is given when it is made: the machine's tables (VIOT, DMAR) name functions by it, and messages
 * and DMA carry it as requester id. A guest that writes another one to a bridge's secondary number reaches the bus by
 * that number; requester ids stay.
 */
#ifndef VMM_PCI_BUS_H
#define VMM_PCI_BUS_H

#include <stdint.h>

struct pci_bus;
struct pci_dev;
struct pci_root;

enum { PCI_FUNCTIONS = 256 }; /* that a bus has numbers for */

struct pci_bus *pci_root_bus(struct pci_root *root);

/* The bus behind a port; NULL: the function is none. */
struct pci_bus *pci_secondary_bus(struct pci_dev *bridge);

/* bus << 8 | devfn, of a function there. */
uint16_t pci_requester_id(const struct pci_bus *bus, unsigned devfn);

/*
 * Put a function on a bus, once, give its BARs addresses and its messages routes. I/O thread, or while no vCPU runs, as
 * pci_bus_remove(). -EINVAL: the bus has no such device; -EEXIST: there is a function; -ENOSPC: a window is full;
 * -ENOMEM.
 */
int pci_bus_add(struct pci_bus *bus, struct pci_dev *dev, unsigned devfn);

/*
 * Take it away: on return no vCPU is in its configuration space or its BARs, or gets there. Its pin is down; messages
 * and DMA are the device's to end. Nothing is left behind a bridge. Not from a handler. Ignored where it is on no bus.
 */
void pci_bus_remove(struct pci_dev *dev);

struct pci_port_config {
	uint8_t number, last;          /* of the bus behind, and the highest behind that one */
	uint64_t memory, prefetchable; /* size of each window: 0, or a power of two from 1 MiB on */
};

/*
 * A root port with an empty bus behind it, to be put on a bus itself before anything is put behind it. Destroying it
 * destroys what is behind. -ENOMEM.
 */
int pci_port_create(struct pci_root *root, const struct pci_port_config *config, struct pci_dev **out);

#endif
