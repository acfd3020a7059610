/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a vhost-user back end: backend.c its life, message.c the protocol, task.c what is answered later,
 * memory.c the front end's memory, iotlb.c what it says of translations, miss.c what it is asked, ring.c the queues,
 * log.c what was written, peer.c what outlives the connection.
 *
 * The device IOTLB is a walked domain (lib/core/walk.h): its tree keeps what UPDATE brought, and the walk of what is
 * not in it asks. Serving thread only, but for what `lock` guards. Lock order: viommu_backend.lock -> {channel.lock,
 * vbe_alarm.lock}. Walks and faults take it where the core holds no lock of its own.
 */
#ifndef LIB_VHOST_USER_BACK_INTERNAL_H
#define LIB_VHOST_USER_BACK_INTERNAL_H

#include <stdatomic.h>

#include <viommu/vhost_user_back.h>

#include "lib/core/internal.h"
#include "lib/vhost_user/back/alarm.h"
#include "lib/vhost_user/back/peer.h"
#include "lib/vhost_user/back/task.h"
#include "lib/vhost_user/wire/channel.h"

enum { VBE_PAGE = 4096, VBE_REGIONS = 64, VBE_MISSES = 128 };
/* Descriptors that are not closed yet: no more messages are read, and after a while the connection is over. */
enum { VBE_UNCLOSED = 64, VBE_UNCLOSED_MS = 1000 };

struct vbe_burst;
struct vbe_dirty_log;

/* A piece of the front end's memory. Addresses are its own, closed ranges. */
struct vbe_region {
	struct range gpa, user;
	uint64_t mmap_offset;
	void *map; /* all of the mapping; the region begins at an offset in it */
	size_t map_size;
};

/* An address that the front end was asked for. */
struct vbe_miss {
	struct range iova; /* what is wanted; the front end is asked for the first address */
	unsigned access;
	bool used, sent;
	enum viommu_fault_reason failed; /* or 0: waiting */
	uint64_t until_ns;               /* waiting: when it has failed; failed: when that is forgotten */
	uint64_t sequence;               /* of the message, among those that are replied to */
};

enum vbe_queue_state { VBE_IDLE, VBE_RUNNING, VBE_STOPPING };

struct vbe_queue {
	enum vbe_queue_state state;
	bool kicked;  /* SET_VRING_KICK came: the ring is started */
	bool enabled; /* by SET_VRING_ENABLE */
	bool placed;  /* SET_VRING_ADDR came */
	bool changed; /* to be started anew */
	bool broken;  /* the embedder could not start it; until something changes */
	uint16_t size, base;
	struct vhu_vring_addr addr;
	int kick, running_kick; /* what is to be used, and what the embedder uses; -1: none */
	int call, err;          /* viommu_backend.lock */
	bool untold;            /* likewise: interrupted while there was no `call` */
};

struct viommu_backend {
	struct viommu_backend_config config;
	struct viommu_backend_peer *peer;
	bool own_peer; /* nobody else's */
	struct vbe_log log;
	struct viommu *v;
	struct viommu_endpoint *endpoint;
	struct viommu_domain *domain;
	struct reaper_account *account; /* the peer's */
	uint64_t stalled_ns;            /* too many descriptors are not closed since then; 0: they are few */
	struct channel front;
	struct vbe_alarm alarm;
	int epoll_fd, wake_fd;
	uint32_t front_events;
	uint64_t features, protocol_features; /* protocol_features: written with the lock held, too */
	bool has_features;
	uint8_t status;
	bool said_refused;
	struct vbe_region regions[VBE_REGIONS];
	unsigned region_count;
	struct vbe_tasks tasks;
	bool retry; /* misses were answered, or failed */
	struct vbe_queue queues[VIOMMU_BACKEND_QUEUES];
	/*
	 * The front end's shared table, or NULL. It changes while no queue runs; the old one is closed when nobody is
	 * inside any more.
	 */
	struct viommu_shared_view *_Atomic view;
	/* The front end's dirty log, or NULL; it is used while log_all is on. */
	struct vbe_dirty_log *_Atomic dirty_log;
	_Atomic bool log_all;

