/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection to the back end: its socket, the answers that are still to come and how long they may take, and why it
 * has failed. The back end answers requests in their order. One descriptor is polled for the whole front end: an epoll
 * instance with the sockets and a timer in it.
 *
 * Lock order: viommu.lock (an invalidation begins) -> front_iotlb.lock -> front_link.lock -> channel.lock. So nothing
 * of the library but viommu_client_ack() is called with one of these held, nor viommu_shared_*(), whose callbacks take
 * the link's. What no lock guards, in all structures of this folder, belongs to the thread that serves.
 */
#ifndef LIB_VHOST_USER_FRONT_LINK_H
#define LIB_VHOST_USER_FRONT_LINK_H

#include <viommu/vhost_user_front.h>

#include "lib/vhost_user/wire/channel.h"

enum {
	FRONT_AWAITED = 1024, /* answers that may be outstanding */
	FRONT_BATCH = 64,     /* messages of one socket at a time */
	FRONT_LATE = 3,       /* times that a back end may be too late in a minute, before it is given up */
	FRONT_WHY = 160,
};

/* What an answer is for. */
enum front_purpose { FRONT_FOR_SCRIPT, FRONT_FOR_UPDATE, FRONT_FOR_INVALIDATE };

/* An answer that is to come. */
struct front_awaited {
	uint32_t request;
	enum front_purpose purpose;
	uint64_t ticket;   /* FRONT_FOR_INVALIDATE */
	uint64_t since_ns; /* when its time began; 0: when the request is sent */
};

/* struct viommu_vhu_stats, counted by any thread, each on its own. */
struct front_stats {
	_Atomic uint64_t connections, misses, updates, invalidations, access_fails, tables, refused;
};

struct front_link {
	const struct viommu_vhu_config *config;
	struct reaper_account *account; /* of descriptors that back ends send */
	int epoll, timer;
	struct front_stats stats;

	struct lock lock;
	bool open; /* the thread that serves writes it, with the lock held; so it alone may read it without */
	struct channel channel GUARDED_BY(lock); /* receiving: the thread that serves */
	uint32_t events GUARDED_BY(lock);        /* what is polled for */
	struct front_awaited awaited[FRONT_AWAITED] GUARDED_BY(lock);
	unsigned awaited_head GUARDED_BY(lock), awaited_count GUARDED_BY(lock);
	unsigned awaited_invals GUARDED_BY(lock); /* of those awaited */
	uint64_t timer_ns GUARDED_BY(lock);       /* when the timer is over; 0: not set */
	int broken GUARDED_BY(lock);              /* sending has failed */

	/* This connection. */
	char why[FRONT_WHY]; /* not empty: it has failed */
	unsigned lines;      /* for the operator */
	uint64_t protocol;   /* features that were negotiated */
	bool reply_ack;      /* one of them, from the owner's request on: both sides acknowledge */
	/* How often the back end kept an invalidation waiting for too long, and since when that is counted. */
	unsigned late;
	uint64_t late_ns;
};

/* deadline.c */
uint64_t front_now_ns(void);
/* Make viommu_vhu_serve() run soon, or at a time. Any thread. */
void front_wake_locked(struct front_link *link) REQUIRES(link->lock);
void front_wake(struct front_link *link);
void front_wake_at(struct front_link *link, uint64_t ns);
/* An answer is awaited from now on; there is room. */
void front_await_locked(struct front_link *link, const struct front_awaited *awaited) REQUIRES(link->lock);
/* The answer that comes next. False: none is awaited. */
bool front_take_awaited(struct front_link *link, struct front_awaited *out);
/* The answer that the back end has had too much time for. False: there is none; the timer is set anew. */
bool front_find_late(struct front_link *link, struct front_awaited *out);
unsigned front_limit_ms(const struct front_link *link, const struct front_awaited *awaited);

/* link.c */
enum front_event { FRONT_EVENT_TIMER, FRONT_EVENT_SOCKET, FRONT_EVENT_REQUESTS };
int front_link_init(struct front_link *link, const struct viommu_vhu_config *config);
void front_link_fini(struct front_link *link);
/* Take over a socket. */
int front_link_open(struct front_link *link, int fd);
/* Close it, if it is open; no answer is awaited any more. */
void front_link_close(struct front_link *link);
int front_watch(struct front_link *link, int fd, enum front_event what);
/* Poll a socket for just what it is wanted for; *now: what it is polled for. */
void front_poll_for(struct front_link *link, int fd, enum front_event what, uint32_t *now, uint32_t wanted);
/*
 * Send; `awaited` (may be NULL) is what the answer is for. Any thread. Errors are the socket's: they are remembered in
 * `broken`, and it is served soon.
 */
int front_send(struct front_link *link, const struct channel_message *message, const struct front_awaited *awaited);
/* Send what has waited for room in the socket. */
void front_flush(struct front_link *link);
/* The timer may be over. */
void front_check_time(struct front_link *link);
/* The connection is of no use, and why; the first reason counts. -EPROTO, for the caller to return. */
__attribute__((format(printf, 2, 3))) int front_fail(struct front_link *link, const char *format, ...);
/* A line for the operator. */
__attribute__((format(printf, 2, 3))) void front_log(struct front_link *link, const char *format, ...);
/* The back end has kept an invalidation waiting for too long, and is about to be cut off. */
void front_note_late(struct front_link *link);
/* Add a copy of a descriptor to a message. */
int front_attach_fd(struct front_link *link, struct channel_message *message, int fd);

#endif
