/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which addresses the front end was asked for, or is to be asked for, and has not answered yet: each once, a bounded
 * number at a time, and none for ever. What it said no to, in whatever way, stays on the list as failed until the next
 * access there has been told, or a while has gone by.
 */
#ifndef LIB_VHOST_USER_BACK_MISSES_H
#define LIB_VHOST_USER_BACK_MISSES_H

#include <viommu/fault.h>

#include "lib/util/lock.h"
#include "lib/util/range.h"
#include "lib/vhost_user/back/alarm.h"

enum { VBE_MISSES = 128 };

struct vbe_miss {
	struct range iova; /* what is wanted; the front end is asked for the first address */
	unsigned access;
	bool used, sent;
	enum viommu_fault_reason failed; /* or 0: waiting */
	uint64_t until_ns;               /* waiting: when it has failed; failed: when that is forgotten */
	uint64_t sequence;               /* of the message, among those that are replied to */
};

/* Lock order: vbe_misses.lock -> {channel.lock, vbe_alarm.lock}. Taken where the core holds no lock of its own. */
struct vbe_misses {
	struct vbe_alarm *alarm;
	uint64_t limit_ns;
	bool retry; /* serving thread: some were answered, or failed, and the device waits for that */

	struct lock lock;
	struct vbe_miss list[VBE_MISSES] GUARDED_BY(lock);
	unsigned count GUARDED_BY(lock);
	bool short_answers GUARDED_BY(lock); /* the front end answers with less than is wanted: ask for each page */
	uint64_t updates GUARDED_BY(lock);   /* that were taken */
};

/* The one that an access waits for, or is told of. */
struct vbe_miss *vbe_miss_find_locked(struct vbe_misses *misses, uint64_t iova, unsigned access) REQUIRES(misses->lock);
/* One more, which is not sent. NULL: the list is full. */
struct vbe_miss *vbe_miss_add_locked(struct vbe_misses *misses, struct range iova, unsigned access)
	REQUIRES(misses->lock);
void vbe_miss_drop_locked(struct vbe_misses *misses, struct vbe_miss *miss) REQUIRES(misses->lock);

/* An UPDATE with these rights came. */
void vbe_misses_update(struct vbe_misses *misses, struct range iova, unsigned access);
/* An UPDATE came that cannot be taken: who waits for it waits no longer. */
void vbe_misses_refuse(struct vbe_misses *misses, struct range iova);
/*
 * A reply to the message with this number: there is nothing at that address; or, where there is a shared table, by now
 * it is there, or an UPDATE is on its way.
 */
void vbe_misses_reply_locked(struct vbe_misses *misses, uint64_t sequence, bool found) REQUIRES(misses->lock);
/* Which have failed by now? */
void vbe_misses_expire(struct vbe_misses *misses);

#endif
