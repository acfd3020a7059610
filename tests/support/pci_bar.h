/* SPDX-License-Identifier: BSD-2-Clause */
/* The first BAR of a virtio device, as a vCPU reads and writes it, and what a driver does with its registers. */
#ifndef TESTS_SUPPORT_PCI_BAR_H
#define TESTS_SUPPORT_PCI_BAR_H

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "vmm/virtio/internal.h"

/* A queue's table lies at the beginning of its memory, the rings so far behind it. */
enum { BAR_QUEUE_SIZE = 64, BAR_AVAIL_AT = 0x1000, BAR_USED_AT = 0x2000, BAR_QUEUE_BYTES = 0x4000 };

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

static inline uint64_t bar_offered(struct pci_dev *pci)
{
	uint64_t features = 0;

	for (unsigned i = 0; i < 2; i++) {
		bar_set(pci, VIRTIO_PCI_COMMON_DFSELECT, 4, i);
		features |= bar_get(pci, VIRTIO_PCI_COMMON_DF, 4) << (32 * i);
	}
	return features;
}

/* Accept just these. True: FEATURES_OK stuck. */
static inline bool bar_accept(struct pci_dev *pci, uint64_t features)
{
	bar_set(pci, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		bar_set(pci, VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		bar_set(pci, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> (32 * i)));
	}
	bar_set(pci, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_FEATURES_OK);
	return bar_get(pci, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK;
}

/* Enable a queue whose memory lies here. */
static inline void bar_set_queue(struct pci_dev *pci, unsigned queue, uint64_t at)
{
	bar_set(pci, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	bar_set(pci, VIRTIO_PCI_COMMON_Q_SIZE, 2, BAR_QUEUE_SIZE);
	bar_set(pci, VIRTIO_PCI_COMMON_Q_DESCLO, 8, at);
	bar_set(pci, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, at + BAR_AVAIL_AT);
	bar_set(pci, VIRTIO_PCI_COMMON_Q_USEDLO, 8, at + BAR_USED_AT);
	bar_set(pci, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

#endif
