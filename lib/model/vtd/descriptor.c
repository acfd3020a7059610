/* SPDX-License-Identifier: BSD-2-Clause */
/* Invalidation descriptors (6.5.2): what must be 0 in them, and what they do. */
#include <errno.h>

#include "lib/model/vtd/unit.h"

static uint16_t low_did(const uint64_t words[4])
{
	return (uint16_t)vtd_field(words[0], 31, 16);
}

static int context(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock)
{
	unsigned granularity = (unsigned)vtd_field(words[0], 5, 4);

	if (!granularity)
		return -EINVAL;
	unit->stats.context_invalidations++;
	return vtd_invalidate_context(unit, unit->queue.inval, granularity, low_did(words),
				      (uint16_t)vtd_field(words[0], 47, 32), (unsigned)vtd_field(words[0], 49, 48));
}

static int iotlb(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock)
{
	unsigned granularity = (unsigned)vtd_field(words[0], 5, 4), am = (unsigned)vtd_field(words[1], 5, 0);

	if (!granularity || (granularity == VTD_PAGE && am > vtd_cap_mamv(unit->caps.cap)))
		return -EINVAL;
	unit->stats.iotlb_invalidations++;
	return vtd_invalidate_iotlb(unit, unit->queue.inval, granularity, low_did(words), words[1] & VTD_IVA_ADDRESS,
				    am);
}

static int pasid_iotlb(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock)
{
	unsigned granularity = (unsigned)vtd_field(words[0], 5, 4), am = (unsigned)vtd_field(words[1], 5, 0);
	bool pages = granularity == VTD_PIOTLB_PAGES;

	if ((granularity != VTD_PIOTLB_ALL && !pages) || (pages && am > vtd_cap_mamv(unit->caps.cap)))
		return -EINVAL;
	unit->stats.iotlb_invalidations++;
	return vtd_invalidate_pasid_iotlb(unit, unit->queue.inval, pages, low_did(words),
					  (uint32_t)vtd_field(words[0], 51, 32), words[1] & VTD_IVA_ADDRESS, am);
}

static int pasid_cache(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock)
{
	unsigned granularity = (unsigned)vtd_field(words[0], 5, 4);

	if (granularity != VTD_PASID_ALL && granularity != VTD_PASID_ONE && granularity != VTD_PASID_GLOBAL)
		return -EINVAL;
	unit->stats.context_invalidations++;
	return vtd_invalidate_pasid_cache(unit, unit->queue.inval, granularity, low_did(words),
					  (uint32_t)vtd_field(words[0], 51, 32));
}

/* 6.5.2.5: without S it is one page; with S the ones from bit 12 up say how many times 8 KiB are doubled. */
static struct range device_range(uint64_t word, bool sized)
{
	uint64_t address = word & VTD_IVA_ADDRESS, low = 4095;

	if (sized) {
		uint64_t ones = address | 4095;

		low = ones ^ (ones + 1); /* the ones and the bit above them */
	}
	return (struct range){address & ~low, address | low};
}

static int device(struct viommu_vtd *unit, uint16_t source, struct range range) REQUIRES(unit->lock)
{
	unit->stats.device_tlb_invalidations++;
	/* IQERCD names this source if the invalidation times out. */
	viommu__inval_tag(unit->queue.inval, source);
	int err = vtd_invalidate_device_tlb(unit, unit->queue.inval, source, range.first, range.last);

	viommu__inval_tag(unit->queue.inval, 0);
	return err;
}

static int device_tlb(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock)
{
	return device(unit, (uint16_t)vtd_field(words[0], 47, 32), device_range(words[1], words[1] & 1));
}

static int pasid_device_tlb(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock)
{
	return device(unit, low_did(words), device_range(words[1], words[1] & VTD_BIT(11)));
}

static int iec(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock)
{
	uint32_t mask = (uint32_t)vtd_field(words[0], 31, 27), index = (uint32_t)vtd_field(words[0], 47, 32);

	if (mask > VTD_MHMV)
		return -EINVAL;
	unit->stats.irq_invalidations++;
	if (!(words[0] & VTD_BIT(4)))
		vtd_irq_invalidate(unit, 0, UINT32_MAX);
	else
		vtd_irq_invalidate(unit, index & ~((1u << mask) - 1), index | ((1u << mask) - 1));
	return 0;
}

struct kind {
	int (*perform)(struct viommu_vtd *unit, const uint64_t words[4]);
	uint64_t reserved[2];
	uint64_t needs; /* ECAP bits */
};

static const struct kind kinds[] = {
	[VTD_D_CONTEXT] = {context, {VTD_MASK(15, 6) | VTD_MASK(63, 50), UINT64_MAX}, 0},
	[VTD_D_IOTLB] = {iotlb, {VTD_MASK(15, 8) | VTD_MASK(63, 32), VTD_MASK(11, 7)}, 0},
	[VTD_D_DEVICE_TLB] = {device_tlb,
			      {VTD_MASK(11, 4) | VTD_MASK(31, 21) | VTD_MASK(51, 48), VTD_MASK(11, 1)},
			      VTD_ECAP_DT},
	[VTD_D_IEC] = {iec, {VTD_MASK(26, 5) | VTD_MASK(63, 48), UINT64_MAX}, VTD_ECAP_IR},
	[VTD_D_PASID_IOTLB] = {pasid_iotlb, {VTD_MASK(15, 6) | VTD_MASK(63, 52), VTD_MASK(11, 7)}, VTD_ECAP_SMTS},
	[VTD_D_PASID_CACHE] = {pasid_cache, {VTD_MASK(15, 6) | VTD_MASK(63, 52), UINT64_MAX}, VTD_ECAP_SMTS},
	[VTD_D_PASID_DEVICE_TLB] = {pasid_device_tlb, {VTD_MASK(11, 9), VTD_MASK(10, 1)}, VTD_ECAP_DT | VTD_ECAP_SMTS},
};

int vtd_descriptor_perform(struct viommu_vtd *unit, const uint64_t words[4])
{
	unsigned type = vtd_descriptor_type(words);
	const struct kind *kind = type < sizeof(kinds) / sizeof(kinds[0]) ? &kinds[type] : NULL;

	if (!kind || !kind->perform || (unit->caps.ecap & kind->needs) != kind->needs)
		return -EINVAL;
	if (words[0] & kind->reserved[0] || words[1] & kind->reserved[1] || words[2] || words[3])
		return -EINVAL;
	return kind->perform(unit, words);
}

bool vtd_wait_valid(const struct viommu_vtd *unit, const uint64_t words[4])
{
	(void)unit;
	return words[0] & (VTD_WAIT_IF | VTD_WAIT_SW) && !(words[0] & VTD_MASK(31, 8)) && !(words[1] & 3) &&
	       !words[2] && !words[3];
}
