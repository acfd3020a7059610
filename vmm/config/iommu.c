/* SPDX-License-Identifier: BSD-2-Clause */
/* --iommu KIND[,KEY=VALUE...] */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/iommu.h"
#include "vmm/config/keyval.h"
#include "vmm/layout.h"
#include "vmm/util/log.h"

/* The model takes one more, the MSI window. */
enum { RESV_MAX = 31, GRANULE_MIN = 4 << 10, GRANULE_MAX = 1 << 30 };

/* The option as it was written. */
struct wanted {
	char *kind, *bypass;
	unsigned input_bits;
	uint64_t granule, page_size_mask;
	struct key_ranges resv;
};

static int settle_kind(const struct wanted *wanted, const char *text, struct iommu_config *config)
{
	const bool none = !strcmp(wanted->kind, "none");

	if (!none && strcmp(wanted->kind, "virtio")) {
		vmm_log("--iommu: unknown kind '%s'; this build has virtio and none", wanted->kind);
		return -EINVAL;
	}
	if (none && strchr(text, ',')) {
		vmm_log("--iommu: none takes no keys");
		return -EINVAL;
	}
	config->kind = none ? IOMMU_NONE : IOMMU_VIRTIO;
	return 0;
}

static int settle_bypass(const char *bypass, struct iommu_config *config)
{
	if (!bypass || !strcmp(bypass, "off"))
		return 0;
	config->bypass = !strcmp(bypass, "on");
	config->legacy_bypass = !strcmp(bypass, "legacy");
	if (config->bypass || config->legacy_bypass)
		return 0;
	vmm_log("--iommu: bypass=%s: on, off or legacy is wanted", bypass);
	return -EINVAL;
}

/* What the guest can map at least: the lowest bit of the mask. */
static uint64_t granule_of(const struct iommu_config *config)
{
	return config->page_size_mask ? config->page_size_mask & -config->page_size_mask : GRANULE_MIN;
}

static int settle_pages(const struct wanted *wanted, struct iommu_config *config)
{
	const uint64_t mask = wanted->page_size_mask, granule = mask ? mask & -mask : wanted->granule;

	if (mask && wanted->granule)
		vmm_log("--iommu: granule= and page-size-mask= say the same: give one of them");
	else if (granule && (granule & (granule - 1) || granule < GRANULE_MIN || granule > GRANULE_MAX))
		vmm_log("--iommu: %s: the smallest mapping is a power of two from 4K to 1G",
			mask ? "page-size-mask" : "granule");
	else {
		config->page_size_mask = granule && !mask ? -granule : mask;
		return 0;
	}
	return -EINVAL;
}

struct key_range iommu_config_msi(const struct iommu_config *config)
{
	const uint64_t inside = granule_of(config) - 1, last = LAYOUT_LAPIC + LAYOUT_MSI_SIZE - 1;

	return (struct key_range){LAYOUT_LAPIC & ~inside, last | inside};
}

static bool overlaps(const struct key_range *a, const struct key_range *b)
{
	return a->first <= b->last && b->first <= a->last;
}

static int complain(const struct key_range *range, const char *what, uint64_t number)
{
	vmm_log("--iommu: resv=0x%" PRIx64 "-0x%" PRIx64 ": %s 0x%" PRIx64, range->first, range->last, what, number);
	return -EINVAL;
}

static int check_range(const struct iommu_config *config, unsigned index)
{
	const struct key_range *range = &config->resv.range[index], msi = iommu_config_msi(config);
	const uint64_t granule = granule_of(config);

	if ((range->first | (range->last + 1)) & (granule - 1))
		return complain(range, "it has to begin and end at multiples of", granule);
	if (overlaps(range, &msi))
		return complain(range, "it overlaps the MSI window at", msi.first);
	for (unsigned i = 0; i < index; i++)
		if (overlaps(range, &config->resv.range[i]))
			return complain(range, "it overlaps the one at", config->resv.range[i].first);
	return 0;
}

static int settle_resv(const struct wanted *wanted, struct iommu_config *config)
{
	int err = 0;

	config->resv = wanted->resv;
	for (unsigned i = 0; i < config->resv.count && !err; i++)
		err = check_range(config, i);
	return err;
}

static int settle(const struct wanted *wanted, const char *text, struct iommu_config *config)
{
	int err = settle_kind(wanted, text, config);

	if (!err)
		err = settle_bypass(wanted->bypass, config);
	if (!err)
		err = settle_pages(wanted, config);
	if (!err)
		err = settle_resv(wanted, config);
	config->input_bits = wanted->input_bits;
	return err;
}

int iommu_config_parse(struct iommu_config *out, const char *option, const char *text)
{
	const struct key keys[] = {
		{NULL, KEY_STRING, offsetof(struct wanted, kind), 0, 0, true},
		{"bypass", KEY_STRING, offsetof(struct wanted, bypass), 0, 0, false},
		{"input-bits", KEY_NUMBER, offsetof(struct wanted, input_bits), 32, 64, false},
		{"granule", KEY_SIZE, offsetof(struct wanted, granule), 0, 0, false},
		{"page-size-mask", KEY_WORD, offsetof(struct wanted, page_size_mask), 0, 0, false},
		{"resv", KEY_RANGES, offsetof(struct wanted, resv), 0, RESV_MAX, false},
	};
	struct iommu_config config = {0};
	struct wanted wanted = {0};
	int err = keyval_parse(option, text, keys, sizeof(keys) / sizeof(keys[0]), &wanted);

	if (!err)
		err = settle(&wanted, text, &config);
	if (!err)
		*out = config;
	free(wanted.kind);
	free(wanted.bypass);
	return err;
}
