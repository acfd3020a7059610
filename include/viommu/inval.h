/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Invalidations. A change that takes rights away (unmap, attach, detach, removal of memory) has two halves:
 *
 *   1. the change itself, which is recorded in an invalidation: no new translation can use the old state;
 *   2. the wait until the *users* of the old state are done: sections that were open, holds, clients and mirrors.
 *
 * No function here blocks. One object may collect many changes and then waits for all of them at once:
 *
 *	viommu_unmap(domain, first, last, inval);
 *	viommu_unmap(domain, other_first, other_last, inval);
 *	viommu_inval_begin(inval);
 *	while (viommu_inval_poll(inval) == -EAGAIN)
 *		do_something_else(); // or sleep until viommu_config.progress, at most half a deadline
 *	// now no access through the old translations is possible
 *
 * After completion the object is empty and can be used again; between viommu_inval_begin() and completion it takes no
 * change (-EBUSY). It belongs to one thread at a time.
 */
#ifndef VIOMMU_INVAL_H
#define VIOMMU_INVAL_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * viommu_inval_create - make an empty invalidation.
 *
 * Errors:
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_inval_create(struct viommu *v, struct viommu_inval **out);

/*
 * viommu_inval_destroy - free it. If it is not complete the library goes on waiting, without telling the embedder: what
 * the changes took away is not used again before its users are done (viommu_stats.quarantined). NULL is allowed.
 */
VIOMMU_PUBLIC void viommu_inval_destroy(struct viommu_inval *inval);

/*
 * viommu_inval_begin - close the collection and note the users of what it takes away. It allocates nothing and cannot
 * fail. A collection that is empty is complete. A section of the same thread that may use what is taken away is waited
 * for like any other: it has to end before a poll says that the invalidation is complete.
 */
VIOMMU_PUBLIC void viommu_inval_begin(struct viommu_inval *inval);

/*
 * viommu_inval_poll - look whether all users are done. 0: the invalidation is complete, and the object is empty again.
 * What a mirror has refused meanwhile was removed before that (viommu_map_pending(), viommu_attach()).
 *
 * When the deadline (viommu_config.deadline_ms) has passed, the endpoints whose users are not done are blocked and
 * *failed*: they cannot be attached before their users are done. What these may still reach is not used again before
 * that. The guest must be told that its request failed. While 32 invalidations wait beyond their deadlines, no further
 * one has a deadline.
 *
 * Errors:
 *   -EAGAIN     a user is not done
 *   -ETIMEDOUT  the deadline has passed; the object is empty again
 */
VIOMMU_PUBLIC int viommu_inval_poll(struct viommu_inval *inval);

/*
 * viommu_inval_refusal - what a mirror has refused a map or an attach of this invalidation with, after
 * viommu_inval_poll() said 0: that map is taken away again, that endpoint is blocked. 0: nothing was refused. The next
 * viommu_inval_begin() forgets it.
 *
 * Returns: 0 or a negative errno
 */
VIOMMU_PUBLIC int viommu_inval_refusal(const struct viommu_inval *inval);

#ifdef __cplusplus
}
#endif
#endif
