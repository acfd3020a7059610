/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients come and go: caches, and mirrors, which enter and leave the space of their endpoint. */
#include <errno.h>

#include "lib/core/mirror.h"
#include "lib/util/sized.h"

int viommu_client_register(struct viommu_endpoint *endpoint, const struct viommu_client_ops *ops, void *opaque,
			   struct viommu_client **out)
{
	const struct viommu_client kind = {.endpoint = endpoint, .ops = ops, .opaque = opaque};

	return ops && ops->invalidate ? client_add(&kind, out) : -EINVAL;
}

int viommu__client_register_serial(struct viommu_endpoint *endpoint, const struct viommu_client_ops *ops,
				   void (*settle)(void *opaque), void *opaque, struct viommu_client **out)
{
	return client_add(&(struct viommu_client){.endpoint = endpoint, .ops = ops, .opaque = opaque, .settle = settle},
			  out);
}

static int check_ops(const struct viommu_mirror_ops *ops)
{
	struct viommu_mirror_ops own;
	int err = sized_take(&own, sizeof(own), ops);

	return err ? err : own.map && own.unmap ? 0 : -EINVAL;
}

int viommu_mirror_register(struct viommu_endpoint *endpoint, const struct viommu_mirror_ops *ops, void *opaque,
			   struct viommu_client **out)
{
	int err = check_ops(ops);

	if (!err)
		err = client_add(&(struct viommu_client){.endpoint = endpoint, .mirror = ops, .opaque = opaque}, out);
	if (err)
		return err;
	err = mirror_join(*out);
	if (err)
		viommu_client_unregister(*out);
	return err;
}

void viommu_client_unregister(struct viommu_client *client)
{
	if (!client)
		return;
	if (client->mirror)
		mirror_forget(client);
	client_remove(client);
}
