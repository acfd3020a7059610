/* SPDX-License-Identifier: BSD-2-Clause */
/* Domains and endpoints as the driver sees them: ATTACH and DETACH, sections 5.13.6.3 and 5.13.6.4. */
#include <errno.h>
#include <stdlib.h>

#include "lib/model/virtio_iommu/model.h"
#include "lib/util/le.h"

struct vio_domain *vio_domain_find(struct viommu_virtio *dev, uint32_t id)
{
	for (struct vio_domain **link = &dev->domains; *link; link = &(*link)->next) {
		struct vio_domain *domain = *link;

		if (domain->id != id)
			continue;
		*link = domain->next;
		domain->next = dev->domains;
		return dev->domains = domain;
	}
	return NULL;
}

struct vio_endpoint *vio_endpoint_find(struct viommu_virtio *dev, uint32_t id)
{
	for (size_t i = 0; i < dev->endpoint_count; i++)
		if (viommu_endpoint_id(dev->endpoints[i].core) == id)
			return &dev->endpoints[i];
	return NULL;
}

static int domain_create(struct viommu_virtio *dev, uint32_t id, bool bypass, struct vio_domain **out)
	REQUIRES(dev->lock)
{
	struct vio_domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return -ENOMEM;
	int err = bypass ? viommu__domain_create_identity(dev->v, id, &domain->core)
			 : viommu_domain_create(dev->v, id, &domain->core);

	if (err) {
		free(domain);
		return err;
	}
	domain->id = id;
	domain->bypass = bypass;
	domain->next = dev->domains;
	dev->domains = domain;
	*out = domain;
	return 0;
}

/* Forget a domain that has no endpoints. */
static void domain_release(struct viommu_virtio *dev, struct vio_domain *domain) REQUIRES(dev->lock)
{
	if (domain->endpoints)
		return;
	struct vio_domain **link = &dev->domains;

	while (*link != domain)
		link = &(*link)->next;
	*link = domain->next;
	viommu_domain_destroy(domain->core);
	free(domain);
}

void vio_leave(struct viommu_virtio *dev, struct vio_endpoint *endpoint)
{
	struct vio_domain *domain = endpoint->domain;

	endpoint->domain = NULL;
	domain->endpoints--;
	domain_release(dev, domain);
}

int vio_set_unattached(struct viommu_virtio *dev, struct vio_endpoint *endpoint, struct viommu_inval *inval)
{
	return dev->bypass.applied ? viommu_bypass(endpoint->core, inval) : viommu_detach(endpoint->core, inval);
}

void vio_force_unattached(struct viommu_virtio *dev, struct vio_endpoint *endpoint, struct viommu_inval *inval)
{
	/* -EIO: it has failed and must not bypass yet, so it stays blocked. */
	if (vio_set_unattached(dev, endpoint, inval))
		viommu_detach(endpoint->core, inval);
}

/* A mirror that could hold neither the new space nor the old one has put the endpoint out. */
static void note_lost(struct viommu_virtio *dev, struct vio_endpoint *endpoint, struct viommu_inval *inval)
	REQUIRES(dev->lock)
{
	if (viommu__endpoint_attached(endpoint->core))
		return;
	if (endpoint->domain)
		vio_leave(dev, endpoint);
	vio_force_unattached(dev, endpoint, inval);
}

void vio_note_all_lost(struct viommu_virtio *dev, struct viommu_inval *inval)
{
	for (size_t i = 0; i < dev->endpoint_count; i++)
		if (dev->endpoints[i].domain)
			note_lost(dev, &dev->endpoints[i], inval);
}

static int attach_perform(struct viommu_virtio *dev, struct vio_endpoint *endpoint, struct vio_domain *domain)
	REQUIRES(dev->lock)
{
	int err = viommu_attach(endpoint->core, domain->core, dev->inval);

	if (err) {
		domain_release(dev, domain);
		note_lost(dev, endpoint, dev->inval);
		return err;
	}
	domain->endpoints++;
	if (endpoint->domain)
		vio_leave(dev, endpoint);
	endpoint->domain = domain;
	return 0;
}

int vio_attach(struct viommu_virtio *dev, const uint8_t *request)
{
	uint32_t id = le32_get(request + VIO_ATTACH_DOMAIN), flags = le32_get(request + VIO_ATTACH_FLAGS);
	uint32_t known = vio_accepted(dev, VIO_F_BYPASS_CONFIG) ? VIO_ATTACH_F_BYPASS : 0;
	bool bypass = flags & VIO_ATTACH_F_BYPASS;

	if (flags & ~known || le32_get(request + VIO_ATTACH_RESERVED))
		return -EINVAL;
	struct vio_endpoint *endpoint = vio_endpoint_find(dev, le32_get(request + VIO_ATTACH_ENDPOINT));

	if (!endpoint)
		return -ENOENT;
	if (id < dev->domain_first || id > dev->domain_last)
		return -ERANGE;
	struct vio_domain *domain = vio_domain_find(dev, id);

	if (domain && domain->bypass != bypass)
		return -EINVAL;
	/* It is there already; attaching brings it back where it has failed and let go since. */
	if (domain && domain == endpoint->domain)
		return viommu_attach(endpoint->core, domain->core, dev->inval);
	int err = domain ? 0 : domain_create(dev, id, bypass, &domain);

	return err ? err : attach_perform(dev, endpoint, domain);
}

int vio_detach(struct viommu_virtio *dev, const uint8_t *request)
{
	struct vio_endpoint *endpoint = vio_endpoint_find(dev, le32_get(request + VIO_DETACH_ENDPOINT));

	if (!endpoint)
		return -ENOENT;
	if (!endpoint->domain || endpoint->domain->id != le32_get(request + VIO_DETACH_DOMAIN))
		return -EINVAL;
	int err = vio_set_unattached(dev, endpoint, dev->inval);

	if (err)
		note_lost(dev, endpoint, dev->inval);
	else
		vio_leave(dev, endpoint);
	return err;
}

void vio_detach_all(struct viommu_virtio *dev)
{
	for (size_t i = 0; i < dev->endpoint_count; i++) {
		vio_force_unattached(dev, &dev->endpoints[i], dev->inval);
		if (dev->endpoints[i].domain)
			vio_leave(dev, &dev->endpoints[i]);
	}
}
