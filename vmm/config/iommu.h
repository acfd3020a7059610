/* SPDX-License-Identifier: BSD-2-Clause */
/* What --iommu asks for. */
#ifndef VMM_CONFIG_IOMMU_H
#define VMM_CONFIG_IOMMU_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config/keyval.h"

enum iommu_kind { IOMMU_NONE, IOMMU_VIRTIO };

struct iommu_config {
	enum iommu_kind kind;
	bool bypass;             /* boot bypass */
	bool legacy_bypass;      /* the older feature BYPASS instead of BYPASS_CONFIG */
	unsigned input_bits;     /* 0: the model's default */
	bool eim;                /* interrupts are remapped, to APIC ids of 32 bits */
	uint64_t page_size_mask; /* 0: the model's default */
	struct key_ranges resv;  /* what the guest must not map, beside the MSI window */
};

/*
 * Writes of devices to this range are interrupts, never memory: the guest must not map it. It begins and ends at multiples of
 * the granule.
 */
struct key_range iommu_config_msi(const struct iommu_config *config);

/* Parse the argument of --iommu. 0, or an error after one line that says what is wrong; then `out` is as it was. */
int iommu_config_parse(struct iommu_config *out, const char *option, const char *text);

#endif
