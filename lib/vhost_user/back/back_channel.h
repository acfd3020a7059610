/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The channel for the back end's own messages: MISS asks the front end for what the device IOTLB lacks, ACCESS_FAIL
 * tells it of faults. Replies come back over it; translations come over the front channel (iotlb.c).
 */
#ifndef LIB_VHOST_USER_BACK_BACK_CHANNEL_H
#define LIB_VHOST_USER_BACK_BACK_CHANNEL_H

#include "lib/vhost_user/back/misses.h"
#include "lib/vhost_user/back/peer.h"
#include "lib/vhost_user/back/shared.h"
#include "lib/vhost_user/wire/channel.h"

struct vbe_back_channel {
	struct reaper_account *account;
	const struct vbe_log *log;
	const struct vbe_shared *shared;
	int epoll_fd;

	struct vbe_misses misses;                       /* what is asked; its lock guards the channel, too */
	struct channel channel GUARDED_BY(misses.lock); /* while `open` */
	bool open GUARDED_BY(misses.lock), out GUARDED_BY(misses.lock);
	bool replied GUARDED_BY(misses.lock);                                     /* to each MISS (REPLY_ACK) */
	uint64_t asked GUARDED_BY(misses.lock), answered GUARDED_BY(misses.lock); /* what is replied to, and replies */
	uint64_t told_second GUARDED_BY(misses.lock); /* faults that the front end was told of in this second */
	unsigned told GUARDED_BY(misses.lock);
	uint64_t sent GUARDED_BY(misses.lock), faults GUARDED_BY(misses.lock); /* counters; sent: misses */
};

/* -errno. The pointers and epoll_fd are the owner's to set. */
int vbe_back_channel_init(struct vbe_back_channel *back, struct vbe_alarm *alarm, uint64_t limit_ns);
void vbe_back_channel_fini(struct vbe_back_channel *back);
/* A connection for messages of ours; it becomes the channel's. -errno. */
int vbe_back_channel_set(struct vbe_back_channel *back, int fd);
void vbe_back_channel_replied(struct vbe_back_channel *back, bool replied);
/* Replies, and what could not be sent. -errno: the channel is of no use. */
int vbe_back_channel_serve(struct vbe_back_channel *back);

/*
 * The miss of an address: it is asked for unless it has been. NULL: too much is asked already; -EAGAIN will come again.
 * Any thread.
 */
const struct vbe_miss *vbe_ask_locked(struct vbe_back_channel *back, struct range iova, unsigned access)
	REQUIRES(back->misses.lock);
/* The endpoint's sink of faults; opaque: the channel. */
void vbe_fault(void *opaque, const struct viommu_fault *fault);

#endif
