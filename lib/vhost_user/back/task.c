/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages whose answer waits: for an invalidation, for queues that stop. Others are read meanwhile, but answers keep
 * the order of the messages, for that is all that tells a front end which is which.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "lib/vhost_user/back/internal.h"

int vbe_task_create(struct viommu_backend *backend, const struct channel_message *message, struct vbe_task **out)
{
	struct vbe_task *task = calloc(1, sizeof(*task));

	if (!task)
		return -ENOMEM;
	task->reply.header.request = message->header.request;
	task->reply.header.flags = VHU_REPLY;
	*backend->tasks_end = task;
	backend->tasks_end = &task->next;
	backend->task_count++;
	*out = task;
	return 0;
}

int vbe_task_inval(struct viommu_backend *backend, struct vbe_task *task)
{
	if (task->inval)
		return 0;
	if (backend->spare_count) {
		task->inval = backend->spare[--backend->spare_count];
		return 0;
	}
	return viommu_inval_create(backend->v, &task->inval);
}

void vbe_task_begin(struct viommu_backend *backend, struct vbe_task *task)
{
	(void)backend;
	if (task->inval)
		viommu_inval_begin(task->inval);
}

static void unmap_all(struct vbe_task *task)
{
	while (task->gone) {
		struct vbe_region *next = task->gone->next;

		vbe_memory_unmap(task->gone);
		free(task->gone);
		task->gone = next;
	}
}

static void count(struct viommu_backend *backend, const struct vbe_task *task)
{
	if (!task->invalidate)
		return;
	lock_take(&backend->lock);
	backend->stats.invalidates++;
	lock_drop(&backend->lock);
}

/*
 * Is the invalidation over? One that has timed out is refused: what it took away may still be in use, and stays mapped.
 */
static bool settle(struct viommu_backend *backend, struct vbe_task *task)
{
	int err;

	if (!task->inval)
		return true;
	err = viommu_inval_poll(task->inval);
	if (err == -EAGAIN)
		return false;
	if (err) {
		vbe_log(backend, "the device does not let go of the front end's memory");
		task->reply.u64 = 1;
		task->gone = NULL;
		task->gone_view = NULL;
		task->gone_log = NULL;
	}
	count(backend, task);
	unmap_all(task);
	viommu_shared_view_close(task->gone_view);
	vbe_log_close(task->gone_log);
	task->gone_view = NULL;
	task->gone_log = NULL;
	if (backend->spare_count < VBE_SPARE_INVALS)
		backend->spare[backend->spare_count++] = task->inval;
	else
		viommu_inval_destroy(task->inval);
	task->inval = NULL;
	return true;
}

static int finish_first(struct viommu_backend *backend)
{
	struct vbe_task *task = backend->tasks;
	int err = task->answer ? channel_send(&backend->front, &task->reply) : 0;

	backend->tasks = task->next;
	if (!backend->tasks)
		backend->tasks_end = &backend->tasks;
	backend->task_count--;
	free(task);
	return err;
}

int vbe_tasks_progress(struct viommu_backend *backend)
{
	bool pending = false;
	int err = 0;

	for (struct vbe_task *task = backend->tasks; task; task = task->next)
		pending |= !settle(backend, task);
	/* Relaxed: only a hint, see viommu_backend_end(). */
	atomic_store_explicit(&backend->pending, pending, memory_order_relaxed);
	while (!err && backend->tasks && !backend->tasks->inval && !backend->tasks->stopping)
		err = finish_first(backend);
	return err;
}

void vbe_tasks_stopped(struct viommu_backend *backend, unsigned queue)
{
	for (struct vbe_task *task = backend->tasks; task; task = task->next) {
		if (!(task->stopping >> queue & 1))
			continue;
		task->stopping &= ~(1ull << queue);
		if (task->reply.header.request == VHU_GET_VRING_BASE)
			task->reply.state.num = backend->queues[queue].base;
	}
}

void vbe_tasks_drop(struct viommu_backend *backend)
{
	while (backend->tasks) {
		struct vbe_task *task = backend->tasks;

		/* The embedder uses nothing any more; should it all the same, the deadline ends this. */
		while (!settle(backend, task))
			sched_yield();
		task->answer = false;
		finish_first(backend);
	}
}
