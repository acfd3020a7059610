/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking for a guest's requests, in place of being told of them. While it goes on the guest need not leave for the
 * monitor, and nobody has to be woken; it costs the processor of the loop's thread. Who polls with POLLING_AUTO begins
 * when requests come one soon after the other, where the host has a processor to spare, and ends when none has come for
 * a while.
 */
#ifndef VMM_UTIL_POLLING_H
#define VMM_UTIL_POLLING_H

#include <stdatomic.h>

#include "vmm/util/loop.h"

enum polling_mode { POLLING_OFF, POLLING_AUTO, POLLING_ALWAYS };

struct polling_ops {
	/* It begins: ask the guest not to notify. False: not now. */
	bool (*begin)(void *opaque);
	/* Serve what is there. True: something was. */
	bool (*look)(void *opaque);
	/* It ends: ask the guest to notify, and look once more. False: it goes on, for this cannot be done now. */
	bool (*end)(void *opaque);
};

struct polling_stats {
	uint64_t begun, ns; /* how often it began; for how long it was on, without the last look that is under way */
	uint64_t looks, found;
};

/* Notifications of a device that its I/O thread heard of; some that come together count once. */
struct kick_stats {
	uint64_t notifications;
	struct polling_stats polling;
};

/* What a guest has asked of its IOMMU by a queue. */
struct request_stats {
	uint64_t requests, batches; /* those that were there when somebody looked are a batch */
	uint64_t notifications;     /* the guest left for each */
	struct polling_stats polling;
};

/* All but what is said of `calls` belongs to the loop's thread. */
struct polling {
	struct loop *loop;
	enum polling_mode mode;
	const struct polling_ops *ops;
	void *opaque;
	struct loop_poller poller;
	struct loop_work start;
	bool on;
	unsigned idle_looks; /* since the clock was read */
	uint64_t begun_ns;   /* when it began */
	uint64_t found_ns;   /* when something was found last */
	uint64_t seen_ns;    /* until when `stats.ns` counts */
	struct polling_stats stats;
	/* Of polling_busy(), whose callers are many; a count that is off by a few does no harm. */
	_Atomic unsigned calls;
	_Atomic uint64_t called_ns, not_before_ns;
};

void polling_init(struct polling *polling, struct loop *loop, enum polling_mode mode, const struct polling_ops *ops,
		  void *opaque);
/* Without ops->end(). Loop thread, or when the loop does not run. */
void polling_fini(struct polling *polling);

/* The guest has begun to work: POLLING_ALWAYS begins soon. Any thread. */
void polling_ready(struct polling *polling);
/* It has stopped to: ends, without ops->end(). Loop thread. */
void polling_stop(struct polling *polling);

/* It cannot go on: likewise, and it begins no more for a while. Also inside ops->look(). Loop thread. */
void polling_stop_for_now(struct polling *polling);

/* A request came by a notification. Any thread. */
void polling_busy(struct polling *polling);

/* Loop thread. */
void polling_stats_get(const struct polling *polling, struct polling_stats *out);

#endif
