/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user front end from the inside.
 *
 * Requests go out in an order, and the back end answers in that order: `pending` is the list of answers that are still
 * to come. Negotiating, starting, stopping are *scripts*: one request at a time, the next when the answer is there
 * (script.c). Between them, from any thread, go the IOTLB's messages (iotlb.c).
 *
 * Lock order: viommu.lock (an invalidation begins) -> viommu_vhu.lock -> channel.lock. So nothing of the library but
 * viommu_client_ack() is called with viommu_vhu.lock held, nor viommu_shared_*(), whose callbacks take it. What no lock
 * guards belongs to the thread that serves.
 */
#ifndef LIB_VHOST_USER_FRONT_FRONT_H
#define LIB_VHOST_USER_FRONT_FRONT_H

#include <viommu/client.h>
#include <viommu/shared_writer.h>
#include <viommu/vhost_user_front.h>

#include "lib/core/internal.h"
#include "lib/vhost_user/wire/channel.h"

enum {
	VHU_PENDING = 1024, /* answers that may be outstanding, of which at most ... */
	VHU_UPDATES = 256,  /* ... to updates: beyond, no more misses are read */
	VHU_INVALS = 64,    /* ... to invalidations: beyond, they become one of everything */
	VHU_BATCH = 64,     /* messages of one socket at a time */
	VHU_TRIES = 8,      /* translations of one miss at a time, when invalidations keep coming */
	VHU_LATE = 3,       /* times that a back end may be too late in a minute, before it is given up */
	VHU_LATE_MS = 60000,
	VHU_UNCLOSED = 8,       /* descriptors of earlier back ends that are not closed yet, for a new connection */
	VHU_UNCLOSED_MOST = 64, /* beyond, a connection ends */
	VHU_FAULTS = 256,       /* faults a second that the back end's requests may cause */
	VHU_WRITES = 16,        /* writes to the configuration that wait */
	VHU_LOG_LINES = 10,     /* a connection */
	VHU_WHY = 160,
	VHU_REPLY_MS = 5000,
	VHU_SETUP_MS = 120000,
	VHU_STARTS = 256,  /* a power of two */
	VHU_PUSHES = 64,   /* translations that are pushed for one map */
	VHU_PAUSE_MS = 20, /* between two looks whether there may be DMA */
};

enum { VHU_F_ACCESS_PLATFORM = 33, VHU_F_RING_PACKED = 34 };

struct viommu_vhu;

/* What an answer is for. */
enum vhu_purpose { VHU_FOR_SCRIPT, VHU_FOR_UPDATE, VHU_FOR_INVALIDATE };

struct vhu_pending {
	uint32_t request;
	enum vhu_purpose purpose;
	uint64_t ticket;   /* VHU_FOR_INVALIDATE */
	uint64_t since_ns; /* when its time began; 0: when it is sent */
};

/* One request of a script. */
struct vhu_step {
	uint32_t request;
	/* Left out where this says so. May be NULL. */
	bool (*wanted)(const struct viommu_vhu *vhu);
	bool may_refuse; /* the back end; a line is all that comes of it */
	/*
	 * Payload and descriptors, which are closed when they are sent; 0, or the connection has been given up
	 * (vhu_fail()).
	 */
	int (*fill)(struct viommu_vhu *vhu, struct channel_message *message);
	/*
	 * The answer, which has at most one descriptor (to be taken, or closed by the caller). NULL: an acknowledgement
	 * at most.
	 */
	int (*answer)(struct viommu_vhu *vhu, struct channel_message *message);
};

struct vhu_script {
	const struct vhu_step *steps;
	unsigned count;
	bool per_ring; /* once for each ring, vhu->ring */
	const struct vhu_script *next;
	void (*end)(struct viommu_vhu *vhu); /* without next */
};

struct vhu_write {
	unsigned offset, size;
	uint8_t data[VIOMMU_VHU_CONFIG];
};

struct viommu_vhu {
	struct viommu_vhu_config config;
	struct viommu_vhu_region regions[VIOMMU_VHU_REGIONS];
	struct viommu_client *client; /* with an IOMMU */
	int epoll, timer;

