/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Invalidations. A change that takes rights away (unmap, attach, detach, removal of memory) has two halves:
 *
 *   1. the change itself: no new translation can use the old state; recorded in an invalidation object,
 *   2. the wait until those who use it already have finished.
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
 * After completion the object is empty and can be used again. It belongs to one thread at a time.
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
 * viommu_inval_destroy - free it. What is not complete goes on: what its changes took away stays out of use until those
 * in the way have let go (viommu_stats.quarantined), and nobody is told. NULL is allowed.
 */
VIOMMU_PUBLIC void viommu_inval_destroy(struct viommu_inval *inval);

/*
 * viommu_inval_begin - close the collection and look who still uses what it takes away. Allocates nothing and cannot
 * fail. Must not be called inside a section of the same thread.
 */
VIOMMU_PUBLIC void viommu_inval_begin(struct viommu_inval *inval);

/*
 * viommu_inval_poll - look whether everybody has finished. 0: complete, and the object is empty again.
 *
 * When the deadline has passed, the endpoints that still used what was taken away are blocked and failed, and what they
 * may still reach is kept out of use until they let go; the guest must be told that its request failed. Where 32 such
 * invalidations wait already there is no deadline.
 *
 * Errors:
 *   -EAGAIN     somebody has not finished
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
