/* SPDX-License-Identifier: BSD-2-Clause */
/* The extent around an address: leaves side by side that go on in guest memory, too, with equal rights. */
#include <errno.h>

#include "lib/core/target.h"

enum { EXTENT_LEAVES = 512, EXTENT_RIGHTS = VIOMMU_READ | VIOMMU_WRITE };

/* An extent that grows, inside one region of memory. All addresses of both spaces change together. */
struct growing {
	struct viommu_section *section;
	const struct memory_region *region;
	uint64_t first, last, gpa; /* gpa: of first */
	unsigned access;
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool continues(const struct growing *extent, const struct target *target)
{
	return (target->access & EXTENT_RIGHTS) == extent->access && target_allows(target, 0);
}

/* Bytes of a target, clipped to the region. */
static uint64_t ahead(const struct growing *extent, const struct target *target)
{
	return least(target->len - 1, extent->region->gpa.last - target->gpa);
}

static uint64_t behind(const struct growing *extent, const struct target *target)
{
	return least(target->before, target->gpa - extent->region->gpa.first);
}

static void grow_up(struct growing *extent)
{
	struct target next;

	for (unsigned i = 0; i < EXTENT_LEAVES; i++) {
		uint64_t gpa = extent->gpa + (extent->last - extent->first);

		if (extent->last == UINT64_MAX || gpa == extent->region->gpa.last ||
		    !target_find_or_walk(extent->section, extent->last + 1, extent->access, &next) ||
		    next.gpa != gpa + 1 || !continues(extent, &next))
			return;
		extent->last += 1 + least(ahead(extent, &next), UINT64_MAX - extent->last - 1);
	}
}

static void grow_down(struct growing *extent)
{
	struct target next;

	for (unsigned i = 0; i < EXTENT_LEAVES; i++) {
		if (!extent->first || extent->gpa == extent->region->gpa.first ||
		    !target_find_or_walk(extent->section, extent->first - 1, extent->access, &next) ||
		    next.gpa != extent->gpa - 1 || !continues(extent, &next))
			return;
		uint64_t step = 1 + behind(extent, &next);

		extent->first -= step;
		extent->gpa -= step;
	}
}

static int start(struct growing *extent, uint64_t iova, unsigned access)
{
	struct target target;

	if (!target_find_or_walk(extent->section, iova, access, &target))
		return -EFAULT;
	if (!target_allows(&target, access))
		return (target.access & access) == access ? -EFAULT : -EACCES;
	extent->region = memory_find(extent->section->memory, target.gpa);
	if (!extent->region)
		return -EFAULT;
	uint64_t before = behind(extent, &target);

	extent->first = iova - before;
	extent->gpa = target.gpa - before;
	extent->last = iova + least(ahead(extent, &target), UINT64_MAX - iova);
	extent->access = target.access & EXTENT_RIGHTS;
	return 0;
}

/* The fault, if it is one, is translation's to report. */
static int report_access(struct viommu_section *section, struct viommu_iova iova, unsigned access)
{
	struct viommu_span span;

	return viommu_dma_translate(section, iova, 1, access, &span);
}

int viommu_dma_extent(struct viommu_section *section, struct viommu_iova iova, unsigned access, bool report,
		      struct viommu_extent *out)
{
	struct growing extent = {.section = section};
	int err = report ? report_access(section, iova, access) : section->domain ? 0 : -EFAULT;

	if (!err)
		err = start(&extent, iova.value, access);
	if (err)
		return err;
	grow_up(&extent);
	grow_down(&extent);
	uint64_t offset = extent.gpa - extent.region->gpa.first;

	*out = (struct viommu_extent){
		.first = {extent.first},
		.last = {extent.last},
		.access = extent.access,
		.gpa = {extent.gpa},
		.host = extent.region->host + offset,
		.fd = extent.region->fd,
		.fd_offset = extent.region->fd_offset + offset,
	};
	return 0;
}
