/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits of endpoints (viommu_endpoint_set_limits()). A domain of viommu_domain_create() lists those of the endpoints
 * in it under its mirror_lock, and each map asks them; other domains map what they must, and only mirrors ask. A domain
 * without limits and mirrors pays one look at a flag under the lock that it takes anyway.
 */
#ifndef LIB_CORE_LIMITS_H
#define LIB_CORE_LIMITS_H

#include "lib/core/context.h"

/* The place of an endpoint's limits in the list of one domain. */
struct limits_link {
	struct viommu_domain *domain; /* NULL: in none. move_lock of the endpoint */
	const struct limits *limits;
	struct limits_link *next; /* the domain's mirror_lock */
};

struct limits {
	uint64_t granule;            /* a power of two */
	struct limits_link links[2]; /* while its endpoint moves, it is in two domains */
	size_t count;
	struct viommu_reserved reserved[]; /* sorted; no two overlap */
};

/* True: a map of this domain has somebody to ask, limits or mirrors. With domain.lock or mirror_lock held it stays so.
 */
static inline bool maps_ask(const struct viommu_domain *domain)
{
	return __builtin_expect(atomic_load_explicit(&domain->maps_ask, memory_order_relaxed), 0);
}

/* The domain's limits, or its mirrors, have come or gone. */
void limits_note_asked(struct viommu_domain *domain) REQUIRES(domain->mirror_lock);

/* 0; -ERANGE: not a multiple of the granule; -EINVAL: reserved. */
int limits_check(const struct limits *limits, struct range iova, uint64_t gpa);

/* The same for all endpoints in the domain. */
int limits_check_all(const struct viommu_domain *domain, struct range iova, uint64_t gpa) REQUIRES(domain->mirror_lock);

/*
 * The endpoint is about to move to this domain (NULL: to none): what is mapped from now on suits it. -EOPNOTSUPP:
 * something that is mapped does not. Wherever it ends up, limits_moved() follows.
 */
int limits_enter(struct viommu_endpoint *endpoint, struct viommu_domain *to) REQUIRES(endpoint->move_lock);

/* It is in this domain now (NULL: in none); any other one that it was in still lives. */
void limits_moved(struct viommu_endpoint *endpoint, const struct viommu_domain *domain) REQUIRES(endpoint->move_lock);

#endif
