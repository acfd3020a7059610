/* SPDX-License-Identifier: BSD-2-Clause */
/* MAP and UNMAP, sections 5.13.6.5 and 5.13.6.6. */
#include <assert.h>
#include <errno.h>

#include "lib/model/virtio_iommu/model.h"
#include "lib/util/le.h"

static_assert(VIO_MAP_F_READ == (int)VIOMMU_READ && VIO_MAP_F_WRITE == (int)VIOMMU_WRITE &&
		      VIO_MAP_F_MMIO == (int)VIOMMU_MMIO,
	      "MAP flags are handed to the core as they are");

static bool reserved(const struct viommu_virtio *dev, struct range virt)
{
	for (size_t i = 0; i < dev->resv_count; i++)
		if (range_overlaps(virt, (struct range){dev->resv[i].first, dev->resv[i].last}))
			return true;
	return false;
}

static uint32_t known_flags(const struct viommu_virtio *dev) REQUIRES(dev->lock)
{
	return VIO_MAP_F_READ | VIO_MAP_F_WRITE | (vio_accepted(dev, VIO_F_MMIO) ? VIO_MAP_F_MMIO : 0);
}

/*
 * Where the specification leaves the code open: outside the input range is RANGE (a limit that the configuration
 * tells), inside a reserved region is INVAL (an address that exists but is not the driver's).
 */
static enum vio_status map_decode(const struct viommu_virtio *dev, struct range virt, uint64_t phys, uint32_t flags)
	REQUIRES(dev->lock)
{
	uint64_t granule = vio_granule(dev->page_size_mask);

	if (flags & ~known_flags(dev) || virt.first > virt.last)
		return VIO_S_INVAL;
	if (!range_aligned(virt, granule) || phys & (granule - 1))
		return VIO_S_RANGE;
	if (!range_contains(dev->input, virt) || phys > UINT64_MAX - (virt.last - virt.first))
		return VIO_S_RANGE;
	return reserved(dev, virt) ? VIO_S_INVAL : VIO_S_OK;
}

enum vio_status vio_map(struct viommu_virtio *dev, const uint8_t *request)
{
	struct vio_domain *domain = vio_domain_find(dev, le32_get(request + VIO_MAP_DOMAIN));
	struct range virt = {le64_get(request + VIO_MAP_VIRT_START), le64_get(request + VIO_MAP_VIRT_END)};
	uint64_t phys = le64_get(request + VIO_MAP_PHYS_START);
	uint32_t flags = le32_get(request + VIO_MAP_FLAGS);

	if (!domain)
		return VIO_S_NOENT;
	if (domain->bypass)
		return VIO_S_INVAL;
	enum vio_status status = map_decode(dev, virt, phys, flags);

	if (status != VIO_S_OK)
		return status;
	return vio_status_of(viommu_map_pending(domain->core, (struct viommu_iova){virt.first},
						(struct viommu_iova){virt.last}, (struct viommu_gpa){phys}, flags,
						dev->inval));
}

enum vio_status vio_unmap(struct viommu_virtio *dev, const uint8_t *request)
{
	struct vio_domain *domain = vio_domain_find(dev, le32_get(request + VIO_UNMAP_DOMAIN));
	uint64_t first = le64_get(request + VIO_UNMAP_VIRT_START), last = le64_get(request + VIO_UNMAP_VIRT_END);

	if (!domain)
		return VIO_S_NOENT;
	if (domain->bypass || first > last || le32_get(request + VIO_UNMAP_RESERVED))
		return VIO_S_INVAL;
	return vio_status_of(
		viommu_unmap(domain->core, (struct viommu_iova){first}, (struct viommu_iova){last}, dev->inval, NULL));
}
