/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What waits: the changes of one invalidation, and what stood in the way of them when it began. A work that passes its
 * deadline is taken away from its invalidation and put into quarantine (quarantine.c), where it waits on without
 * holding anybody up.
 */
#ifndef LIB_CORE_WORK_H
#define LIB_CORE_WORK_H

#include "lib/core/client.h"
#include "lib/core/context.h"

enum change_kind {
	CHANGE_UNMAP,    /* `range` of IOVA in `domain` */
	CHANGE_MAP,      /* `range` was mapped in `domain`, which has mirrors: they may refuse it yet */
	CHANGE_ENDPOINT, /* `endpoint` left `domain` */
	CHANGE_ENTER,    /* the mirrors of `endpoint` entered `domain`, and may refuse what it maps yet */
	CHANGE_MEMORY,   /* `range` of host addresses is going */
	CHANGE_NOTHING,  /* of `endpoint` is taken away; what it does in any domain is waited for all the same */
};

struct change {
	enum change_kind kind;
	unsigned tag;                     /* which of its owner's requests made it */
	struct viommu_domain *domain;     /* NULL for CHANGE_MEMORY and _NOTHING */
	struct viommu_endpoint *endpoint; /* CHANGE_ENDPOINT, _ENTER, _NOTHING */
	struct range range;
	bool spare_ats;               /* CHANGE_UNMAP: clients behind ATS are not told */
	uint64_t reach;               /* obstacle.c: how far the changes reach that were sorted up to this one */
	struct table_retired retired; /* CHANGE_UNMAP: nodes that readers may still walk */
	struct memory *memory;        /* CHANGE_MEMORY: the array that they may still read */
};

/* A section that was open at the beginning. */
struct section_wait {
	struct section_slot *slot;
	uint64_t word;
};

static inline bool section_open(const struct section_wait *wait)
{
	/* Acquire: partner of the release in viommu_dma_end(); what a closed section did came before. */
	return atomic_load_explicit(&wait->slot->word, memory_order_acquire) == wait->word;
}

enum work_state { WORK_COLLECTING, WORK_SECTIONS, WORK_HOLDS };

struct work {
	enum work_state state;
	uint64_t since_ns;     /* of the first poll that had to wait; 0: none had */
	uint64_t cancelled_ns; /* when holds in the way were asked to end first; 0: not yet */
	struct change *changes;
	size_t count, room;
	bool mirrored;        /* mirrors were told of some change, and may refuse it yet */
	uint64_t last_ticket; /* holds beyond it began after the change */
	bool sorted;          /* obstacle.c: the changes are in order; always so once a hold was found in the way */
	/* A domain where a hold stands in the way, or NULL, and how many it had released when that was seen. */
	const struct viommu_domain *held;
	uint64_t held_releases;
	struct client_wait *clients;
	size_t client_count, client_room; /* viommu.lock, where clients are waited for */
	unsigned wait_count;
	struct section_wait waits[SECTION_SLOTS];
	struct work *next; /* viommu.lock: in quarantine */
};

/* Changes that concern an endpoint's accesses wherever they are, not those of a range. */
static inline bool change_by_endpoint(const struct change *change)
{
	return change->kind == CHANGE_ENDPOINT || change->kind == CHANGE_NOTHING;
}

/* Changes that take nothing away: only mirrors are waited for. */
static inline bool change_adds(const struct change *change)
{
	return change->kind == CHANGE_MAP || change->kind == CHANGE_ENTER;
}

struct viommu_inval;

int work_create(struct viommu *v, size_t room, struct work **out);
void work_destroy(struct work *work);
void work_begin(struct viommu *v, struct work *work);
/* Finish it whatever happens, and free it. */
void work_drop(struct viommu *v, struct work *work);
/*
 * True: nothing is in the way any more; everything that the changes made garbage is freed, and the work is empty again.
 * @owner: keeps a reference to a domain (kept), and hears of what did not come about; NULL in quarantine
 */
bool work_poll(struct viommu *v, struct work *work, struct viommu_inval *owner);

#endif
