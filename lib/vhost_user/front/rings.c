/* SPDX-License-Identifier: BSD-2-Clause */
/* Where rings go on after a back end was lost: as they say themselves. */
#include <string.h>

#include <viommu/dma.h>

#include "lib/core/internal.h"
#include "lib/vhost_user/front/rings.h"

/* The index word of a split ring's available and used ring, virtio 1.2, sections 2.7.6 and 2.7.8. */
enum { RING_INDEX_OFFSET = 2 };

static bool rings_read_region(const struct viommu_vhu_config *config, uint64_t at, uint8_t *bytes, size_t size)
{
	for (unsigned i = 0; i < config->region_count; i++) {
		const struct viommu_vhu_region *region = &config->regions[i];
		uint64_t offset = at - region->gpa.value;

		if (offset < region->size && region->size - offset >= size) {
			memcpy(bytes, (const uint8_t *)region->host + offset, size);
			return true;
		}
	}
	return false;
}

/* No access of the device: where it is not mapped any more there is no fault to report. */
static bool rings_read_guest(const struct viommu_vhu_config *config, struct viommu_iova at, uint8_t *bytes, size_t size)
{
	struct viommu_section section;
	struct viommu_extent extent;

	if (viommu__look_begin(config->endpoint, &section))
		return false;
	bool found = !viommu_dma_extent(&section, at, VIOMMU_READ, false, &extent) &&
		     extent.last.value - at.value >= size - 1;

	if (found)
		memcpy(bytes, (const uint8_t *)extent.host + (at.value - extent.first.value), size);
	viommu_dma_end(&section);
	return found;
}

bool front_read_index(const struct viommu_vhu_config *config, struct viommu_iova ring, uint16_t *out)
{
	struct viommu_iova at = {ring.value + RING_INDEX_OFFSET};
	uint8_t bytes[2] = {0};
	bool read = config->endpoint ? rings_read_guest(config, at, bytes, sizeof(bytes))
				     : rings_read_region(config, at.value, bytes, sizeof(bytes));

	*out = (uint16_t)(bytes[1] << 8 | bytes[0]);
	return read;
}

bool front_read_bases(struct front_rings *rings, const struct viommu_vhu_config *config, bool *idle)
{
	uint16_t used, available;

	*idle = true;
	for (unsigned i = 0; i < rings->count; i++) {
		if (!front_read_index(config, rings->ring[i].device, &used) ||
		    !front_read_index(config, rings->ring[i].driver, &available))
			return false;
		rings->bases[i] = used;
		*idle = *idle && used == available;
	}
	return true;
}
