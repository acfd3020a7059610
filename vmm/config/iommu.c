/* SPDX-License-Identifier: BSD-2-Clause */
/* --iommu KIND[,KEY=VALUE...] */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/iommu.h"
#include "vmm/config/keyval.h"
#include "vmm/layout/layout.h"
#include "vmm/util/log.h"

/* The model takes one more, the MSI window. */
enum { RESV_MAX = 31, GRANULE_MIN = 4 << 10, GRANULE_MAX = 1 << 30, INTEL_DEFAULT_WIDTH = 48 };

/* --iommu virtio,... as it was written. */
struct wanted {
	char *kind, *bypass;
	enum polling_mode poll;
	unsigned input_bits;
	uint64_t granule, page_size_mask;
	struct key_ranges resv;
};

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

static int settle_virtio(const struct wanted *wanted, struct iommu_config *config)
{
	int err = settle_bypass(wanted->bypass, config);

	if (!err)
		err = settle_pages(wanted, config);
	if (!err)
		err = settle_resv(wanted, config);
	config->poll = wanted->poll;
	config->input_bits = wanted->input_bits;
	return err;
}

static int parse_virtio(const char *option, const char *text, struct iommu_config *config)
{
	const struct key keys[] = {
		{NULL, KEY_STRING, offsetof(struct wanted, kind), 0, 0, true},
		{"bypass", KEY_STRING, offsetof(struct wanted, bypass), 0, 0, false},
		{"input-bits", KEY_NUMBER, offsetof(struct wanted, input_bits), 32, 64, false},
		{"granule", KEY_SIZE, offsetof(struct wanted, granule), 0, 0, false},
		{"page-size-mask", KEY_WORD, offsetof(struct wanted, page_size_mask), 0, 0, false},
		{"resv", KEY_RANGES, offsetof(struct wanted, resv), 0, RESV_MAX, false},
		{"poll", KEY_POLL, offsetof(struct wanted, poll), 0, 0, false},
	};
	struct wanted wanted = {.poll = POLLING_AUTO};
	int err = keyval_parse(option, text, keys, sizeof(keys) / sizeof(keys[0]), &wanted);

	if (!err)
		err = settle_virtio(&wanted, config);
	free(wanted.kind);
	free(wanted.bypass);
	return err;
}

/* --iommu intel,... as it was written. */
struct wanted_intel {
	char *kind, *eim;
	enum polling_mode poll;
	bool intremap;
	unsigned input_bits;
	struct intel_config intel;
};

static int settle_eim(const struct wanted_intel *wanted, struct iommu_config *config)
{
	const bool on = wanted->eim ? !strcmp(wanted->eim, "on") : wanted->intremap;

	if (wanted->eim && !on && strcmp(wanted->eim, "off"))
		vmm_log("--iommu: eim=%s: on or off is wanted", wanted->eim);
	else if (on && !wanted->intremap)
		vmm_log("--iommu: eim=on needs intremap=on");
	else {
		config->eim = on;
		return 0;
	}
	return -EINVAL;
}

static int settle_intel(const struct wanted_intel *wanted, struct iommu_config *config)
{
	const struct intel_config *intel = &wanted->intel;

	if (intel->aw_bits != 39 && intel->aw_bits != 48 && intel->aw_bits != 57) {
		vmm_log("--iommu: aw-bits is 39, 48 or 57");
		return -EINVAL;
	}
	if (wanted->input_bits > intel->aw_bits) {
		vmm_log("--iommu: input-bits=%u is more than aw-bits=%u", wanted->input_bits, intel->aw_bits);
		return -EINVAL;
	}
	config->intel = *intel;
	config->input_bits = wanted->input_bits;
	config->intremap = wanted->intremap;
	config->poll = wanted->poll;
	return settle_eim(wanted, config);
}

static int parse_intel(const char *option, const char *text, struct iommu_config *config)
{
	const struct key keys[] = {
		{NULL, KEY_STRING, offsetof(struct wanted_intel, kind), 0, 0, true},
		{"aw-bits", KEY_NUMBER, offsetof(struct wanted_intel, intel.aw_bits), 39, 57, false},
		{"input-bits", KEY_NUMBER, offsetof(struct wanted_intel, input_bits), 32, 57, false},
		{"intremap", KEY_SWITCH, offsetof(struct wanted_intel, intremap), 0, 0, false},
		{"eim", KEY_STRING, offsetof(struct wanted_intel, eim), 0, 0, false},
		{"caching-mode", KEY_SWITCH, offsetof(struct wanted_intel, intel.caching_mode), 0, 0, false},
		{"device-iotlb", KEY_SWITCH, offsetof(struct wanted_intel, intel.device_iotlb), 0, 0, false},
		{"scalable", KEY_SWITCH, offsetof(struct wanted_intel, intel.scalable), 0, 0, false},
		{"poll", KEY_POLL, offsetof(struct wanted_intel, poll), 0, 0, false},
	};
	struct wanted_intel wanted = {.poll = POLLING_AUTO, .intremap = true, .intel.aw_bits = INTEL_DEFAULT_WIDTH};
	int err = keyval_parse(option, text, keys, sizeof(keys) / sizeof(keys[0]), &wanted);

	if (!err)
		err = settle_intel(&wanted, config);
	free(wanted.kind);
	free(wanted.eim);
	return err;
}

static int parse_none(const char *option, const char *text, struct iommu_config *config)
{
	(void)option;
	(void)config;
	if (!strchr(text, ','))
		return 0;
	vmm_log("--iommu: none takes no keys");
	return -EINVAL;
}

static const struct kind {
	const char *name;
	int (*parse)(const char *option, const char *text, struct iommu_config *config);
} kinds[] = {
	[IOMMU_NONE] = {"none", parse_none},
	[IOMMU_VIRTIO] = {"virtio", parse_virtio},
	[IOMMU_INTEL] = {"intel", parse_intel},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

const char *iommu_config_name(enum iommu_kind kind)
{
	return kinds[kind].name;
}

int iommu_config_parse(struct iommu_config *out, const char *option, const char *text)
{
	const size_t len = strcspn(text, ",");

	for (unsigned i = 0; i < KINDS; i++) {
		struct iommu_config config = {.kind = (enum iommu_kind)i};

		if (strlen(kinds[i].name) != len || strncmp(text, kinds[i].name, len))
			continue;
		int err = kinds[i].parse(option, text, &config);

		if (!err)
			*out = config;
		return err;
	}
	vmm_log("--iommu: unknown kind '%.*s'; this build has virtio, intel and none", (int)len, text);
	return -EINVAL;
}
