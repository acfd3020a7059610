/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands for a device behind the unit. */
#include <errno.h>
#include <stdlib.h>

#include "lib/model/vtd/tables.h"

/* The sink first: where another model has the endpoint, nothing of it may change. */
static int take_over(struct vtd_endpoint *behind, struct viommu_inval *inval)
{
	int err = viommu__endpoint_set_sink(behind->endpoint, vtd_fault_sink, behind);

	if (err)
		return err;
	err = viommu_bypass(behind->endpoint, inval);
	if (err)
		viommu__endpoint_set_sink(behind->endpoint, NULL, NULL);
	return err;
}

int vtd_endpoint_create(struct viommu_vtd *unit, struct viommu_endpoint *endpoint, struct viommu_inval *inval,
			struct vtd_endpoint **out)
{
	struct vtd_endpoint *behind = calloc(1, sizeof(*behind));

	if (!behind)
		return -ENOMEM;
	behind->unit = unit;
	behind->endpoint = endpoint;
	behind->source = (uint16_t)viommu_endpoint_id(endpoint);
	spin_init(&behind->lock);
	const struct walk_ops *ops = vtd_cap(unit) & VTD_CAP_CM ? &vtd_walk_told_ops : &vtd_walk_ops;
	int err = viommu__domain_create_walked(vtd_core(unit), ops, behind, &behind->space);

	if (err)
		goto err_alloc;
	err = take_over(behind, inval);
	if (err)
		goto err_space;
	*out = behind;
	return 0;

err_space:
	viommu_domain_destroy(behind->space);
err_alloc:
	free(behind);
	return err;
}

void vtd_endpoint_destroy(struct vtd_endpoint *endpoint)
{
	viommu__endpoint_set_sink(endpoint->endpoint, NULL, NULL);
	viommu_domain_destroy(endpoint->space);
	free(endpoint);
}
