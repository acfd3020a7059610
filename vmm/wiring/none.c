/* SPDX-License-Identifier: BSD-2-Clause */
/* No IOMMU: the command line puts nothing behind it. */
#include <errno.h>
#include <stddef.h>

#include "vmm/wiring/model.h"

static int none_create(const struct iommu_config *config, const struct iommu_machine *machine, struct viommu *v,
		       struct iommu_model **out)
{
	static struct iommu_model none = {&iommu_none};

	(void)config;
	(void)machine;
	(void)v;
	*out = &none;
	return 0;
}

static void none_destroy(struct iommu_model *model)
{
	(void)model;
}

static int none_manage(struct iommu_model *model, struct viommu_endpoint *endpoint)
{
	(void)model;
	(void)endpoint;
	return -EINVAL;
}

static bool none_taken(const struct iommu_model *model)
{
	(void)model;
	return true;
}

const struct iommu_model_ops iommu_none = {
	.create = none_create,
	.destroy = none_destroy,
	.manage = none_manage,
	.taken = none_taken,
};
