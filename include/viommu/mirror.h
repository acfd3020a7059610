/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mirrors: clients (client.h) that must hold all that their endpoint may reach, because whoever uses it cannot ask: an
 * IOMMU of the host, a window in another VM. A mirror may refuse a mapping: then the guest is told so, and nothing has
 * changed.
 *
 * A mirror is told of *extents*: the parts of mappings that are guest memory and carry a right. What is mapped to no
 * memory is told when viommu_mem_add() adds it. An endpoint that bypasses has one extent for each region of memory, one
 * that is blocked none.
 *
 * Order: the calls of one mirror come one at a time, in the order of the changes; what is unmapped is told before
 * anything is mapped in its place. Extents of one mirror do not overlap, and an unmap never cuts one.
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
	 * Make what was mapped in first..last unreachable, perhaps nothing, then viommu_client_ack(@ticket), here or
	 * later. @ticket 0: all of it belongs to a change that did not come about; it is unreachable on return.
	 */
	void (*unmap)(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket);

	/*
	 * There is no more to come for now: whoever gathers maps and unmaps, to make fewer of them, performs them. May
	 * be NULL.
	 */
	void (*batch_end)(void *opaque);
};

/*
 * viommu_mirror_register - from now on mirror what this endpoint may reach; what it can reach already is told at once.
 * An endpoint may have several mirrors. viommu_client_unregister() ends it: nothing is unmapped then. Any thread but
 * from a callback. A model that manages the endpoint attaches it as before, and an attach may fail.
 *
 * Errors:
 *   -E2BIG       @ops wants what this library does not know (types.h)
 *   -EINVAL      a callback is missing, or the size
 *   -EOPNOTSUPP  VT-d without caching mode
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
