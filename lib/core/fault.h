/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one path of a fault: counter, operator's line, then the model that manages the endpoint, or the queue for others.
 */
#ifndef LIB_CORE_FAULT_H
#define LIB_CORE_FAULT_H

#include <stdint.h>
#include <time.h>

#include <viommu/fault.h>

#include "lib/util/lock.h"

enum { FAULT_QUEUE = 256, FAULT_LINES = 10, FAULT_WINDOW_SECONDS = 5 };

struct fault_log {
	struct lock lock;
	struct viommu_fault queue[FAULT_QUEUE] GUARDED_BY(lock);
	unsigned head GUARDED_BY(lock), count GUARDED_BY(lock);
	time_t window GUARDED_BY(lock);   /* when the current window of the rate limit began */
	unsigned lines GUARDED_BY(lock);  /* logged in it */
	uint64_t silent GUARDED_BY(lock); /* not logged since the last line */
	uint64_t total GUARDED_BY(lock), unlogged GUARDED_BY(lock);
};

/*
 * Report that an access was blocked. `domain` is NULL where the endpoint is attached to nothing. Of `what` the address,
 * access, reason, detail and the domain's number count; the rest is filled in.
 */
void viommu__fault(struct viommu_endpoint *endpoint, const struct viommu_domain *domain,
		   const struct viommu_fault *what);

#endif
