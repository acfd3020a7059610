/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Domains: I/O address spaces, the endpoints that use them, and what they map.
 *
 * An endpoint is always in exactly one of three states: attached to a domain, bypassing (IOVA = GPA, everything
 * allowed), or blocked (nothing allowed; how it starts). An endpoint whose domain was destroyed, or that has failed
 * (inval.h), is blocked, but what it had begun before that may go on: viommu_detach() and its invalidation wait for it.
 *
 * Thread rules: any thread; writers of one domain are serialised inside. Calls that take an invalidation only
 * make the change: it is complete when the invalidation is (inval.h).
 */
#ifndef VIOMMU_DOMAIN_H
#define VIOMMU_DOMAIN_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * viommu_domain_create - make an empty domain.
 *
 * @id: the guest's number for it; only used in log lines and fault records
 *
 * Errors:
 *   -ENOSPC  65 534 domains exist
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_domain_create(struct viommu *v, uint32_t id, struct viommu_domain **out);

/*
 * viommu_domain_destroy - give a domain up. Endpoints that are still in it are blocked: each DMA that begins from now
 * on is a fault. DMA that has begun already goes on. Before the memory that was mapped is used for anything else, move
 * each such endpoint (viommu_detach(), viommu_attach() or viommu_bypass()) and wait for the invalidation of that. The
 * domain is freed when the last endpoint has been moved and the last invalidation that names it has completed. NULL is
 * allowed.
 */
VIOMMU_PUBLIC void viommu_domain_destroy(struct viommu_domain *domain);

/*
 * viommu_attach - move an endpoint into a domain, from whatever state it is in. Where a mirror of the endpoint refuses
 * only before @inval is complete (-EINPROGRESS in mirror.h), the endpoint is blocked then, and no call says so.
 *
 * Errors:
 *   -EBUSY   @inval has begun already: nothing changed
 *   -ENOMEM  nothing changed
 *   -EIO     the endpoint has failed and still holds on to memory: inval.h
 *   -EOPNOTSUPP  @domain maps what the limits of the endpoint exclude (viommu_endpoint_set_limits()), or would have its
 *                mirrors told of it: nothing changed
 *   others   what a mirror of the endpoint refuses with (mirror.h): it is where it was or, if it could not be brought
 *            back there, blocked
 */
VIOMMU_PUBLIC int viommu_attach(struct viommu_endpoint *endpoint, struct viommu_domain *domain,
				struct viommu_inval *inval);

/*
 * viommu_detach - block an endpoint.
 *
 * Errors:
 *   -EBUSY   @inval has begun already: nothing changed
 *   -ENOMEM  nothing changed
 *   others   what a mirror of the endpoint refuses the space VIOMMU_SPACE_BLOCKED with, which it must not do (mirror.h)
 */
VIOMMU_PUBLIC int viommu_detach(struct viommu_endpoint *endpoint, struct viommu_inval *inval);

/*
 * viommu_bypass - let an endpoint reach all guest memory, untranslated.
 *
 * Errors:
 *   as viommu_attach()
 */
VIOMMU_PUBLIC int viommu_bypass(struct viommu_endpoint *endpoint, struct viommu_inval *inval);

/*
 * viommu_endpoint_pause - the device may do no DMA until it is resumed (PCI: bus mastering is off). viommu_dma_begin()
 * and viommu_publish() give -ECANCELED, and nothing is a fault. The endpoint stays where it is attached, and can be
 * moved. The invalidation of a viommu_quiesce() that comes after it waits for what the device does already, and takes
 * back what clients have: when it is complete, no access is under way. Mirrors keep what they hold: whoever stops their
 * DMA does so by other means. Any thread but from a callback.
 */
VIOMMU_PUBLIC void viommu_endpoint_pause(struct viommu_endpoint *endpoint);

/* viommu_endpoint_resume - it may again; caches are told by their `map` (client.h). Any thread but from a callback. */
VIOMMU_PUBLIC void viommu_endpoint_resume(struct viommu_endpoint *endpoint);

/*
 * viommu_quiesce - change nothing, but let the invalidation wait for what the endpoint is doing: for a device that was
 * told to stop. Sections that begin later are not waited for: after viommu_endpoint_pause() none begins.
 *
 * Errors:
 *   -EBUSY  @inval has begun already
 *   -ENOMEM
 *   -EIO    the endpoint has failed and still holds on to memory: inval.h
 */
VIOMMU_PUBLIC int viommu_quiesce(struct viommu_endpoint *endpoint, struct viommu_inval *inval);

/*
 * viommu_map - add one mapping.
 *
 * @first, @last: IOVA range; first a multiple of 4096, last + 1 too (2^64 included)
 * @gpa: what @first maps to, a multiple of 4096; gpa + (last - first) must not wrap. It need not be memory: that is
 *     found out by the access.
 * @access: any of VIOMMU_READ, VIOMMU_WRITE, VIOMMU_MMIO; a mapping without rights can be made
 *
 * Errors:
 *   -EINVAL  alignment, order, wrap, unknown flag; reserved for an endpoint in the domain
 *            (viommu_endpoint_set_limits())
 *   -ERANGE  no multiple of the granule of an endpoint in the domain (likewise)
 *   -EEXIST  overlaps a mapping; nothing changed
 *   -EOPNOTSUPP  memory that it leads to is no multiple of the granule of an endpoint with a mirror
 *   -ENOSPC  the domain's table limit is reached (viommu_config.domain_table_bytes)
 *   -ENOMEM
 *   others   what a mirror refuses with (mirror.h)
 */
VIOMMU_PUBLIC int viommu_map(struct viommu_domain *domain, struct viommu_iova first, struct viommu_iova last,
			     struct viommu_gpa gpa, unsigned access);

/*
 * viommu_map_pending - as viommu_map(), but the domain's mirrors (mirror.h) may take their time: it is complete when
 * @inval is (inval.h). Where a mirror refuses it in the end, the mapping is taken away again before that, and
 * viommu_inval_refusal() says so.
 *
 * Errors:
 *   as viommu_map()
 *   others  what a mirror refuses with at once; nothing changed
 */
VIOMMU_PUBLIC int viommu_map_pending(struct viommu_domain *domain, struct viommu_iova first, struct viommu_iova last,
				     struct viommu_gpa gpa, unsigned access, struct viommu_inval *inval);

/*
 * viommu_unmap - remove every mapping that lies inside first..last, which need not be page-aligned. Neighbouring
 * mappings are never merged: what one viommu_map() made is one unit.
 *
 * @removed: how many mappings went; may be NULL
 *
 * Errors:
 *   -EBUSY   @inval has begun already: nothing changed
 *   -EINVAL  order; viommu_domain_create() has not made @domain
 *   -ERANGE  a mapping lies partly outside: nothing changed
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_unmap(struct viommu_domain *domain, struct viommu_iova first, struct viommu_iova last,
			       struct viommu_inval *inval, uint64_t *removed);

/* What one viommu_map() made. */
struct viommu_mapping {
	struct viommu_iova first, last;
	struct viommu_gpa gpa; /* of the first byte */
	unsigned access;
};

/*
 * viommu_domain_next - the mapping that holds an address, or else the first one behind it. To list all: begin with 0,
 * go on with last + 1, which is 0 again where the space ends.
 *
 * Errors:
 *   -ENOENT  there is none
 *   -EINVAL  no domain of viommu_domain_create()
 */
VIOMMU_PUBLIC int viommu_domain_next(struct viommu_domain *domain, struct viommu_iova iova, struct viommu_mapping *out);

#ifdef __cplusplus
}
#endif
#endif
