/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration space as it is built: fields, and the two lists of capabilities. */
#include <assert.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "vmm/pci/internal.h"

enum { CAPABILITIES_END = 0x100 };

void pci_set16(uint8_t *space, unsigned offset, uint16_t value)
{
	space[offset] = (uint8_t)value;
	space[offset + 1] = (uint8_t)(value >> 8);
}

void pci_set32(uint8_t *space, unsigned offset, uint32_t value)
{
	pci_set16(space, offset, (uint16_t)value);
	pci_set16(space, offset + 2, (uint16_t)(value >> 16));
}

uint16_t pci_get16(const struct pci_dev *dev, unsigned offset)
{
	return (uint16_t)(dev->config[offset] | dev->config[offset + 1] << 8);
}

uint32_t pci_get32(const struct pci_dev *dev, unsigned offset)
{
	return pci_get16(dev, offset) | (uint32_t)pci_get16(dev, offset + 2) << 16;
}

uint8_t pci_peek8(const struct pci_dev *dev, unsigned offset)
{
	/* Partner: the stores in pci_config_write(). */
	return __atomic_load_n(&dev->config[offset], __ATOMIC_ACQUIRE);
}

uint16_t pci_peek16(const struct pci_dev *dev, unsigned offset)
{
	return (uint16_t)(pci_peek8(dev, offset) | pci_peek8(dev, offset + 1) << 8);
}

uint8_t pci_add_capability(struct pci_dev *dev, uint8_t id, const void *body, uint8_t size)
{
	uint8_t at = dev->next_capability;

	assert(at + size <= CAPABILITIES_END && size >= 2);
	memcpy(&dev->config[at], body, size);
	dev->config[at] = id;
	dev->config[at + 1] = dev->config[PCI_CAPABILITY_LIST];
	dev->config[PCI_CAPABILITY_LIST] = at;
	dev->next_capability = (uint8_t)((at + size + 3) & ~3);
	return at;
}

/* Section 7.6.3. The first one lies at the start, each names the next, and none is nowhere: all zeros. */
uint16_t pci_add_extended_capability(struct pci_dev *dev, uint16_t id, uint8_t version, const void *body, uint16_t size)
{
	const uint16_t at = dev->next_extended;

	assert(at + size <= PCI_CONFIG_SIZE && size >= 4 && version < 16);
	memcpy(&dev->config[at], body, size);
	pci_set32(dev->config, at, id | (uint32_t)version << 16);
	if (dev->last_extended)
		pci_set32(dev->config, dev->last_extended,
			  (pci_get32(dev, dev->last_extended) & 0xfffff) | (uint32_t)at << 20);
	dev->last_extended = at;
	dev->next_extended = (uint16_t)((at + size + 3) & ~3);
	return at;
}
