/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the front end is asked for, and the channel for the back end's own messages: MISS asks for what the device IOTLB
 * lacks, ACCESS_FAIL tells of faults. Replies come back over it; translations come over the front channel (iotlb.c).
 *
 * misses.c: which addresses were asked for, or are to be, and have no answer yet: each once, a bounded number at a
 * time, and none for ever. What the front end said no to, in whatever way, stays on the list as failed until the next
 * access there has been told, or a while has gone by. back_channel.c: what is sent, and what comes back.
 */
#ifndef LIB_VHOST_USER_BACK_ASKING_H
#define LIB_VHOST_USER_BACK_ASKING_H

#include <viommu/fault.h>

#include "lib/util/range.h"
#include "lib/vhost_user/back/alarm.h"
#include "lib/vhost_user/back/peer.h"
#include "lib/vhost_user/back/shared.h"
#include "lib/vhost_user/wire/channel.h"

enum { VBE_MISSES = 128 };

struct vbe_miss {
	struct range iova; /* what is wanted; the front end is asked for the first address */
	unsigned access;
	bool used, sent;
	enum viommu_fault_reason failed; /* or 0: waiting */
	uint64_t until_ns;               /* waiting: when it has failed; failed: when that is forgotten */
	uint64_t sequence;               /* of the message, among those that are replied to */
};

/* Lock order: lock -> {channel.lock, vbe_alarm.lock}. Taken where the core holds no lock of its own. */
struct vbe_asking {
	struct reaper_account *account;
	const struct vbe_log *log;
	const struct vbe_shared *shared;
	struct vbe_alarm *alarm;
	uint64_t limit_ns; /* a miss fails after that */
	int epoll_fd;
	bool retry; /* serving thread: misses were answered, or failed, and the device waits for that */

	struct lock lock;
	struct vbe_miss miss[VBE_MISSES] GUARDED_BY(lock);
	unsigned count GUARDED_BY(lock);
	bool short_answers GUARDED_BY(lock); /* the front end answers with less than is wanted: ask for each page */

	struct channel channel GUARDED_BY(lock); /* while `open` */
	bool open GUARDED_BY(lock), out GUARDED_BY(lock);
	bool replied GUARDED_BY(lock);                              /* to each MISS (REPLY_ACK) */
	uint64_t asked GUARDED_BY(lock), answered GUARDED_BY(lock); /* what is replied to, and replies */
	uint64_t told_second GUARDED_BY(lock);                      /* of faults in this second */
	unsigned told GUARDED_BY(lock);                             /* the front end was told of so many */
	uint64_t misses GUARDED_BY(lock), updates GUARDED_BY(lock); /* counters (vhost_user_back.h) */
	uint64_t faults GUARDED_BY(lock);
};

/* misses.c: the one that an access waits for, or is told of */
struct vbe_miss *vbe_miss_find_locked(struct vbe_asking *asking, uint64_t iova, unsigned access) REQUIRES(asking->lock);
/* One more, which is not sent. NULL: the list is full. */
struct vbe_miss *vbe_miss_add_locked(struct vbe_asking *asking, struct range iova, unsigned access)
	REQUIRES(asking->lock);
void vbe_miss_drop_locked(struct vbe_asking *asking, struct vbe_miss *miss) REQUIRES(asking->lock);
/* An UPDATE with these rights came. */
void vbe_misses_update(struct vbe_asking *asking, struct range iova, unsigned access);
/* An UPDATE came that cannot be taken: the misses that wait for it fail. */
void vbe_misses_refuse(struct vbe_asking *asking, struct range iova);
/*
 * A reply to the message with this number: there is nothing at that address; or, where there is a shared table, by now
 * it is there, or an UPDATE is on its way.
 */
void vbe_misses_reply_locked(struct vbe_asking *asking, uint64_t sequence, bool found) REQUIRES(asking->lock);
/* Those whose time is up fail. */
void vbe_misses_expire(struct vbe_asking *asking);

/* back_channel.c. The pointers, limit_ns and epoll_fd are the owner's to set. -ENOMEM. */
int vbe_asking_init(struct vbe_asking *asking);
void vbe_asking_fini(struct vbe_asking *asking);
/* A connection for messages of ours; it becomes the channel. -errno. */
int vbe_back_channel_set(struct vbe_asking *asking, int fd);
void vbe_back_channel_replied(struct vbe_asking *asking, bool replied);
/* Replies, and what could not be sent. -errno: the channel is of no use. */
int vbe_back_channel_serve(struct vbe_asking *asking);
/*
 * The miss of an address: it is asked for unless it has been. NULL: too much is asked already; -EAGAIN will come again.
 * Any thread.
 */
const struct vbe_miss *vbe_ask_locked(struct vbe_asking *asking, struct range iova, unsigned access)
	REQUIRES(asking->lock);
/* The endpoint's sink of faults; opaque: this. */
void vbe_fault(void *opaque, const struct viommu_fault *fault);

#endif
