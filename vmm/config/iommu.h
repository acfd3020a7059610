/* SPDX-License-Identifier: BSD-2-Clause */
/* What --iommu asks for. */
#ifndef VMM_CONFIG_IOMMU_H
#define VMM_CONFIG_IOMMU_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config/keyval.h"
#include "vmm/util/polling.h"

enum iommu_kind { IOMMU_NONE, IOMMU_VIRTIO, IOMMU_INTEL };

/* Keys of --iommu intel. */
struct intel_config {
	unsigned aw_bits;
	bool caching_mode, device_iotlb, scalable;
};

struct iommu_config {
	enum iommu_kind kind;
	bool bypass;             /* boot bypass */
	bool legacy_bypass;      /* the older feature BYPASS instead of BYPASS_CONFIG */
	unsigned input_bits;     /* 0: the model's default */
	uint64_t page_size_mask; /* 0: the model's default */
	enum polling_mode poll;  /* for requests, in place of being told of them */
	struct intel_config intel;
	bool intremap;          /* interrupts are remapped, */
	bool eim;               /* to APIC ids of 32 bits */
	struct key_ranges resv; /* what the guest must not map, beside the MSI window */
};

/*
 * Writes of devices to this range are interrupts, never memory: the guest must not map it. It begins and ends at
 * multiples of the granule.
 */
struct key_range iommu_config_msi(const struct iommu_config *config);

/* "virtio" and the like, as on the command line. */
const char *iommu_config_name(enum iommu_kind kind);

/* Parse the argument of --iommu. 0, or an error after one line that says what is wrong; then `out` is as it was. */
int iommu_config_parse(struct iommu_config *out, const char *option, const char *text);

#endif
