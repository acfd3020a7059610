/* SPDX-License-Identifier: BSD-2-Clause */
/* Which features the device offers, and which of them a driver has to accept (virtio 1.2, sections 2.2 and 6). */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "vmm/virtio/internal.h"

#define PLATFORM_FEATURES (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM)

uint64_t virtio_offered(struct virtio_dev *dev)
{
	uint64_t own = dev->ops->features ? dev->ops->features(dev) : 0;
	uint64_t reset = dev->ops->queue_reset ? 1ull << VIRTIO_F_RING_RESET : 0;
	/* A driver maps each table that it makes, which the ring's own descriptors spare it: one mapping in four. */
	uint64_t costly = dev->pci.behind && !dev->indirect ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0;

	return (own | PLATFORM_FEATURES | dev->ring_features | reset) & ~costly;
}

bool virtio_negotiated(const struct virtio_dev *dev, unsigned feature)
{
	return dev->status & VIRTIO_CONFIG_S_FEATURES_OK && dev->driver_features >> feature & 1;
}

bool virtio_features_acceptable(struct virtio_dev *dev)
{
	/*
	 * A driver that does not know ACCESS_PLATFORM gives physical addresses (section 6.1): where the guest's IOMMU
	 * is in between, the device takes them for others. Elsewhere both are the same, and some drivers lack that
	 * feature.
	 */
	const uint64_t needed = dev->pci.behind ? PLATFORM_FEATURES : 1ull << VIRTIO_F_VERSION_1;
	const uint64_t features = dev->driver_features;

	return !dev->unknown_features && !(features & ~virtio_offered(dev)) && (features & needed) == needed;
}
