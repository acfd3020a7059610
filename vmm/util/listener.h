/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A listening socket on the event loop. What accept() may fail by passes: descriptors and memory of this process or of
 * the machine, a peer that has gone, a network that is down. So nothing ends the listening; it pauses for a moment
 * where epoll would tell of the same connection again and again, and the operator gets a line. Loop thread only.
 */
#ifndef VMM_LISTENER_H
#define VMM_LISTENER_H

#include "vmm/util/loop.h"

struct listener_ops {
	/* Take a connected, non-blocking socket. */
	void (*accepted)(void *opaque, int fd);
	/* True if a connection may come now; after false it is asked again in a moment. NULL: always. */
	bool (*ready)(void *opaque);
	/*
	 * No descriptor is left to accept with. True: the connection has been dealt with, or has gone. NULL: it has
	 * not.
	 */
	bool (*crowded)(void *opaque);
};

struct listener {
	const char *name; /* in lines */
	const struct listener_ops *ops;
	void *opaque;
	struct loop *loop; /* NULL: stopped */
	struct loop_watch watch, timer;
	bool paused;
	int said; /* the error that was told of last; 0: none since the last connection */
};

/* For a listening, non-blocking socket, which stays the caller's; not started. -errno. */
int listener_init(struct listener *listener, int fd, const char *name, const struct listener_ops *ops, void *opaque);
void listener_fini(struct listener *listener);

/* Begin to accept, and end it; both are harmless where it is so already. -errno of the loop. */
int listener_start(struct listener *listener, struct loop *loop);
void listener_stop(struct listener *listener);

#endif
