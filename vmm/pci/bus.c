/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buses: which functions are on one, and where an access by bus number goes. A bus hangs under a bridge, whose
 * secondary and subordinate numbers say what it passes on (PCI Express base 5.0, section 7.5.1.3); the root's has
 * number 0.
 */
#include "vmm/pci/bus.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "vmm/pci/internal.h"

int pci_bus_create(struct pci_root *root, struct pci_dev *bridge, uint8_t number, struct pci_bus **out)
{
	struct pci_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return -ENOMEM;
	bus->root = root;
	bus->bridge = bridge;
	bus->number = number;
	*out = bus;
	return 0;
}

void pci_bus_destroy(struct pci_bus *bus)
{
	free(bus);
}

struct pci_bus *pci_root_bus(struct pci_root *root)
{
	return root->bus;
}

struct pci_bus *pci_secondary_bus(struct pci_dev *bridge)
{
	return bridge->secondary;
}

uint16_t pci_requester_id(const struct pci_bus *bus, unsigned devfn)
{
	return (uint16_t)(bus->number << 8 | devfn);
}

/* By the numbers that the bridges' registers have now. NULL: no bus has this one. */
static struct pci_bus *find_bus(struct pci_root *root, unsigned number) REQUIRES(root->lock)
{
	struct pci_bus *bus = root->bus;
	unsigned own = bus->number;

	while (bus && own != number) {
		struct pci_bus *next = NULL;

		for (unsigned devfn = 0; devfn < PCI_FUNCTIONS && !next; devfn++) {
			const struct pci_dev *bridge = bus->functions[devfn];

			if (!bridge || !bridge->secondary)
				continue;
			own = pci_peek8(bridge, PCI_SECONDARY_BUS);
			if (number >= own && number <= pci_peek8(bridge, PCI_SUBORDINATE_BUS))
				next = bridge->secondary;
		}
		bus = next;
	}
	return bus;
}

static struct pci_dev *use_locked(struct pci_root *root, struct pci_bus *bus, unsigned devfn) REQUIRES(root->lock)
{
	struct pci_dev *dev = devfn < PCI_FUNCTIONS ? bus->functions[devfn] : NULL;

	(void)root;
	if (dev)
		dev->users++;
	return dev;
}

struct pci_dev *pci_root_use(struct pci_root *root, unsigned number, unsigned devfn)
{
	mutex_take(&root->lock);
	struct pci_bus *bus = find_bus(root, number);
	struct pci_dev *dev = bus ? use_locked(root, bus, devfn) : NULL;

	mutex_drop(&root->lock);
	return dev;
}

struct pci_dev *pci_bus_use(struct pci_bus *bus, unsigned devfn)
{
	struct pci_root *root = bus->root;

	mutex_take(&root->lock);
	struct pci_dev *dev = use_locked(root, bus, devfn);

	mutex_drop(&root->lock);
	return dev;
}

void pci_unuse(struct pci_root *root, struct pci_dev *dev)
{
	mutex_take(&root->lock);
	if (--dev->users == 0)
		pthread_cond_broadcast(&root->unused);
	mutex_drop(&root->lock);
}

int pci_bus_each(struct pci_bus *bus, int (*visit)(struct pci_dev *dev, void *opaque), void *opaque)
{
	int err = 0;

	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS && !err; devfn++) {
		struct pci_dev *dev = pci_bus_use(bus, devfn);

		if (!dev)
			continue;
		err = visit(dev, opaque);
		if (!err && dev->secondary)
			err = pci_bus_each(dev->secondary, visit, opaque);
		pci_unuse(bus->root, dev);
	}
	return err;
}
