/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells when a tap is deleted. Its descriptors tell a program that waits for frames, or to send some: not one whose
 * guest's driver is at rest, nor where the kernel moves the frames (vhost). So the watch listens to the kernel's news
 * of interfaces. Loop thread only.
 */
#ifndef VMM_NET_TAP_WATCH_H
#define VMM_NET_TAP_WATCH_H

#include "vmm/util/loop.h"

struct tap_watch {
	const char *name; /* not copied */
	int tap_fd;       /* of a queue that stays attached */
	struct loop *loop;
	struct loop_watch watch; /* fd -1: over, or there are no news to be had */
	/* Once, when the tap has gone, for errno `error`. May be NULL. */
	void (*lost)(void *opaque, int error);
	void *opaque;
};

/*
 * name, tap_fd, loop, lost and opaque are set. Without the kernel's news (no descriptor, no netlink) nothing is told.
 */
void tap_watch_init(struct tap_watch *tap);
void tap_watch_fini(struct tap_watch *tap);

/* The line about it, at a bounded rate. */
void tap_log_lost(const char *name, int error);

#endif
