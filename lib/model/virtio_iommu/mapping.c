/* SPDX-License-Identifier: BSD-2-Clause */
/* MAP and UNMAP, sections 5.13.6.5 and 5.13.6.6. */
#include <assert.h>
#include <errno.h>

#include "lib/model/virtio_iommu/model.h"
#include "lib/util/le.h"

static_assert(VIO_MAP_F_READ == (int)VIOMMU_READ && VIO_MAP_F_WRITE == (int)VIOMMU_WRITE &&
		      VIO_MAP_F_MMIO == (int)VIOMMU_MMIO,
	      "MAP flags are handed to the core as they are");

static bool mapping_reserved(const struct viommu_virtio *dev, struct range virt)
{
	for (size_t i = 0; i < dev->resv_count; i++)
		if (range_overlaps(virt, vio_resv_range(&dev->resv[i])))
			return true;
	return false;
}

/*
 * Where the specification leaves the code open: outside the input range is -ERANGE (a limit that the configuration
 * tells), inside a reserved region is -EINVAL (an address that exists but is not the driver's).
 */
static int map_decode(const struct viommu_virtio *dev, struct range virt, uint64_t phys, uint32_t flags)
	REQUIRES(dev->lock)
{
	uint32_t known = VIO_MAP_F_READ | VIO_MAP_F_WRITE | (vio_accepted(dev, VIO_F_MMIO) ? VIO_MAP_F_MMIO : 0);
	uint64_t granule = vio_granule(dev->page_size_mask);

	if (flags & ~known || virt.first > virt.last)
		return -EINVAL;
	if (!range_aligned(virt, granule) || phys & (granule - 1))
		return -ERANGE;
	if (!range_contains(dev->input, virt) || phys > UINT64_MAX - (virt.last - virt.first))
		return -ERANGE;
	return mapping_reserved(dev, virt) ? -EINVAL : 0;
}

int vio_map(struct viommu_virtio *dev, const uint8_t *request)
{
	struct vio_domain *domain = vio_domain_find(dev, le32_get(request + VIO_MAP_DOMAIN));
	struct range virt = {le64_get(request + VIO_MAP_VIRT_START), le64_get(request + VIO_MAP_VIRT_END)};
	uint64_t phys = le64_get(request + VIO_MAP_PHYS_START);
	uint32_t flags = le32_get(request + VIO_MAP_FLAGS);

	if (!domain)
		return -ENOENT;
	if (domain->bypass)
		return -EINVAL;
	int err = map_decode(dev, virt, phys, flags);

	return err ? err
		   : viommu_map_pending(domain->core, (struct viommu_iova){virt.first}, (struct viommu_iova){virt.last},
					(struct viommu_gpa){phys}, flags, dev->inval);
}

int vio_unmap(struct viommu_virtio *dev, const uint8_t *request)
{
	struct vio_domain *domain = vio_domain_find(dev, le32_get(request + VIO_UNMAP_DOMAIN));
	uint64_t first = le64_get(request + VIO_UNMAP_VIRT_START), last = le64_get(request + VIO_UNMAP_VIRT_END);

	if (!domain)
		return -ENOENT;
	if (domain->bypass || first > last || le32_get(request + VIO_UNMAP_RESERVED))
		return -EINVAL;
	return viommu_unmap(domain->core, (struct viommu_iova){first}, (struct viommu_iova){last}, dev->inval, NULL);
}
