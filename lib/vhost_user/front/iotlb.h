/* SPDX-License-Identifier: BSD-2-Clause */
/* What the back end knows of translations: its device IOTLB, and the table that it may read in place of asking. */
#ifndef LIB_VHOST_USER_FRONT_IOTLB_H
#define LIB_VHOST_USER_FRONT_IOTLB_H

#include <stdatomic.h>
#include <time.h>

#include <viommu/client.h>
#include <viommu/dma.h>
#include <viommu/shared_writer.h>

#include "lib/util/range.h"
#include "lib/vhost_user/front/link.h"

enum {
	FRONT_UPDATES = 256, /* updates that may be unanswered: beyond, no more misses are read */
	FRONT_STARTS = 256,  /* a power of two */
};

struct front_iotlb {
	const struct viommu_vhu_config *config;
	struct front_link *link;
	struct viommu_client *client; /* with an IOMMU */

	struct lock lock;
	bool on; /* the back end may have translations; as front_link.open: written by the thread that serves */
	uint64_t asked GUARDED_BY(lock);                            /* the last one's ticket */
	unsigned updates GUARDED_BY(lock), invals GUARDED_BY(lock); /* that are not answered */
	bool updated GUARDED_BY(lock);                              /* an update was sent at this connection */
	/* An invalidation of everything, for `asked`, is to be sent, and awaited since then; 0: there is none. */
	uint64_t owed_ns GUARDED_BY(lock);
	/* First pages of translations that were sent, by their hash, + 1; see iotlb.c. */
	uint64_t starts[FRONT_STARTS] GUARDED_BY(lock);
	/* Where the rings are, and how many of these the back end is still to be told of, the last ones first (tell.c).
	 */
	struct range parts[3 * VIOMMU_VHU_RINGS] GUARDED_BY(lock);
	unsigned part_count GUARDED_BY(lock), untold GUARDED_BY(lock);
	bool runs GUARDED_BY(lock);   /* it has rings and the memory that they are in: it may be told unasked */
	bool table GUARDED_BY(lock);  /* it reads the shared table */
	bool refill GUARDED_BY(lock); /* the table is to begin anew */

	struct viommu_shared *shared; /* the table, or NULL; see table.c */
	/* Somebody stays inside it since then (0: nobody), when so much was acknowledged. */
	uint64_t inside_ns, inside_acked;
	time_t fault_second; /* see provide.c */
	unsigned faults;
};

/* What the back end is to be told of. */
struct front_ask {
	uint64_t iova;
	unsigned needed; /* what must be allowed; 0: nobody has asked, so nothing is a fault, and no table is filled */
	bool read_too;   /* what may be written may be read */
	struct range limit; /* nothing outside of it is told */
};

static const struct range front_everything = {0, UINT64_MAX};

/* iotlb.c */
int front_iotlb_init(struct front_iotlb *iotlb, const struct viommu_vhu_config *config, struct front_link *link);
void front_iotlb_fini(struct front_iotlb *iotlb);
/* From now on the back end may ask, and keep what it is told; or not. */
void front_iotlb_switch(struct front_iotlb *iotlb, bool on);
/* The connection ends, and with it what the back end was to forget: the ticket that is acknowledged when it is cut. */
uint64_t front_iotlb_reset(struct front_iotlb *iotlb);
/* Forget a range: with the context's lock held. */
void front_iotlb_invalidate(struct front_iotlb *iotlb, struct range range, uint64_t ticket);
/* Forget everything; nobody waits for it. Any thread. */
void front_iotlb_flush(struct front_iotlb *iotlb);
int front_iotlb_answer(struct front_iotlb *iotlb, const struct front_awaited *awaited, uint64_t status);
/* Send what was found; -ENOTCONN: the connection has ended. */
int front_iotlb_tell(struct front_iotlb *iotlb, const struct front_ask *ask, struct viommu_extent *found);
/* True: there is room for the answer to another miss. */
bool front_iotlb_room(struct front_iotlb *iotlb);
/* Something of this range is not known to the back end any more: what rings lie there they are told of again. */
void front_mark_parts(struct front_iotlb *iotlb, struct range range);

/*
 * provide.c: translate, and publish unless an invalidation comes meanwhile; *run is what was told.
 * Errors: -EFAULT, -EACCES (no such translation; the guest has heard of it), -ENOENT (nobody needs it any more),
 * -ENOTCONN (the connection has ended), -ECANCELED (the endpoint is paused: when it is resumed), -EAGAIN (invalidations
 * keep coming, or too many sections are open: soon).
 */
int front_provide(struct front_iotlb *iotlb, const struct front_ask *ask, struct viommu_extent *run);
/* An access that the back end has blocked: it is a fault if it is one to us. */
void front_blocked(struct front_iotlb *iotlb, const struct front_ask *ask);

/* tell.c: what the back end is told unasked */
/* What the guest has just mapped; with the context's lock held, on the thread that maps. */
void front_push(struct front_iotlb *iotlb, struct range mapped);
/* Where the rings are. */
void front_note_parts(struct front_iotlb *iotlb, const struct viommu_vhu_ring *rings, unsigned count);
void front_forget_parts(struct front_iotlb *iotlb);
/* The back end has got the rings, and the memory that they are in. */
void front_allow_telling(struct front_iotlb *iotlb);
void front_tell_parts(struct front_iotlb *iotlb);

/* table.c: the table that the back end reads in place of asking */
int front_table_fill(struct front_iotlb *iotlb, struct channel_message *message);
/* The back end has taken it, or not. */
int front_table_answer(struct front_iotlb *iotlb, const struct channel_message *message);
/* Acknowledge the invalidations whose readers have left the table. */
void front_table_serve(struct front_iotlb *iotlb);
/* The connection is gone. */
void front_table_drop(struct front_iotlb *iotlb);

#endif
