/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PROBE: reserved regions, sections 5.13.6.7 and 5.13.6.8: those of the device, which all endpoints have, then those of
 * the endpoint's own limits. No two of them overlap, and at most one is an MSI window.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/model/virtio_iommu/model.h"
#include "lib/util/le.h"

uint32_t vio_probe_size(const struct viommu_virtio *dev)
{
	return (uint32_t)((dev->resv_count + dev->resv_room) * VIO_RESV_SIZE);
}

static void probe_put(uint8_t *property, const struct viommu_reserved *region)
{
	memset(property, 0, VIO_RESV_SIZE);
	le16_put(property + VIO_PROPERTY_TYPE, VIO_PROPERTY_T_RESV_MEM);
	le16_put(property + VIO_PROPERTY_LENGTH, VIO_RESV_SIZE - VIO_PROPERTY_HEAD);
	property[VIO_RESV_SUBTYPE] = region->msi ? VIO_RESV_T_MSI : VIO_RESV_T_RESERVED;
	le64_put(property + VIO_RESV_START, region->first.value);
	le64_put(property + VIO_RESV_END, region->last.value);
}

struct region_list {
	struct viommu_reserved region[VIO_RESV_ROOM_MAX];
	size_t count;
};

static_assert(VIOMMU_RESERVED_MAX + 1 + VIO_RESV_MAX <= VIO_RESV_ROOM_MAX,
	      "each region of the device cuts one region of an endpoint into two at most, so the lists have room");

/* The list without the addresses of one region. What is left of an MSI window that is cut is none. */
static void cut(const struct region_list *from, struct range hole, struct region_list *to)
{
	to->count = 0;
	for (size_t i = 0; i < from->count; i++) {
		const struct viommu_reserved *region = &from->region[i];

		if (!range_overlaps(vio_resv_range(region), hole)) {
			to->region[to->count++] = *region;
			continue;
		}
		if (region->first.value < hole.first)
			to->region[to->count++] = (struct viommu_reserved){region->first, {hole.first - 1}, false};
		if (region->last.value > hole.last)
			to->region[to->count++] = (struct viommu_reserved){{hole.last + 1}, region->last, false};
	}
}

/* What the endpoint's limits reserve in the input range. Where the device has an MSI window there is no other one. */
static void list_own(const struct viommu_virtio *dev, const struct viommu_endpoint *endpoint, struct region_list *out)
{
	size_t count;
	const struct viommu_reserved *reserved = viommu__endpoint_reserved(endpoint, &count);
	struct region_list list = {.count = 0};
	bool msi = false;

	for (size_t i = 0; i < dev->resv_count; i++)
		msi |= dev->resv[i].msi;
	for (size_t i = 0; i < count && reserved[i].first.value <= dev->input.last; i++) {
		const uint64_t last = reserved[i].last.value;

		list.region[list.count++] = (struct viommu_reserved){
			reserved[i].first, {last < dev->input.last ? last : dev->input.last}, reserved[i].msi && !msi};
	}
	*out = list;
	for (size_t i = 0; i < dev->resv_count; i++) {
		cut(&list, vio_resv_range(&dev->resv[i]), out);
		list = *out;
	}
}

bool vio_probe_fits(const struct viommu_virtio *dev, const struct viommu_endpoint *endpoint)
{
	struct region_list own;

	list_own(dev, endpoint, &own);
	return own.count <= dev->resv_room;
}

int vio_probe(struct viommu_virtio *dev, const uint8_t *request, uint8_t *properties)
{
	const struct vio_endpoint *endpoint = vio_endpoint_find(dev, le32_get(request + VIO_PROBE_ENDPOINT));
	struct region_list own;

	if (!endpoint)
		return -ENOENT;
	list_own(dev, endpoint->core, &own);
	for (size_t i = 0; i < dev->resv_count; i++)
		probe_put(properties + i * VIO_RESV_SIZE, &dev->resv[i]);
	for (size_t i = 0; i < own.count; i++)
		probe_put(properties + (dev->resv_count + i) * VIO_RESV_SIZE, &own.region[i]);
	return 0;
}
