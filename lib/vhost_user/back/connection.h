/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front channel, and the one file descriptor of a back end: an epoll instance over it, the back end's own channel,
 * the alarm, and an eventfd for other threads. The serving thread's, but for the wake-up.
 */
#ifndef LIB_VHOST_USER_BACK_CONNECTION_H
#define LIB_VHOST_USER_BACK_CONNECTION_H

#include "lib/vhost_user/back/alarm.h"
#include "lib/vhost_user/back/peer.h"
#include "lib/vhost_user/wire/channel.h"

struct vbe_connection {
	struct channel front;
	struct vbe_alarm alarm;
	int epoll_fd, wake_fd;
	uint32_t events;     /* that the front channel is watched for */
	uint64_t stalled_ns; /* too many descriptors are not closed since then; 0: they are few */
	struct reaper_account *account;
	const struct vbe_log *log;
};

/* The socket becomes the connection's, also where this fails. -errno. */
int vbe_connection_init(struct vbe_connection *connection, int fd, struct reaper_account *account,
			const struct vbe_log *log);
void vbe_connection_fini(struct vbe_connection *connection);

/* What made the descriptor readable is about to be served. */
void vbe_connection_clear(struct vbe_connection *connection);
/* Make it readable. Any thread. */
void vbe_connection_wake(struct vbe_connection *connection);
/* While too much is to be closed nothing more is read. */
bool vbe_connection_may_receive(const struct vbe_connection *connection);
/* Closing is quick, unless the front end sees to it that it is not: then -EPROTO, after a while. */
int vbe_connection_check_unclosed(struct vbe_connection *connection);
/* Everything is served: what to wait for, and when to look again by ourselves. @full: no message can be taken now */
void vbe_connection_await(struct vbe_connection *connection, bool full);

#endif
