/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The queues as the front end sets them up ("Ring states"): a ring is started by SET_VRING_KICK and stopped by
 * GET_VRING_BASE; it runs while it is enabled, too. What is set while it runs stops it and starts it anew. Nothing that
 * the embedder knows of a ring outlives that.
 *
 * queue.c: when a queue runs; queue_event.c: the eventfds that it has; queue_message.c: what is set.
 */
#ifndef LIB_VHOST_USER_BACK_QUEUE_H
#define LIB_VHOST_USER_BACK_QUEUE_H

#include <viommu/vhost_user_back.h>

#include "lib/util/lines.h"
#include "lib/util/lock.h"
#include "lib/vhost_user/back/memory.h"
#include "lib/vhost_user/back/negotiate.h"
#include "lib/vhost_user/back/task.h"

enum vbe_queue_state { VBE_IDLE, VBE_RUNNING, VBE_STOPPING };

/* Lines of its own: the threads of different queues interrupt at the same time. */
struct vbe_queue {
	LINE_ALIGNED enum vbe_queue_state state;
	bool kicked;  /* SET_VRING_KICK came: the ring is started */
	bool enabled; /* by SET_VRING_ENABLE */
	bool placed;  /* SET_VRING_ADDR came */
	bool changed; /* to be started anew */
	bool broken;  /* the embedder could not start it; until something changes */
	uint16_t size, base;
	struct vhu_vring_addr addr;
	int kick, running_kick; /* what is to be used, and what the embedder uses; -1: none */
	struct lock lock;
	int call GUARDED_BY(lock), err GUARDED_BY(lock);
	bool untold GUARDED_BY(lock); /* interrupted while there was no `call` */
};

/* The serving thread's, but for what a queue's lock guards. */
struct vbe_queues {
	const struct viommu_backend_config *config;
	const struct vbe_negotiated *negotiated;
	const struct vbe_memory *memory;
	const struct vbe_log *log;
	struct vbe_tasks *tasks;
	struct reaper_account *account;
	struct vbe_queue queue[VIOMMU_BACKEND_QUEUES];
};

/* queue.c. The pointers are the owner's to set. -ENOMEM. */
int vbe_queues_init(struct vbe_queues *queues);
/* All of them stop, and lose their descriptors. */
void vbe_queues_stop(struct vbe_queues *queues);
void vbe_queues_fini(struct vbe_queues *queues);
/* True while a queue runs, or has not stopped yet. */
bool vbe_queues_run(const struct vbe_queues *queues);
/* Start it or stop it, as its state says it should be. */
void vbe_queue_refresh(struct vbe_queues *queues, unsigned index);
void vbe_queues_refresh(struct vbe_queues *queues);
/* Begin it anew if it runs. */
void vbe_queue_change(struct vbe_queues *queues, unsigned index);
void vbe_queues_change(struct vbe_queues *queues);
/* As viommu_backend_stopped(). */
void vbe_queue_stopped(struct vbe_queues *queues, unsigned index, uint16_t base);
/* The answer waits until the queue has stopped, unless it has. */
void vbe_queue_await(struct vbe_queues *queues, unsigned index, struct vbe_task *task);
/* As at the beginning of the connection. */
void vbe_queues_reset(struct vbe_queues *queues, struct vbe_task *task);

/* queue_event.c. The queue's from here on; -1: none. */
void vbe_queue_set_kick(struct vbe_queues *queues, unsigned index, int fd);
void vbe_queue_set_call(struct vbe_queues *queues, unsigned index, int fd);
void vbe_queue_set_err(struct vbe_queues *queues, unsigned index, int fd);
/* As viommu_backend_interrupt() and viommu_backend_error(). Any thread. */
void vbe_queue_interrupt(struct vbe_queues *queues, unsigned index);
void vbe_queue_error(struct vbe_queues *queues, unsigned index);

/* queue_message.c: messages that set a queue, and those that give it an eventfd. Errors: the message is refused. */
int vbe_queue_message(struct vbe_queues *queues, const struct channel_message *message, struct vbe_task *task);
int vbe_queue_event_message(struct vbe_queues *queues, struct channel_message *message);

#endif
