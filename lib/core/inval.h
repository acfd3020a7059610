/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of an invalidation. Whoever takes rights away reserves room first (which may fail), makes the change, and
 * records it (which cannot).
 */
#ifndef LIB_CORE_INVAL_H
#define LIB_CORE_INVAL_H

#include "lib/core/context.h"

enum change_kind {
	CHANGE_UNMAP,    /* `range` of IOVA in `domain` */
	CHANGE_ENDPOINT, /* `endpoint` left `domain` */
	CHANGE_MEMORY,   /* `range` of host addresses is going */
};

struct change {
	enum change_kind kind;
	struct viommu_domain *domain;     /* a reference; NULL for CHANGE_MEMORY */
	struct viommu_endpoint *endpoint; /* CHANGE_ENDPOINT */
	struct range range;
	struct table_retired retired; /* CHANGE_UNMAP: nodes that readers may still walk */
	struct memory *memory;        /* CHANGE_MEMORY: the array that they may still read */
};

/* A section that was open at the beginning. */
struct section_wait {
	const struct section_slot *slot;
	uint64_t word;
};

enum inval_state { INVAL_COLLECTING, INVAL_SECTIONS, INVAL_HOLDS };

struct viommu_inval {
	struct viommu *v;
	enum inval_state state;
	bool waited;
	struct change *changes;
	size_t count, room;
	uint64_t last_ticket; /* holds beyond it began after the change */
	unsigned wait_count;
	struct section_wait waits[SECTION_SLOTS];
};

/* Make room for one more change. -ENOMEM, -EBUSY (begun already). */
int viommu__inval_reserve(struct viommu_inval *inval);

/* Make room for this many changes in all, for good. -ENOMEM. */
int viommu__inval_room(struct viommu_inval *inval, size_t room);

/* Record a change that was made. Takes a reference of the domain and counts the endpoint's changes (viommu.lock held). */
void viommu__inval_record(struct viommu_inval *inval, const struct change *change);

#endif
