/* SPDX-License-Identifier: BSD-2-Clause */
/* What an endpoint's sections find. */
#ifndef LIB_CORE_ENDPOINT_H
#define LIB_CORE_ENDPOINT_H

#include "lib/core/context.h"

/* Sections of the endpoint that begin from now on find this domain; NULL: it is blocked. */
static inline void endpoint_aim_locked(struct viommu_endpoint *endpoint, const struct viommu_domain *domain)
	REQUIRES(endpoint->v->lock)
{
	/* Release: what the domain maps is there. Partner: the second look in viommu_dma_begin(). */
	atomic_store_explicit(&endpoint->tag, (uint32_t)endpoint->index << 16 | (domain ? domain->index : 0),
			      memory_order_release);
}

#endif
