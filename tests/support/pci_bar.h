/* SPDX-License-Identifier: BSD-2-Clause */
/* The first BAR of a virtio device, as a vCPU reads and writes it. */
#ifndef TESTS_SUPPORT_PCI_BAR_H
#define TESTS_SUPPORT_PCI_BAR_H

#include "vmm/virtio/internal.h"

static inline uint64_t bar_get(struct pci_dev *pci, uint64_t offset, unsigned size)
{
	uint64_t value;

	mutex_take(&pci->lock);
	value = pci_bar_read(pci, VIRTIO_BAR, offset, size);
	mutex_drop(&pci->lock);
	return value;
}

static inline void bar_set(struct pci_dev *pci, uint64_t offset, unsigned size, uint64_t value)
{
	mutex_take(&pci->lock);
	pci_bar_write(pci, VIRTIO_BAR, offset, value, size);
	mutex_drop(&pci->lock);
}

#endif
