/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client is code of the embedder that hands one endpoint's translations to a party outside of this library (a
 * kernel's vhost, another process, hardware), which keeps them. A client is told of each invalidation that concerns the
 * endpoint, and the invalidation completes only when the client has acknowledged it or was unregistered. Unregister a
 * client only when the other party cannot reach guest memory any more.
 *
 * A client translates in sections, like a device (viommu_dma_extent()). It must be registered before it translates what
 * it hands on: otherwise an invalidation that comes between is not told to it.
 *
 * A party that cannot ask for what it lacks needs a mirror (mirror.h).
 */
#ifndef VIOMMU_CLIENT_H
#define VIOMMU_CLIENT_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_client;

struct viommu_client_ops {
	size_t size; /* sizeof(struct viommu_client_ops): types.h */
	/*
	 * Forget first..last, stop using what you had of it, then viommu_client_ack(@ticket): here or later, from any
	 * thread. Runs inside viommu_inval_begin(), and not while viommu_publish() hands something on; may call nothing
	 * of the library but viommu_client_ack().
	 */
	void (*invalidate)(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket);
	/*
	 * Something in first..last may be mapped by now: for who hands translations on before they are asked for.
	 * Called after a MAP of a domain and after its endpoint has moved to another one, always after the invalidation
	 * that belongs to it, where the guest invalidates what it adds (VT-d: caching mode) after that, and of
	 * everything when the endpoint is resumed (viommu_endpoint_resume()). The caller's thread, with locks of the
	 * context held: may call viommu_dma_begin(), _extent() without report, _end(), viommu_publish() without report
	 * and viommu_client_ack(), nothing else of the library. May be NULL.
	 */
	void (*map)(void *opaque, struct viommu_iova first, struct viommu_iova last);
};

/*
 * viommu_client_register - from now on tell this client of the endpoint's invalidations. Any thread.
 *
 * Errors:
 *   -EINVAL  @ops is NULL, has no size, or no `invalidate`
 *   -E2BIG   @ops wants what this library does not know (types.h)
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_client_register(struct viommu_endpoint *endpoint, const struct viommu_client_ops *ops,
					 void *opaque, struct viommu_client **out);

/*
 * viommu_client_unregister - its access is cut: counts as acknowledgement of everything. No callback runs after it. Any
 * thread but from a callback. NULL is allowed.
 */
VIOMMU_PUBLIC void viommu_client_unregister(struct viommu_client *client);

struct viommu_extent;

/* Hands a translation on; see viommu_publish(). */
typedef int (*viommu_hand_on)(void *opaque, const struct viommu_extent *extent);

/*
 * viommu_publish - translate an address for a client and hand the translation on, unless it is invalidated meanwhile:
 * so it comes before the `invalidate` that makes it stale, or not at all. Any thread, outside of sections.
 *
 * @access: what the extent around the address (dma.h) must allow; 0: anything that is mapped
 * @report: it counts as an access, with a fault (fault.h) where it is not allowed
 * @hand_on: is given the extent, whose `host` may be handed on but not used. No `invalidate` runs meanwhile. It may
 *     call nothing of the library; what it returns is returned.
 *
 * Errors:
 *   -EFAULT  no such translation
 *   -EACCES  not with that right
 *   -ECANCELED  the endpoint is paused
 *   -EAGAIN     too many sections are open, or invalidations keep coming: later
 *   others      what @hand_on returns
 */
VIOMMU_PUBLIC int viommu_publish(struct viommu_client *client, struct viommu_iova iova, unsigned access, bool report,
				 viommu_hand_on hand_on, void *opaque);

/*
 * viommu_publish_cut - what other threads are translating now is not handed on, but translated again: for a client that
 * begins anew, or hears of other invalidations than before. Any thread but from a callback.
 */
VIOMMU_PUBLIC void viommu_publish_cut(struct viommu_client *client);

/* viommu_client_ack - everything up to this ticket is forgotten and no longer used. Any thread. */
VIOMMU_PUBLIC void viommu_client_ack(struct viommu_client *client, uint64_t ticket);

#ifdef __cplusplus
}
#endif
#endif
