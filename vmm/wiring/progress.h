/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When pending invalidations are polled: as soon as somebody in their way lets go (viommu_config.progress), on the I/O
 * thread, all of them; and from time to time, which alone makes their deadlines pass (inval.h).
 */
#ifndef VMM_WIRING_PROGRESS_H
#define VMM_WIRING_PROGRESS_H

struct loop;
struct progress;

/* A part of the machine that may have something pending. The owner keeps the memory as long as the loop runs. */
struct progress_waiter {
	/* Poll what is pending. Loop thread, outside of sections; where something stays pending: progress_await(). */
	void (*poll)(void *opaque);
	void *opaque;
	struct progress_waiter *next;
};

/* @deadline_ms: the context's. -ENOMEM, or -errno of timerfd and epoll. */
int progress_create(struct loop *loop, unsigned deadline_ms, struct progress **out);

/* The loop does not run any more, and nobody signals. NULL is allowed. */
void progress_destroy(struct progress *progress);

/* Before the loop runs. */
void progress_add(struct progress *progress, struct progress_waiter *waiter);

/* Poll all soon. Any thread, with any lock held but the loop's. */
void progress_signal(struct progress *progress);

/* Something is pending: poll again before its deadline, though nobody may signal. Loop thread. */
void progress_await(struct progress *progress);

#endif
