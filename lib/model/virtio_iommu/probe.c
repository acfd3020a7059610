/* SPDX-License-Identifier: BSD-2-Clause */
/* PROBE: reserved regions, sections 5.13.6.7 and 5.13.6.8. They are the same for every endpoint. */
#include <errno.h>
#include <string.h>

#include "lib/model/virtio_iommu/model.h"
#include "lib/util/le.h"

uint32_t vio_probe_size(const struct viommu_virtio *dev)
{
	return (uint32_t)dev->resv_count * VIO_RESV_SIZE;
}

static void probe_put(uint8_t *property, const struct viommu_virtio_resv *region)
{
	memset(property, 0, VIO_RESV_SIZE);
	le16_put(property + VIO_PROPERTY_TYPE, VIO_PROPERTY_T_RESV_MEM);
	le16_put(property + VIO_PROPERTY_LENGTH, VIO_RESV_SIZE - VIO_PROPERTY_HEAD);
	property[VIO_RESV_SUBTYPE] = region->msi ? VIO_RESV_T_MSI : VIO_RESV_T_RESERVED;
	le64_put(property + VIO_RESV_START, region->first);
	le64_put(property + VIO_RESV_END, region->last);
}

int vio_probe(struct viommu_virtio *dev, const uint8_t *request, uint8_t *properties)
{
	if (!vio_endpoint_find(dev, le32_get(request + VIO_PROBE_ENDPOINT)))
		return -ENOENT;
	for (size_t i = 0; i < dev->resv_count; i++)
		probe_put(properties + i * VIO_RESV_SIZE, &dev->resv[i]);
	return 0;
}
