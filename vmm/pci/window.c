/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which memory reaches a bus: the machine's two windows reach the root's, and each bridge passes on what lies in one of
 * its own two (PCI Express base 5.0, sections 7.5.1.3.6 to 7.5.1.3.10), while its memory decoding is on.
 */
#include <linux/pci_regs.h>

#include "vmm/pci/internal.h"

enum { BRIDGE_SHIFT = 20, REGISTER_SHIFT = 16 }; /* windows are multiples of 1 MiB */

static const struct pci_window nowhere = {UINT64_MAX, 0};

static const struct pci_window window32 = {LAYOUT_PCI32, LAYOUT_PCI32 + LAYOUT_PCI32_SIZE - 1};

/*
 * Where BARs of 64 bits are put first, for software that cannot address more. The lower half is always left to those
 * that must lie below 4 GiB.
 */
static const struct pci_window upper32 = {LAYOUT_PCI32 + LAYOUT_PCI32_SIZE / 2, LAYOUT_PCI32 + LAYOUT_PCI32_SIZE - 1};

static struct pci_window window64(const struct pci_root *root)
{
	if (!root->config.bar64_size)
		return nowhere;
	return (struct pci_window){root->config.bar64, root->config.bar64 + root->config.bar64_size - 1};
}

bool pci_window_has(struct pci_window window, uint64_t first, uint64_t size)
{
	return first >= window.first && first <= window.last && size - 1 <= window.last - first;
}

/* The guest may be writing these; a bridge looks at what is behind it again when it has. */
static struct pci_window bridge_memory(const struct pci_dev *bridge)
{
	const uint64_t first = pci_peek16(bridge, PCI_MEMORY_BASE) & PCI_MEMORY_RANGE_MASK;
	const uint64_t last = pci_peek16(bridge, PCI_MEMORY_LIMIT) & PCI_MEMORY_RANGE_MASK;

	return (struct pci_window){first << REGISTER_SHIFT, last << REGISTER_SHIFT | ((1u << BRIDGE_SHIFT) - 1)};
}

static uint64_t prefetchable(const struct pci_dev *bridge, unsigned low, unsigned upper)
{
	return (uint64_t)(pci_peek16(bridge, low) & PCI_PREF_RANGE_MASK & UINT16_MAX) << REGISTER_SHIFT |
	       (uint64_t)pci_peek16(bridge, upper) << 32 | (uint64_t)pci_peek16(bridge, upper + 2) << 48;
}

static struct pci_window bridge_prefetchable(const struct pci_dev *bridge)
{
	return (struct pci_window){
		prefetchable(bridge, PCI_PREF_MEMORY_BASE, PCI_PREF_BASE_UPPER32),
		prefetchable(bridge, PCI_PREF_MEMORY_LIMIT, PCI_PREF_LIMIT_UPPER32) | ((1u << BRIDGE_SHIFT) - 1),
	};
}

bool pci_bus_reached(const struct pci_bus *bus, uint64_t first, uint64_t size)
{
	for (const struct pci_dev *bridge; (bridge = bus->bridge); bus = bridge->bus) {
		if (!bridge->bus || !(pci_peek16(bridge, PCI_COMMAND) & PCI_COMMAND_MEMORY))
			return false;
		if (!pci_window_has(bridge_memory(bridge), first, size) &&
		    !pci_window_has(bridge_prefetchable(bridge), first, size))
			return false;
	}
	return pci_window_has(window32, first, size) || pci_window_has(window64(bus->root), first, size);
}

void pci_bus_windows(const struct pci_bus *bus, bool is64, bool prefetch, struct pci_window out[2])
{
	const bool either = is64 && prefetch;

	if (bus->bridge) {
		out[0] = either ? bridge_prefetchable(bus->bridge) : bridge_memory(bus->bridge);
		out[1] = either ? bridge_memory(bus->bridge) : nowhere;
	} else {
		out[0] = is64 ? upper32 : window32;
		out[1] = is64 ? window64(bus->root) : nowhere;
	}
}

/* No window is one whose base lies above its limit. */
void pci_bridge_set_memory(struct pci_dev *bridge, struct pci_window window)
{
	pci_set16(bridge->config, PCI_MEMORY_BASE, (uint16_t)(window.first >> REGISTER_SHIFT & PCI_MEMORY_RANGE_MASK));
	pci_set16(bridge->config, PCI_MEMORY_LIMIT, (uint16_t)(window.last >> REGISTER_SHIFT & PCI_MEMORY_RANGE_MASK));
}

void pci_bridge_set_prefetchable(struct pci_dev *bridge, struct pci_window window)
{
	pci_set16(bridge->config, PCI_PREF_MEMORY_BASE,
		  (uint16_t)((window.first >> REGISTER_SHIFT & PCI_MEMORY_RANGE_MASK) | PCI_PREF_RANGE_TYPE_64));
	pci_set16(bridge->config, PCI_PREF_MEMORY_LIMIT,
		  (uint16_t)((window.last >> REGISTER_SHIFT & PCI_MEMORY_RANGE_MASK) | PCI_PREF_RANGE_TYPE_64));
	pci_set32(bridge->config, PCI_PREF_BASE_UPPER32, (uint32_t)(window.first >> 32));
	pci_set32(bridge->config, PCI_PREF_LIMIT_UPPER32, (uint32_t)(window.last >> 32));
}
