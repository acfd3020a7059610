/* SPDX-License-Identifier: BSD-2-Clause */
/* The last faults, and how many each device had. Bounded, whatever guests do. */
#ifndef VMM_CONTROL_HISTORY_H
#define VMM_CONTROL_HISTORY_H

#include <stdint.h>
#include <time.h>

#include <viommu/fault.h>

#include "vmm/util/mutex.h"

enum { FAULT_HISTORY = 64 };

struct fault_record {
	struct timespec time; /* of day */
	struct viommu_fault fault;
};

struct fault_history {
	struct mutex lock; /* innermost */
	/* `total` faults were seen, the last of them are at (total - 1) % FAULT_HISTORY and before. */
	struct fault_record ring[FAULT_HISTORY] GUARDED_BY(lock);
	uint64_t total GUARDED_BY(lock);
	/* Of each endpoint that had any. */
	struct fault_count {
		uint32_t endpoint;
		uint64_t count;
	} *counts GUARDED_BY(lock);
	unsigned endpoints GUARDED_BY(lock);
};

void fault_history_init(struct fault_history *history);
void fault_history_fini(struct fault_history *history);

/* Any thread. */
void fault_history_add(struct fault_history *history, const struct viommu_fault *fault);

/* The last ones, oldest first; returns how many. Any thread. */
unsigned fault_history_get(struct fault_history *history, struct fault_record out[FAULT_HISTORY]);
uint64_t fault_history_count(struct fault_history *history, uint32_t endpoint);

#endif
