/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages whose answer waits: for an invalidation, for queues that stop. Others are read meanwhile, but answers keep
 * the order of the messages, for that is all that tells a front end which is which. The serving thread's.
 */
#ifndef LIB_VHOST_USER_BACK_TASK_H
#define LIB_VHOST_USER_BACK_TASK_H

#include <stdatomic.h>

#include "lib/core/internal.h"
#include "lib/vhost_user/back/peer.h"
#include "lib/vhost_user/wire/channel.h"

enum { VBE_TASKS = 64, VBE_SPARE_INVALS = 4 };

/* What goes when nobody uses it any more; the first field of what it is part of. */
struct vbe_garbage {
	struct vbe_garbage *next;
	void (*free)(struct vbe_garbage *garbage);
};

/* What a message began, and what is answered when it is complete. */
struct vbe_task {
	struct vbe_task *next;
	struct vbe_tasks *all;
	struct viommu_inval *inval; /* begun; or NULL */
	struct vbe_garbage *garbage;
	uint64_t stopping; /* queues that are to stop first */
	bool answer;
	bool invalidate; /* it counts as one */
	struct channel_message reply;
};

struct vbe_tasks {
	struct viommu *v;
	struct channel *front;
	const struct vbe_log *log;
	struct vbe_task *first, **end;
	unsigned count;
	bool pending; /* a task waits for sections or holds */
	struct viommu_inval *spare[VBE_SPARE_INVALS];
	unsigned spare_count;
	_Atomic uint64_t invalidates; /* that were completed */
};

/* Answers go to `front`. The context comes later (v). */
void vbe_tasks_init(struct vbe_tasks *tasks, struct channel *front, const struct vbe_log *log);
/* There are none left; the context still is. */
void vbe_tasks_fini(struct vbe_tasks *tasks);

/* A task for a message. -ENOMEM. */
int vbe_task_create(struct vbe_tasks *tasks, const struct channel_message *message, struct vbe_task **out);
/* From here on what the task takes away is recorded in its invalidation. -ENOMEM. */
int vbe_task_inval(struct vbe_task *task);
/* The answer waits for the bursts that are open now, too. -ENOMEM. */
int vbe_task_quiesce(struct vbe_task *task, struct viommu_endpoint *endpoint);
/* Freed when the invalidation is complete, and never if it times out. */
void vbe_task_discard(struct vbe_task *task, struct vbe_garbage *garbage, void (*release)(struct vbe_garbage *garbage));
void vbe_task_answer(struct vbe_task *task, uint64_t value);
/* Everything is decided: begin the waiting. */
void vbe_task_begin(struct vbe_task *task);

/* See which are complete, and answer. -errno of channel_send(). */
int vbe_tasks_progress(struct vbe_tasks *tasks);
/* A queue has stopped at this entry of its ring. */
void vbe_tasks_stopped(struct vbe_tasks *tasks, unsigned queue, uint16_t base);
/* Wait for all, answer none. */
void vbe_tasks_drop(struct vbe_tasks *tasks);

#endif
