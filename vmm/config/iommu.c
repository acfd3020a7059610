/* SPDX-License-Identifier: BSD-2-Clause */
/* --iommu KIND[,KEY=VALUE...] */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/iommu.h"
#include "vmm/config/keyval.h"
#include "vmm/util/log.h"

/* The option as it was written. */
struct wanted {
	char *kind, *bypass;
	unsigned input_bits;
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

static int settle(const struct wanted *wanted, const char *text, struct iommu_config *config)
{
	int err = settle_kind(wanted, text, config);

	if (!err)
		err = settle_bypass(wanted->bypass, config);
	config->input_bits = wanted->input_bits;
	return err;
}

int iommu_config_parse(struct iommu_config *out, const char *option, const char *text)
{
	const struct key keys[] = {
		{NULL, KEY_STRING, offsetof(struct wanted, kind), 0, 0, true},
		{"bypass", KEY_STRING, offsetof(struct wanted, bypass), 0, 0, false},
		{"input-bits", KEY_NUMBER, offsetof(struct wanted, input_bits), 32, 64, false},
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
