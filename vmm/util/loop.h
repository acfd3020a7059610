/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop of the I/O thread: file descriptors, and work posted by other threads. All callbacks run on the
 * thread that calls loop_run(), one after the other; none may block.
 */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* A file descriptor that is watched. The owner keeps the memory and does not change it between add and remove. */
struct loop_watch {
	int fd;
	/*
	 * EPOLLIN, EPOLLOUT, ... Level-triggered; EPOLLERR and EPOLLHUP come unasked and again and again: the owner
	 * answers them, with loop_remove() in the end.
	 */
	void (*ready)(void *opaque, uint32_t events);
	void *opaque;
};

/*
 * A piece of work. The owner keeps the memory. Posting one that is already waiting does nothing; work that posts
 * itself runs again after the file descriptors had their turn.
 */
struct loop_work {
	void (*run)(void *opaque);
	void *opaque;
	struct loop_work *next; /* these two are the loop's own, guarded by its lock */
	bool queued;
};

/*
 * What is looked at again and again, in place of waiting: while there is one, the loop never sleeps. The owner keeps
 * the memory.
 */
struct loop_poller {
	void (*poll)(void *opaque);
	void *opaque;
	struct loop_poller *next; /* the loop's own */
};

int loop_create(struct loop **out);
void loop_destroy(struct loop *loop);

/*
 * Watch and stop watching. Loop thread, or when the loop does not run. Removing also drops events that wait in this
 * round; the file descriptor is closed after that, never before. Errors: as epoll_ctl() (-EPERM: a plain file).
 */
int loop_add(struct loop *loop, struct loop_watch *watch, uint32_t events);
int loop_modify(struct loop *loop, struct loop_watch *watch, uint32_t events);
void loop_remove(struct loop *loop, struct loop_watch *watch);

/* Poll, and poll no more. Loop thread, also inside a poller; or when the loop does not run. */
void loop_poller_add(struct loop *loop, struct loop_poller *poller);
void loop_poller_remove(struct loop *loop, struct loop_poller *poller);

/* True: there is a poller. Loop thread. */
bool loop_polls(const struct loop *loop);

/*
 * Whether the host has a processor for a loop that never sleeps: what `spare` says, on the loop's thread; without one
 * it has. Before the loop runs.
 */
void loop_set_spare(struct loop *loop, bool (*spare)(void *opaque), void *opaque);
/* Loop thread. */
bool loop_has_spare(const struct loop *loop);

/* Run work soon on the loop's thread. Any thread. What was written before it is visible to the work. */
void loop_post(struct loop *loop, struct loop_work *work);

/* Take work back if it waits. Loop thread, or when the loop does not run. */
void loop_cancel(struct loop *loop, struct loop_work *work);

/*
 * Run until loop_stop(), which any thread (and a signal handler) may call, before loop_run() too: a stop ends one run.
 * 0 or the -errno of epoll_wait().
 */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
