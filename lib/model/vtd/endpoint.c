/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands for a device behind the unit: it lives as long as its space, whose walks use it. */
#include <errno.h>
#include <stdlib.h>

#include "lib/model/vtd/tables.h"

int vtd_endpoint_create(struct viommu *v, const struct vtd_caps *caps, struct viommu_endpoint *endpoint,
			struct vtd_endpoint **out)
{
	struct vtd_endpoint *behind = calloc(1, sizeof(*behind));

	if (!behind)
		return -ENOMEM;
	behind->caps = *caps;
	behind->endpoint = endpoint;
	behind->source = (uint16_t)viommu_endpoint_id(endpoint);
	spin_init(&behind->lock);
	const struct walk_ops *ops = caps->cap & VTD_CAP_CM ? &vtd_walk_told_ops : &vtd_walk_ops;
	int err = viommu__domain_create_walked(v, ops, behind, &behind->space);

	if (err) {
		free(behind);
		return err;
	}
	*out = behind;
	return 0;
}

void vtd_endpoint_destroy(struct vtd_endpoint *endpoint)
{
	viommu_domain_destroy(endpoint->space); /* calls walk_ops.gone() */
}
