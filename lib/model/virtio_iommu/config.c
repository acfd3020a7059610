/* SPDX-License-Identifier: BSD-2-Clause */
/* Features and configuration, sections 5.13.3 and 5.13.4. */
#include <errno.h>
#include <string.h>

#include "lib/model/virtio_iommu/model.h"
#include "lib/util/le.h"

uint64_t viommu_virtio_features(const struct viommu_virtio *dev)
{
	uint64_t probe = vio_probe_size(dev) ? 1u << VIO_F_PROBE : 0;
	uint64_t bypass = dev->legacy_bypass ? 1u << VIO_F_BYPASS : 1u << VIO_F_BYPASS_CONFIG;

	return 1u << VIO_F_INPUT_RANGE | 1u << VIO_F_DOMAIN_RANGE | 1u << VIO_F_MAP_UNMAP | 1u << VIO_F_MMIO | bypass |
	       probe;
}

void viommu_virtio_set_features(struct viommu_virtio *dev, uint64_t features)
{
	lock_take(&dev->lock);
	dev->features = features & viommu_virtio_features(dev);
	/*
	 * Section 5.13.6: where BYPASS is not negotiated, accesses of unattached endpoints fail; so they do before,
	 * too.
	 */
	if (dev->legacy_bypass) {
		dev->bypass.wanted = vio_accepted(dev, VIO_F_BYPASS);
		vio_bypass_step(dev);
	}
	lock_drop(&dev->lock);
}

int vio_bypass_step(struct viommu_virtio *dev)
{
	struct vio_bypass *bypass = &dev->bypass;

	while (bypass->visible != bypass->wanted || bypass->visible != bypass->applied) {
		/* -ETIMEDOUT: the core has blocked and failed the endpoints in the way, so none of them bypasses any
		 * more. */
		if (viommu_inval_poll(dev->side) == -EAGAIN)
			return -EAGAIN;
		bypass->visible = bypass->applied;
		if (bypass->applied == bypass->wanted)
			continue;
		bypass->applied = bypass->wanted;
		/* `side` has room for every endpoint, so this cannot fail. */
		for (size_t i = 0; i < dev->endpoint_count; i++)
			if (!dev->endpoints[i].domain)
				vio_force_unattached(dev, &dev->endpoints[i], dev->side);
		viommu_inval_begin(dev->side);
	}
	return 0;
}

void viommu_virtio_config_read(struct viommu_virtio *dev, size_t offset, void *buffer, size_t len)
{
	uint8_t config[VIO_CONFIG_SIZE] = {0};

	le64_put(config + VIO_CONFIG_PAGE_SIZE_MASK, dev->page_size_mask);
	le64_put(config + VIO_CONFIG_INPUT_START, dev->input.first);
	le64_put(config + VIO_CONFIG_INPUT_END, dev->input.last);
	le32_put(config + VIO_CONFIG_DOMAIN_START, dev->domain_first);
	le32_put(config + VIO_CONFIG_DOMAIN_END, dev->domain_last);
	le32_put(config + VIO_CONFIG_PROBE_SIZE, vio_probe_size(dev));
	lock_take(&dev->lock);
	vio_bypass_step(dev);
	config[VIO_CONFIG_BYPASS] = dev->bypass.visible && !dev->legacy_bypass; /* the field is BYPASS_CONFIG's */
	lock_drop(&dev->lock);

	memset(buffer, 0, len);
	if (offset < sizeof(config))
		memcpy(buffer, config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

void viommu_virtio_config_write(struct viommu_virtio *dev, size_t offset, const void *buffer, size_t len)
{
	if (offset > VIO_CONFIG_BYPASS || len <= VIO_CONFIG_BYPASS - offset)
		return;
	uint8_t value = ((const uint8_t *)buffer)[VIO_CONFIG_BYPASS - offset];

	if (value > 1)
		return;
	lock_take(&dev->lock);
	if (vio_accepted(dev, VIO_F_BYPASS_CONFIG)) {
		dev->bypass.wanted = value;
		vio_bypass_step(dev);
	}
	lock_drop(&dev->lock);
}
