/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user connection: whole messages, file descriptors with them, over a Unix stream socket. It never blocks: what
 * the socket does not take waits in a bounded queue. Nothing that comes in is trusted: a message is handed out only
 * when it is whole, its version right, its size and number of descriptors within bounds.
 *
 * Receiving is for one thread at a time; sending for any. After an error other than -EAGAIN the connection is of no
 * use: fini it.
 */
#ifndef LIB_VHOST_USER_WIRE_CHANNEL_H
#define LIB_VHOST_USER_WIRE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/spec/vhost_user.h"
#include "lib/util/lock.h"

enum { CHANNEL_PAYLOAD = 1024, CHANNEL_FDS = 8, CHANNEL_WAITING = 1024 };

struct reaper_account;

struct channel_message {
	struct vhu_header header;
	unsigned fd_count;
	int fds[CHANNEL_FDS];           /* received: the taker's to close, by reaper_close() */
	struct reaper_account *account; /* of the peer that sent them; NULL: they are our own */
	union {
		uint8_t payload[CHANNEL_PAYLOAD];
		uint64_t u64;
		struct vhu_vring_state state;
		struct vhu_vring_addr addr;
		struct vhu_memory memory;
		struct vhu_single_region single;
		struct vhu_iotlb iotlb;
		struct vhu_config config;
		struct vhu_inflight inflight;
		struct vhu_log log;
		struct vhu_shared_table table;
	};
};

struct channel_waiting;

struct channel {
	int fd;
	struct reaper_account *account;
	/* The message that is coming in, and how many of its bytes are there. */
	struct channel_message in;
	size_t received;
	struct lock lock; /* innermost: a sender may hold any other */
	struct channel_waiting *first GUARDED_BY(lock), *last GUARDED_BY(lock); /* what the socket has not taken */
	unsigned waiting GUARDED_BY(lock);
	int error GUARDED_BY(lock); /* sending has failed for good */
};

/*
 * Takes a connected stream socket, which becomes non-blocking; closed by fini. What the peer sends goes to its account,
 * which lives longer; NULL: the peer is trusted not to make us wait. -ENOMEM.
 */
int channel_init(struct channel *channel, int fd, struct reaper_account *account);
void channel_fini(struct channel *channel);

/*
 * The next message. 0; -EAGAIN (not whole yet); -EPIPE (the peer has closed); -EPROTO (version, size or number of
 * descriptors; a line for the operator is the caller's); else -errno of recvmsg().
 */
int channel_receive(struct channel *channel, struct channel_message *message);

/* Close the descriptors that nobody has taken. */
void channel_close_fds(struct channel_message *message);

/*
 * Send a message of `header.size` bytes of payload; its descriptors are copied, they stay the caller's. Sets the
 * version. 0: sent, or waiting for channel_flush(). Errors: -ENOBUFS (CHANNEL_WAITING messages wait: the peer does not
 * read), -EMFILE, -ENOMEM, -EPIPE and others of sendmsg().
 */
int channel_send(struct channel *channel, const struct channel_message *message);

/* True: there is something to send once the socket is writable. Any thread. */
bool channel_unsent(struct channel *channel);

/* Send on; 0 (all is sent), -EAGAIN, or as channel_send(). */
int channel_flush(struct channel *channel);

#endif
