/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Base address registers: memory only. A BAR answers while memory decoding is on and it lies wholly inside one of the
 * two PCI windows and over nothing else; where a guest puts it anywhere else, it just does not answer. A BAR that was
 * refused because another one was in the way is looked at again when its own registers or command register change.
 */
#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>

#include "vmm/pci/internal.h"

struct window {
	uint64_t first, last;
};

static const struct window window32 = {LAYOUT_PCI32, LAYOUT_PCI32 + LAYOUT_PCI32_SIZE - 1};

/*
 * Where BARs of 64 bits are put first, for who cannot address more. The lower half is always left to those that must
 * lie below 4 GiB.
 */
static const struct window upper32 = {LAYOUT_PCI32 + LAYOUT_PCI32_SIZE / 2, LAYOUT_PCI32 + LAYOUT_PCI32_SIZE - 1};

/* Without such a window nothing is inside of it. */
static struct window window64(const struct pci_root *root)
{
	if (!root->config.bar64_size)
		return (struct window){1, 0};
	return (struct window){root->config.bar64, root->config.bar64 + root->config.bar64_size - 1};
}

static bool inside(const struct window *window, uint64_t first, uint64_t size)
{
	return first >= window->first && first <= window->last && size - 1 <= window->last - first;
}

static unsigned bar_register(const struct pci_bar *bar)
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

	mutex_take(&dev->lock);
	pci_bar_write(dev, (unsigned)(bar - dev->bars), offset, value, size);
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
	at = bar_register(bar);
	pci_set32(dev->config, at,
		  (is64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) | (prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0));
	pci_set32(dev->writable, at, (uint32_t)mask);
	if (is64)
		pci_set32(dev->writable, at + 4, (uint32_t)(mask >> 32));
}

static uint64_t bar_address(const struct pci_bar *bar)
{
	unsigned at = bar_register(bar);
	uint64_t address = pci_get32(bar->dev, at) & PCI_BASE_ADDRESS_MEM_MASK & UINT32_MAX;

	return bar->is64 ? address | (uint64_t)pci_get32(bar->dev, at + 4) << 32 : address;
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
	struct pci_root *root = bar->dev->root;
	struct window high = window64(root);

	if (!inside(&window32, address, bar->size) && !inside(&high, address, bar->size))
		return;
	bar->range.first = address;
	bar->range.last = address + bar->size - 1;
	if (bus_add(root->config.mmio, &bar->range))
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
	bool decode = dev->root && (pci_get16(dev, PCI_COMMAND) & PCI_COMMAND_MEMORY);

	for (struct pci_bar *bar = dev->bars; bar < dev->bars + PCI_BARS; bar++) {
		uint64_t address;

		if (!bar->size)
			continue;
		address = bar_address(bar);
		if (bar->mapped && decode && bar->range.first == address)
			continue;
		if (bar->mapped) {
			prepare_unmap(bar);
			bus_remove(dev->root->config.mmio, &bar->range); /* NOLINT: what is mapped has a root */
		}
		if (decode)
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
			bus_remove(dev->root->config.mmio, &bar->range);
	}
}

/* Where a BAR that is in the way of first..last ends. */
static bool find_conflict(const struct pci_root *root, const struct pci_dev *dev, uint64_t first, uint64_t last,
			  uint64_t *end) REQUIRES(root->lock)
{
	for (unsigned i = 0; i <= LAYOUT_PCI_SLOTS; i++) {
		const struct pci_dev *other = i < LAYOUT_PCI_SLOTS ? root->slots[i] : dev;

		for (unsigned b = 0; other && b < PCI_BARS; b++) {
			const struct pci_bar *bar = &other->bars[b];

			if (!bar->home || bar->home > last || bar->home + bar->size - 1 < first)
				continue;
			*end = bar->home + bar->size - 1;
			return true;
		}
	}
	return false;
}

static int find_place(const struct pci_root *root, const struct pci_bar *bar, const struct window *window,
		      uint64_t *out) REQUIRES(root->lock)
{
	uint64_t first = window->first, end;

	for (;;) {
		first = (first + bar->size - 1) & ~(bar->size - 1);
		if (!inside(window, first, bar->size))
			return -ENOSPC;
		if (!find_conflict(root, bar->dev, first, first + bar->size - 1, &end))
			break;
		first = end + 1;
	}
	*out = first;
	return 0;
}

static int place_bar(const struct pci_root *root, struct pci_bar *bar) REQUIRES(root->lock)
{
	const struct window high = window64(root);
	const unsigned at = bar_register(bar);
	uint64_t first;
	int err = find_place(root, bar, bar->is64 ? &upper32 : &window32, &first);

	if (err && bar->is64)
		err = find_place(root, bar, &high, &first);
	if (err)
		return err;
	bar->home = first;
	pci_set32(bar->dev->config, at, (uint32_t)first | pci_get32(bar->dev, at));
	if (bar->is64)
		pci_set32(bar->dev->config, at + 4, (uint32_t)(first >> 32));
	return 0;
}

int pci_bars_place(struct pci_root *root, struct pci_dev *dev)
{
	for (unsigned b = 0; b < PCI_BARS; b++) {
		int ret = dev->bars[b].size ? place_bar(root, &dev->bars[b]) : 0;

		if (ret)
			return ret;
	}
	return 0;
}