	/* The socket, and what its back end is waited for. */
	struct lock lock;
	bool open; /* the thread that serves writes it, with the lock held; so it alone may read it without */
	struct channel channel GUARDED_BY(lock); /* receiving: the thread that serves */
	uint32_t events GUARDED_BY(lock);        /* what is polled for */
	struct vhu_pending pending[VHU_PENDING] GUARDED_BY(lock);
	unsigned pending_head GUARDED_BY(lock), pending_count GUARDED_BY(lock);
	uint64_t timer_ns GUARDED_BY(lock); /* when the timer is over; 0: not set */
	int broken GUARDED_BY(lock);        /* sending has failed */
	bool iotlb GUARDED_BY(lock);        /* the back end may have translations */
	uint64_t generation GUARDED_BY(lock), asked GUARDED_BY(lock);
	unsigned updates GUARDED_BY(lock), invals GUARDED_BY(lock); /* of those pending */
	/* First pages of translations that were sent, by their hash, + 1; see iotlb.c. */
	uint64_t starts[VHU_STARTS] GUARDED_BY(lock);
	/*
	 * Where the rings are, and how many of these the back end is still to be told of, the last ones first; see
	 * retell.c.
	 */
	struct range parts[3 * VIOMMU_VHU_RINGS] GUARDED_BY(lock);
	unsigned part_count GUARDED_BY(lock), untold GUARDED_BY(lock);
	bool table GUARDED_BY(lock);   /* the back end reads a shared table */
	bool updated GUARDED_BY(lock); /* the back end has got an update at this connection */
	bool runs GUARDED_BY(lock);    /* it has rings and the memory that they are in: maps may be pushed */
	bool refill GUARDED_BY(lock);  /* the table is to begin anew */
	/*
	 * An invalidation of everything, for `asked`, is to be sent, and has been waited for since then (0: there is
	 * none).
	 */
	uint64_t owed_ns GUARDED_BY(lock);
	struct viommu_vhu_stats stats GUARDED_BY(lock);

	/* The back end's own requests. */
	bool requests_open;
	struct channel requests;
	uint32_t requests_events;
	/*
	 * A miss that was overtaken by invalidations too often, or may not be answered yet; and its header, for the
	 * reply.
	 */
	bool deferred;
	struct vhu_iotlb miss;
	struct vhu_header miss_header;
	time_t fault_second;
	unsigned faults;

	struct reaper_account *account; /* of descriptors that back ends send */
	struct viommu_shared *shared;   /* the table, or NULL; see shared.c */
	uint64_t inside_ns,
		inside_acked; /* somebody stays inside since then (0: nobody), when so much was acknowledged */

	/* This connection. */
	char why[VHU_WHY]; /* not empty: it has failed */
	unsigned lines;
	bool negotiated;
	uint64_t offered, protocol, protocol_offered;
	bool reply_ack;
	unsigned queues;
	struct vhu_memory memory;        /* as the back end was told; no regions: not yet */
	int memory_fds[VHU_REGIONS_MAX]; /* numbers, to compare */
	bool told;                       /* the configuration, by this back end or one before */
	bool stale;
	uint8_t space[VIOMMU_VHU_CONFIG];

	/* The script. */
	const struct vhu_script *script;
	unsigned step, ring;
	bool waiting, proceeding;

	/* The device. */
	bool given; /* rings, by viommu_vhu_start() */
	bool stopping;
	bool running; /* at this connection */
	bool ran;     /* at any, since it was given */
	bool again;   /* it had run when this script began */
	bool hopeless;
	/* How often it kept an invalidation waiting for too long, since when; see vhu_note_late(). */
	unsigned late;
	uint64_t late_ns;
	uint64_t features;
	unsigned count;
	struct viommu_vhu_ring rings[VIOMMU_VHU_RINGS];
	uint16_t bases[VIOMMU_VHU_RINGS];
	bool enabled[VIOMMU_VHU_RINGS]; /* as the back end was told */
	int inflight_fd;                /* -1: none */
	struct vhu_inflight inflight;
	struct vhu_write writes[VHU_WRITES];
	unsigned write_head, write_count;
};

/* link.c: sockets, answers to come, deadlines */
enum { VHU_EVENT_TIMER, VHU_EVENT_SOCKET, VHU_EVENT_REQUESTS };
int vhu_link_init(struct viommu_vhu *vhu);
void vhu_link_fini(struct viommu_vhu *vhu);
int vhu_watch(struct viommu_vhu *vhu, int fd, unsigned what);
/* Make viommu_vhu_serve() run soon. Any thread. */
void vhu_wake_locked(struct viommu_vhu *vhu) REQUIRES(vhu->lock);
void vhu_wake(struct viommu_vhu *vhu);
void vhu_wake_in(struct viommu_vhu *vhu, unsigned ms);
void vhu_wake_at(struct viommu_vhu *vhu, uint64_t ns);
/*
 * Send; `pending` (may be NULL) is what the answer is for. Errors are the socket's: remembered in `broken`, and it is
 * served soon.
 */
void vhu_send_locked(struct viommu_vhu *vhu, const struct channel_message *message, const struct vhu_pending *pending)
	REQUIRES(vhu->lock);
