/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of an invalidation. Whoever takes rights away reserves room first (which may fail), makes the change, and
 * records it (which cannot).
 *
 * What waits is struct work. One that passes its deadline is taken away from its invalidation and put into quarantine
 * (quarantine.c), where it waits on without holding anybody up.
 */
#ifndef LIB_CORE_INVAL_H
#define LIB_CORE_INVAL_H

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
	bool spare_ats; /* CHANGE_UNMAP: clients behind ATS are not told */
	uint64_t reach; /* obstacle.c: how far the changes reach that were sorted before this one, and it */
	struct table_retired retired; /* CHANGE_UNMAP: nodes that readers may still walk */
	struct memory *memory;        /* CHANGE_MEMORY: the array that they may still read */
};

/* A section that was open at the beginning. */
struct section_wait {
	const struct section_slot *slot;
	uint64_t word;
};

enum work_state { WORK_COLLECTING, WORK_SECTIONS, WORK_HOLDS };

struct work {
	enum work_state state;
	uint64_t since_ns;     /* of the first poll that had to wait; 0: none had */
	uint64_t cancelled_ns; /* when holds in the way were asked to end first; 0: not yet */
	struct change *changes;
	size_t count, room;
	uint64_t last_ticket; /* holds beyond it began after the change */
	bool sorted;          /* obstacle.c: the changes are in order */
	/* A domain where a hold stands in the way, or NULL, and how many it had released when that was seen. */
	const struct viommu_domain *held;
	uint64_t held_releases;
	struct client_wait *clients;
	size_t client_count, client_room; /* viommu.lock, where clients are waited for */
	unsigned wait_count;
	struct section_wait waits[SECTION_SLOTS];
	struct work *next; /* viommu.lock: in quarantine */
};

struct viommu_inval {
	struct viommu *v;
	struct viommu_inval *prev, *next; /* viommu.lock: all of the context */
	struct work *work;
	unsigned tag; /* of the changes that are recorded next */
	/*
	 * A reference to a domain that the last changes named, or NULL: the next ones need take and drop none. Written
	 * by the owner, but for viommu_domain_destroy(), which takes it back under viommu.lock.
	 */
	struct viommu_domain *_Atomic kept;
	_Atomic uint64_t completed, waited; /* written by the owner */
	/*
	 * Each tag whose change did not come about, in no order, perhaps more than once: at the deadline (-ETIMEDOUT),
	 * or because a mirror refused a map.
	 */
	void (*failed)(void *opaque, unsigned tag, int err);
	void *opaque;
};

/* Make room for one more change. -ENOMEM, -EBUSY (begun already). */
int viommu__inval_reserve(struct viommu_inval *inval);

/* Make room for this many changes in all, for good (a work that follows has it too). -ENOMEM. */
int viommu__inval_room(struct viommu_inval *inval, size_t room);

/* The place, which is reserved, of a change that was made: the caller writes all of it, with inval->tag. */
static inline struct change *viommu__inval_next(struct viommu_inval *inval)
{
	return &inval->work->changes[inval->work->count++];
}

/* How many changes it has recorded since it was last complete. */
static inline size_t viommu__inval_changes(const struct viommu_inval *inval)
{
	return inval->work->count;
}

/* work.c: the waiting itself. */
int work_create(struct viommu *v, size_t room, struct work **out);
void work_destroy(struct work *work);
void work_begin(struct viommu *v, struct work *work);
/* Finish it whatever happens, and free it. */
void work_drop(struct viommu *v, struct work *work);
/*
 * Is everybody finished? Then everything that the changes made garbage is freed, and the work is empty again.
 * @owner: keeps a reference to a domain (kept), and hears of what did not come about; NULL in quarantine
 */
bool work_poll(struct viommu *v, struct work *work, struct viommu_inval *owner);
/* May this change still be in use? Exact: for the moment of a deadline. */
bool work_unfinished(struct viommu *v, struct work *work, const struct change *change);
bool change_concerns_section(const struct change *change, uint64_t word);

/* obstacle.c: may this change still be in use by a hold? */
bool change_held(struct viommu *v, const struct work *work, const struct change *change);
/* Has every hold been released that some change concerns? Puts the changes into an order of its own. */
bool holds_released(struct viommu *v, struct work *work);
bool change_concerns_hold(const struct change *change, const struct viommu_hold *hold);

/* quarantine.c */
/* Ask the holds in the way to end. */
void work_cancel_holds(struct viommu *v, struct work *work);
/*
 * Fail the endpoints in the way, give `inval` a fresh work, keep the old one. -ENOMEM, -EAGAIN (there are too many):
 * nothing happened.
 */
int work_quarantine(struct viommu_inval *inval);
/* See whether somebody in quarantine has let go. */
void quarantine_poll(struct viommu *v);
/* Free what is in quarantine whatever happens: the context is going. */
void quarantine_drop(struct viommu *v);

#endif
