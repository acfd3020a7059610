/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A mirror is a client (client.h) that is told of all that its endpoint may reach, before the device can use it,
 * because the other party cannot ask: an IOMMU of the host (VFIO), a window in another VM. A mirror may refuse a
 * mapping: then the guest is told so, and the mapping is not made.
 *
 * A mirror is told of *extents*: the parts of mappings that are guest memory and carry a right. Where a mapping points
 * to no memory yet, its extent is told when viommu_mem_add() adds that memory. An endpoint that bypasses has one extent
 * for each region of memory, an endpoint that is blocked has none. An endpoint that has *failed* (inval.h) is
 * different: its mirrors keep what its domain maps, and hear what that unmaps, until it is moved. Whoever learns of the
 * failure (viommu_config.endpoint_failed) detaches the endpoint after the call, or stops the other party by other
 * means.
 *
 * Order: the calls of one mirror come one at a time, in the order of the changes; what is unmapped is told before
 * anything is mapped in its place. Extents of one mirror do not overlap, and an unmap never cuts one.
 *
 * What the other party cannot map is told before, as limits of the endpoint (viommu_endpoint_set_limits()): no extent
 * lies in a reserved region, and each is a multiple of the granule. Where a mapping would lead to another one, it is
 * refused as if a mirror had done so.
 *
 * A domain whose mappings are tables in guest memory (VT-d) is told of changes only where the guest invalidates what it
 * adds: caching mode. Where it does not, the endpoint cannot have a mirror.
 */
#ifndef VIOMMU_MIRROR_H
#define VIOMMU_MIRROR_H

#include <viommu/client.h>
#include <viommu/dma.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What an endpoint is attached to. */
enum viommu_space {
	VIOMMU_SPACE_BLOCKED, /* nothing */
	VIOMMU_SPACE_BYPASS,  /* all memory, IOVA = GPA */
	VIOMMU_SPACE_DOMAIN,  /* what a domain maps */
};

/*
 * What a mirror does. All callbacks run on the thread that makes the change, with a lock of the domain held; they may
 * call viommu_client_ack() and viommu_client_refuse() for their own mirror, and nothing else of the library.
 */
struct viommu_mirror_ops {
	size_t size; /* sizeof(struct viommu_mirror_ops) */

	/*
	 * The endpoint is about to be attached: 0, or a negative errno that refuses it; VIOMMU_SPACE_BLOCKED cannot be
	 * refused. What the old space maps is unmapped after it, and then the new space mapped. May be NULL: everything
	 * is accepted.
	 */
	int (*attach)(void *opaque, enum viommu_space space);

	/*
	 * Make an extent reachable. Returns 0 (it is), a negative errno (it cannot be: -ENOMEM and -ENOSPC for want of
	 * room, anything else for good; nothing of it is reachable), or -EINPROGRESS: viommu_client_ack() tells later
	 * that it is, or viommu_client_refuse() that it cannot be. @ticket 0: the answer is needed now, -EINPROGRESS is
	 * taken for a refusal.
	 */
	int (*map)(void *opaque, const struct viommu_extent *extent, uint64_t ticket);

	/*
	 * Make all that was mapped in first..last unreachable (there may be nothing), then viommu_client_ack(@ticket),
	 * in this callback or later. @ticket 0: the change that had mapped it has failed, so no device has used it; it
	 * must be unreachable on return, and there is nothing to acknowledge.
	 */
	void (*unmap)(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket);

	/*
	 * The end of a batch of calls of `map` and `unmap`. A mirror that gathers them, to make fewer requests of the
	 * other party, makes its requests now. May be NULL.
	 */
	void (*batch_end)(void *opaque);
};

/*
 * viommu_mirror_register - from now on mirror what this endpoint may reach; what it can reach already is told at once.
 * An endpoint may have several mirrors. viommu_client_unregister() ends it, and calls `unmap` no more: the caller cuts
 * the other party's access first. A model that manages the endpoint needs no change: it tells its guest where a mirror
 * has refused. Any thread but from a callback.
 *
 * Errors:
 *   -E2BIG       @ops wants what this library does not know (types.h)
 *   -EINVAL      a callback is missing, or the size
 *   -EOPNOTSUPP  VT-d without caching mode; limits of the endpoint exclude what it reaches already
 *   -ENOMEM
 *   others       what the mirror refuses with
 */
VIOMMU_PUBLIC int viommu_mirror_register(struct viommu_endpoint *endpoint, const struct viommu_mirror_ops *ops,
					 void *opaque, struct viommu_client **out);

/*
 * viommu_client_refuse - the map with this ticket, which is in progress, cannot be made; nothing of it is reachable.
 * Counts as viommu_client_ack(@ticket), too. Any thread.
 *
 * @err: a negative errno
 */
VIOMMU_PUBLIC void viommu_client_refuse(struct viommu_client *client, uint64_t ticket, int err);

#ifdef __cplusplus
}
#endif
#endif