	struct lock lock;
	struct channel back GUARDED_BY(lock); /* misses, faults; while has_back */
	bool has_back GUARDED_BY(lock), back_out GUARDED_BY(lock);
	uint64_t asked GUARDED_BY(lock), answered GUARDED_BY(lock); /* messages that are replied to, and replies */
	struct vbe_miss misses[VBE_MISSES] GUARDED_BY(lock);
	unsigned miss_count GUARDED_BY(lock);
	bool short_answers GUARDED_BY(lock);   /* the front end answers with less than is wanted: ask for each page */
	uint64_t told_second GUARDED_BY(lock); /* faults that the front end was told of in this second */
	unsigned told GUARDED_BY(lock);
	struct viommu_backend_stats stats GUARDED_BY(lock);
	struct vbe_burst *bursts GUARDED_BY(lock); /* that nobody uses */
	int log_event GUARDED_BY(lock);            /* to be signalled when the log has changed; -1: none */
};

/* message.c: do what a message says. Errors end the connection. */
int vbe_message(struct viommu_backend *backend, struct channel_message *message);

/* memory.c. Errors: the message is refused. */
int vbe_memory_set(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_memory_add(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_memory_remove(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
/* Where the front end's address lies in guest memory, and how far that goes on. False: nowhere. */
bool vbe_memory_find(const struct viommu_backend *backend, uint64_t user, uint64_t *gpa, uint64_t *len);

/* iotlb.c */
int vbe_iotlb(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
/* Forget every translation. -ENOMEM. */
int vbe_iotlb_clear(struct viommu_backend *backend, struct vbe_task *task);

/* miss.c */
extern const struct walk_ops vbe_walk_ops;
void vbe_fault(void *opaque, const struct viommu_fault *fault);
/* An UPDATE with these rights came. */
void vbe_miss_update(struct viommu_backend *backend, struct range iova, unsigned access);
/* An UPDATE came that cannot be taken: who waits for it waits no longer. */
void vbe_miss_refuse(struct viommu_backend *backend, struct range iova);
/* A connection for messages of ours; it becomes the back end's. -errno. */
int vbe_back_set(struct viommu_backend *backend, int fd);
/* Replies, and what could not be sent. -errno: the channel is of no use. */
int vbe_back_serve(struct viommu_backend *backend);
/* Which misses have failed by now? */
void vbe_miss_expire(struct viommu_backend *backend);

/* shared.c: the front end's shared table */
int vbe_shared_set(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
/* What it says of an address. */
bool vbe_shared_find(struct viommu_backend *backend, uint64_t iova, unsigned access, struct walk_result *result);
/* A burst begins or ends; -EAGAIN: the table has no place for it. */
int vbe_shared_enter(struct viommu_backend *backend, const struct viommu_section *section);
void vbe_shared_leave(struct viommu_backend *backend, const struct viommu_section *section);

/*
 * log.c: messages; features that differ in the log's bit only; a burst begins (-ENOMEM) and ends; all of it
 * ends
 */
int vbe_log_base(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_log_event(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_log_switch(struct viommu_backend *backend, uint64_t features, struct vbe_task *task);
int vbe_log_enter(struct viommu_backend *backend, struct viommu_section *section);
void vbe_log_leave(struct viommu_backend *backend, struct viommu_section *section);
void vbe_log_fini(struct viommu_backend *backend);

/* ring.c */
/* Does a queue run, or has not stopped yet? */
bool vbe_queues_run(const struct viommu_backend *backend);
void vbe_queue_init(struct vbe_queue *queue);
/* Start it or stop it, as its state says it should be. */
void vbe_queue_refresh(struct viommu_backend *backend, unsigned queue);
/* Begin it anew if it runs. */
void vbe_queue_change(struct viommu_backend *backend, unsigned queue);
void vbe_queues_change(struct viommu_backend *backend);
int vbe_queue_message(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_queue_fd(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
/* As at the beginning of the connection. */
void vbe_queues_reset(struct viommu_backend *backend, struct vbe_task *task);
void vbe_queues_fini(struct viommu_backend *backend);

#endif
