/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Base address registers: memory only. A BAR answers while memory decoding is on and it lies wholly inside one of the
 * windows of its bus and over nothing else; where a guest puts it anywhere else, it just does not answer. A BAR that
 * was refused because another one was in the way is looked at again when its own registers or command register change.
 */
#include <assert.h>
#include <linux/pci_regs.h>

#include "vmm/pci/internal.h"

unsigned pci_bar_register(const struct pci_bar *bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * (unsigned)(bar - bar->dev->bars);
}

static uint64_t on_bus_read(void *opaque, uint64_t offset, unsigned size)
{
	struct pci_bar *bar = opaque;
	struct pci_dev *dev = bar->dev;
	uint64_t value;

	mutex_take(&dev->lock);
	value = pci_bar_read(dev, (unsigned)(bar - dev->bars), offset, size);
	mutex_drop(&dev->lock);
	return value;
}

static void on_bus_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_bar *bar = opaque;
	struct pci_dev *dev = bar->dev;
	const unsigned index = (unsigned)(bar - dev->bars);

	if (dev->ops->doorbell && dev->ops->doorbell(dev, index, offset))
		return;
	mutex_take(&dev->lock);
	pci_bar_write(dev, index, offset, value, size);
	mutex_drop(&dev->lock);
}

static const struct bus_ops bar_ops = {.read = on_bus_read, .write = on_bus_write};

void pci_add_bar(struct pci_dev *dev, unsigned index, uint64_t size, bool is64, bool prefetch)
{
	struct pci_bar *bar = &dev->bars[index];
	uint64_t mask = ~(size - 1);
	unsigned at;

	assert(index + is64 < PCI_BARS && size >= 4096 && !(size & (size - 1)));
	assert(is64 || size <= LAYOUT_PCI32_SIZE);
	/* What the range does never changes: another vCPU may be inside it while this BAR moves. */
	*bar = (struct pci_bar){
		.size = size,
		.is64 = is64,
		.prefetch = prefetch,
		.dev = dev,
		.range = {.ops = &bar_ops, .opaque = bar},
	};
	at = pci_bar_register(bar);
	pci_set32(dev->config, at,
		  (is64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) | (prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0));
	pci_set32(dev->writable, at, (uint32_t)mask);
	if (is64)
		pci_set32(dev->writable, at + 4, (uint32_t)(mask >> 32));
}

uint64_t pci_bar_read(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size)
{
	uint64_t value;

	if (pci_msix_read(dev, bar, offset, size, &value))
		return value;
	return dev->ops->bar_read(dev, bar, offset, size);
}

void pci_bar_write(struct pci_dev *dev, unsigned bar, uint64_t offset, uint64_t value, unsigned size)
{
	if (!pci_msix_write(dev, bar, offset, value, size))
		dev->ops->bar_write(dev, bar, offset, value, size);
}

static void tell_device(struct pci_bar *bar, bool mapped)
{
	struct pci_dev *dev = bar->dev;

	if (dev->ops->bar_mapped)
		dev->ops->bar_mapped(dev, (unsigned)(bar - dev->bars), bar->range.first, mapped);
}

static void map_bar(struct pci_bar *bar, uint64_t address)
{
	bar->range.first = address;
	bar->range.last = address + bar->size - 1;
	if (bus_add(bar->dev->bus->root->config.mmio, &bar->range))
		return;
	bar->mapped = true;
	tell_device(bar, true);
}

/* The device hears of it first, so that no ioeventfd outlives the window that it belongs to. */
static void prepare_unmap(struct pci_bar *bar)
{
	tell_device(bar, false);
	bar->mapped = false;
}

void pci_bars_update(struct pci_dev *dev)
{
	const bool decode = dev->bus && (pci_get16(dev, PCI_COMMAND) & PCI_COMMAND_MEMORY);

	for (struct pci_bar *bar = dev->bars; bar < dev->bars + PCI_BARS; bar++) {
		if (!bar->size)
			continue;
		const unsigned at = pci_bar_register(bar);
		uint64_t address = pci_get32(dev, at) & PCI_BASE_ADDRESS_MEM_MASK & UINT32_MAX;

		if (bar->is64)
			address |= (uint64_t)pci_get32(dev, at + 4) << 32;
		const bool answers = decode && pci_bus_reached(dev->bus, address, bar->size);

		if (bar->mapped && answers && bar->range.first == address)
			continue;
		if (bar->mapped) {
			prepare_unmap(bar);
			bus_remove(dev->bus->root->config.mmio, &bar->range); /* NOLINT: what is mapped has a bus */
		}
		if (answers)
			map_bar(bar, address);
	}
}

void pci_bars_withdraw(struct pci_dev *dev)
{
	for (struct pci_bar *bar = dev->bars; bar < dev->bars + PCI_BARS; bar++) {
		bool mapped;

		mutex_take(&dev->lock);
		mapped = bar->mapped;
		if (mapped)
			prepare_unmap(bar);
		mutex_drop(&dev->lock);
		/* Also where it was taken away by the guest: the handlers of that time may still run. */
		if (bar->size)
			bus_remove(dev->bus->root->config.mmio, &bar->range);
	}
}
