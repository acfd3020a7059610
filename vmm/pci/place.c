/* SPDX-License-Identifier: BSD-2-Clause */
/* A function comes to a bus, and goes: addresses for its BARs, routes for its messages, its pin, its name. */
#include <errno.h>
#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <stdio.h>

#include "vmm/irqchip/route.h"
#include "vmm/pci/bus.h"
#include "vmm/pci/internal.h"

/* True: the range lies over another one that was given out. *end: where that ends. */
static bool overlaps(struct pci_window given, struct pci_window range, uint64_t *end)
{
	if (given.last < given.first || given.first > range.last || given.last < range.first)
		return false;
	*end = given.last;
	return true;
}

/* Where a range of the function that is in the way of another one ends. */
static bool find_overlap(const struct pci_dev *dev, struct pci_window range, uint64_t *end)
{
	for (const struct pci_bar *bar = dev->bars; bar < dev->bars + PCI_BARS; bar++)
		if (bar->home && overlaps((struct pci_window){bar->home, bar->home + bar->size - 1}, range, end))
			return true;
	return dev->secondary &&
	       (overlaps(dev->secondary->memory, range, end) || overlaps(dev->secondary->prefetchable, range, end));
}

static bool find_conflict(const struct pci_bus *bus, const struct pci_dev *dev, struct pci_window range, uint64_t *end)
	REQUIRES(bus->root->lock)
{
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++)
		if (bus->functions[devfn] && find_overlap(bus->functions[devfn], range, end))
			return true;
	return find_overlap(dev, range, end);
}

static int find_place(const struct pci_bus *bus, const struct pci_dev *dev, struct pci_window window, uint64_t size,
		      uint64_t *out) REQUIRES(bus->root->lock)
{
	uint64_t first = window.first, end;

	for (;;) {
		first = (first + size - 1) & ~(size - 1);
		if (!pci_window_has(window, first, size))
			return -ENOSPC;
		if (!find_conflict(bus, dev, (struct pci_window){first, first + size - 1}, &end))
			break;
		first = end + 1;
	}
	*out = first;
	return 0;
}

/* In the first of the bus's windows that has room. */
static int find_room(const struct pci_bus *bus, const struct pci_dev *dev, uint64_t size, bool is64, bool prefetch,
		     uint64_t *out) REQUIRES(bus->root->lock)
{
	struct pci_window windows[2];

	pci_bus_windows(bus, is64, prefetch, windows);
	int err = find_place(bus, dev, windows[0], size, out);

	return err ? find_place(bus, dev, windows[1], size, out) : 0;
}

static int place_bar(const struct pci_bus *bus, struct pci_bar *bar) REQUIRES(bus->root->lock)
{
	const unsigned at = pci_bar_register(bar);
	uint64_t first;
	int err = find_room(bus, bar->dev, bar->size, bar->is64, bar->prefetch, &first);

	if (err)
		return err;
	bar->home = first;
	pci_set32(bar->dev->config, at,
		  (uint32_t)first | (pci_get32(bar->dev, at) & ~(uint32_t)PCI_BASE_ADDRESS_MEM_MASK));
	if (bar->is64)
		pci_set32(bar->dev->config, at + 4, (uint32_t)(first >> 32));
	return 0;
}

/* What a bridge passes on lies in one piece, beside everything else on its bus. */
static int place_windows(const struct pci_bus *bus, struct pci_dev *dev) REQUIRES(bus->root->lock)
{
	struct pci_bus *behind = dev->secondary;
	uint64_t first;
	int err = 0;

	if (behind->memory_size) {
		err = find_room(bus, dev, behind->memory_size, false, false, &first);
		if (err)
			return err;
		behind->memory = (struct pci_window){first, first + behind->memory_size - 1};
		pci_bridge_set_memory(dev, behind->memory);
	}
	if (behind->prefetchable_size) {
		err = find_room(bus, dev, behind->prefetchable_size, true, true, &first);
		if (err)
			return err;
		behind->prefetchable = (struct pci_window){first, first + behind->prefetchable_size - 1};
		pci_bridge_set_prefetchable(dev, behind->prefetchable);
	}
	return 0;
}

static int place(struct pci_bus *bus, struct pci_dev *dev) REQUIRES(bus->root->lock)
{
	int err = dev->secondary ? place_windows(bus, dev) : 0;

	for (unsigned b = 0; b < PCI_BARS && !err; b++)
		if (dev->bars[b].size)
			err = place_bar(bus, &dev->bars[b]);
	return err;
}

static void forget_place(struct pci_dev *dev)
{
	for (unsigned b = 0; b < PCI_BARS; b++)
		dev->bars[b].home = 0;
	if (dev->secondary)
		dev->secondary->memory = dev->secondary->prefetchable = (struct pci_window){1, 0};
}

/* Routes for its messages, whose requester it is now. -ENOMEM. */
static int place_messages(struct pci_dev *dev, struct irqchip *chip, uint16_t requester)
{
	int err = 0;

	if (dev->msi)
		err = irq_route_create(irqchip_router(chip), requester, &dev->msi_route);
	for (unsigned i = 0; i < dev->msix.count && !err; i++)
		err = irq_route_create(irqchip_router(chip), requester, &dev->msix.entries[i].route);
	return err;
}

static int add_locked(struct pci_bus *bus, struct pci_dev *dev, unsigned devfn) REQUIRES(bus->root->lock)
{
	if (bus->functions[devfn])
		return -EEXIST;
	int err = place(bus, dev);

	if (!err)
		err = place_messages(dev, bus->root->config.irqchip, pci_requester_id(bus, devfn));
	if (err) {
		forget_place(dev);
		return err;
	}
	dev->bus = bus;
	dev->devfn = (uint8_t)devfn;
	if (bus->bridge)
		pci_express_on_link(dev);
	pci_intx_place(dev);
	pci_master_place(dev);
	snprintf(dev->name, sizeof(dev->name), "0000:%02x:%02x.%x", bus->number, PCI_SLOT(devfn), PCI_FUNC(devfn));
	bus->functions[devfn] = dev;
	return 0;
}

int pci_bus_add(struct pci_bus *bus, struct pci_dev *dev, unsigned devfn)
{
	if (devfn >= PCI_FUNCTIONS || (bus->bridge && PCI_SLOT(devfn)))
		return -EINVAL;
	mutex_take(&bus->root->lock);
	int err = add_locked(bus, dev, devfn);

	mutex_drop(&bus->root->lock);
	return err;
}

void pci_bus_remove(struct pci_dev *dev)
{
	struct pci_bus *bus = dev->bus;

	if (!bus)
		return;
	/* Nobody finds it any more, and those that have are out of its configuration space. */
	mutex_take(&bus->root->lock);
	bus->functions[dev->devfn] = NULL;
	while (dev->users)
		mutex_wait(&bus->root->lock, &bus->root->unused);
	mutex_drop(&bus->root->lock);
	pci_bars_withdraw(dev);
	pci_intx_withdraw(dev);
	forget_place(dev);
	dev->bus = NULL;
}

void pci_bus_clear(struct pci_bus *bus) NO_OTHER_THREAD
{
	for (unsigned devfn = PCI_FUNCTIONS; devfn-- > 0;) {
		struct pci_dev *dev = bus->functions[devfn];

		if (!dev)
			continue;
		if (dev->secondary)
			pci_bus_clear(dev->secondary);
		pci_bus_remove(dev);
		dev->ops->destroy(dev);
	}
}