/* The answer that comes next. False: none is awaited. */
bool vhu_take_pending_locked(struct viommu_vhu *vhu, struct vhu_pending *out) REQUIRES(vhu->lock);
/* Has the back end had more time than it may take? Sets the timer anew if not. */
bool vhu_late_locked(struct viommu_vhu *vhu, struct vhu_pending *out) REQUIRES(vhu->lock);
unsigned vhu_limit_ms(const struct viommu_vhu *vhu, const struct vhu_pending *pending);
void vhu_poll_for(struct viommu_vhu *vhu);
uint64_t vhu_now_ns(void);

/* front.c: the connection is of no use, and why; the first reason counts. -EPROTO, for the caller to return. */
__attribute__((format(printf, 2, 3))) int vhu_fail(struct viommu_vhu *vhu, const char *format, ...);
/* A line for the operator. */
__attribute__((format(printf, 2, 3))) void vhu_log(struct viommu_vhu *vhu, const char *format, ...);

/* answer.c: what comes in over the socket */
void vhu_receive(struct viommu_vhu *vhu);

/* script.c */
void vhu_begin_script(struct viommu_vhu *vhu, const struct vhu_script *script);
/* Go on until an answer is awaited or there is nothing left to do. */
void vhu_proceed(struct viommu_vhu *vhu);
int vhu_script_answer(struct viommu_vhu *vhu, struct channel_message *message);
/* Add a copy of a descriptor. */
int vhu_attach_fd(struct viommu_vhu *vhu, struct channel_message *message, int fd);

/* negotiate.c */
extern const struct vhu_script vhu_negotiation;
bool vhu_has(const struct viommu_vhu *vhu, unsigned protocol_feature);

/* device.c */
/* What is to be done next, or NULL. */
const struct vhu_script *vhu_next_script(struct viommu_vhu *vhu);
/* The connection is gone. */
void vhu_note_loss(struct viommu_vhu *vhu);
/* It has kept an invalidation waiting for too long, and is about to be cut off. */
void vhu_note_late(struct viommu_vhu *vhu);
/* Tell that it has stopped. */
void vhu_finish_stop(struct viommu_vhu *vhu);

/* rings.c */
extern const struct vhu_script vhu_start_script, vhu_stop_script, vhu_enable_script;
bool vhu_enable_differs(const struct viommu_vhu *vhu, unsigned ring);
/* Where the rings go on, as they say themselves. False: one cannot be read. *idle: nothing was under way. */
bool vhu_read_bases(struct viommu_vhu *vhu, bool *idle);

/* space.c: the configuration space */
extern const struct vhu_script vhu_read_space, vhu_write_space;
int vhu_fill_space(struct viommu_vhu *vhu, struct channel_message *message);
int vhu_got_space(struct viommu_vhu *vhu, struct channel_message *message);

/* memory.c */
extern const struct vhu_script vhu_memory_script;
/* Is there other memory than this back end was told of? */
bool vhu_memory_differs(const struct viommu_vhu *vhu);
int vhu_fill_memory(struct viommu_vhu *vhu, struct channel_message *message);

/* shared.c: the table that the back end reads instead of asking */
bool vhu_wants_table(const struct viommu_vhu *vhu);
int vhu_fill_table(struct viommu_vhu *vhu, struct channel_message *message);
int vhu_got_table(struct viommu_vhu *vhu, struct channel_message *message);
/* See who has left it. */
void vhu_serve_table(struct viommu_vhu *vhu);
/* The connection is gone, or the back end does not want it. */
void vhu_drop_table(struct viommu_vhu *vhu);

/* iotlb.c */
extern const struct viommu_client_ops vhu_client_ops;
int vhu_iotlb_answer(struct viommu_vhu *vhu, const struct vhu_pending *pending, uint64_t status);
/*
 * A miss or an access that was blocked; `access` has been checked. 0: answered; 1: there is no such translation;
 * -EAGAIN: it is `deferred`.
 */
int vhu_iotlb_miss(struct viommu_vhu *vhu, const struct vhu_iotlb *miss);
void vhu_iotlb_blocked(struct viommu_vhu *vhu, const struct vhu_iotlb *blocked);

/*
 * As if the back end had asked, but what is not mapped is no fault. 0; -EAGAIN: try again; -ECANCELED: no DMA now.
 * *told: what it covers.
 */
int vhu_tell(struct viommu_vhu *vhu, uint64_t iova, struct range *told);

/* retell.c: of the rings, after invalidations */
void vhu_note_parts(struct viommu_vhu *vhu);
void vhu_forget_parts(struct viommu_vhu *vhu);
/* Something of this range is not known to the back end any more. */
void vhu_retell_locked(struct viommu_vhu *vhu, struct range range) REQUIRES(vhu->lock);
void vhu_retell(struct viommu_vhu *vhu);

/* request.c: what the back end asks */
int vhu_fill_requests_fd(struct viommu_vhu *vhu, struct channel_message *message);
void vhu_serve_requests(struct viommu_vhu *vhu);
void vhu_close_requests(struct viommu_vhu *vhu);

#endif
