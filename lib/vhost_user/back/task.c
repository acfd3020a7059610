/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/task.h"

#include <errno.h>
#include <stdlib.h>

void vbe_tasks_init(struct vbe_tasks *tasks, struct channel *front, const struct vbe_log *log)
{
	tasks->front = front;
	tasks->log = log;
	tasks->end = &tasks->first;
}

void vbe_tasks_fini(struct vbe_tasks *tasks)
{
	while (tasks->spare_count)
		viommu_inval_destroy(tasks->spare[--tasks->spare_count]);
}

int vbe_task_create(struct vbe_tasks *tasks, const struct channel_message *message, struct vbe_task **out)
{
	struct vbe_task *task = calloc(1, sizeof(*task));

	if (!task)
		return -ENOMEM;
	task->all = tasks;
	task->reply.header.request = message->header.request;
	task->reply.header.flags = VHU_REPLY;
	*tasks->end = task;
	tasks->end = &task->next;
	tasks->count++;
	*out = task;
	return 0;
}

int vbe_task_inval(struct vbe_task *task)
{
	struct vbe_tasks *tasks = task->all;

	if (task->inval)
		return 0;
	if (tasks->spare_count) {
		task->inval = tasks->spare[--tasks->spare_count];
		return 0;
	}
	return viommu_inval_create(tasks->v, &task->inval);
}

int vbe_task_quiesce(struct vbe_task *task, struct viommu_endpoint *endpoint)
{
	int err = vbe_task_inval(task);

	return err ? err : viommu_quiesce(endpoint, task->inval);
}

void vbe_task_discard(struct vbe_task *task, struct vbe_garbage *garbage, void (*release)(struct vbe_garbage *garbage))
{
	*garbage = (struct vbe_garbage){task->garbage, release};
	task->garbage = garbage;
}

void vbe_task_answer(struct vbe_task *task, uint64_t value)
{
	task->answer = true;
	task->reply.header.size = sizeof(task->reply.u64);
	task->reply.u64 = value;
}

void vbe_task_begin(struct vbe_task *task)
{
	if (task->inval)
		viommu_inval_begin(task->inval);
}

/* The invalidation is over. One that has timed out is refused: what it took away may still be in use, and stays. */
static void finish_inval(struct vbe_task *task, int err)
{
	struct vbe_tasks *tasks = task->all;

	if (err) {
		vbe_log(tasks->log, "the device does not let go of the front end's memory");
		task->reply.u64 = 1;
		task->garbage = NULL;
	}
	if (task->invalidate)
		atomic_fetch_add_explicit(&tasks->invalidates, 1, memory_order_relaxed);
	while (task->garbage) {
		struct vbe_garbage *garbage = task->garbage;

		task->garbage = garbage->next;
		garbage->free(garbage);
	}
	if (tasks->spare_count < VBE_SPARE_INVALS)
		tasks->spare[tasks->spare_count++] = task->inval;
	else
		viommu_inval_destroy(task->inval);
	task->inval = NULL;
}

/* False: its invalidation is still pending. */
static bool task_settle(struct vbe_task *task)
{
	int err = task->inval ? viommu_inval_poll(task->inval) : 0;

	if (err == -EAGAIN)
		return false;
	if (task->inval)
		finish_inval(task, err);
	return true;
}

static int finish_first(struct vbe_tasks *tasks)
{
	struct vbe_task *task = tasks->first;
	int err = task->answer ? channel_send(tasks->front, &task->reply) : 0;

	tasks->first = task->next;
	if (!tasks->first)
		tasks->end = &tasks->first;
	tasks->count--;
	free(task);
	return err;
}

int vbe_tasks_progress(struct vbe_tasks *tasks)
{
	int err = 0;

	tasks->pending = false;
	for (struct vbe_task *task = tasks->first; task; task = task->next)
		tasks->pending |= !task_settle(task);
	while (!err && tasks->first && !tasks->first->inval && !tasks->first->stopping)
		err = finish_first(tasks);
	return err;
}

void vbe_tasks_stopped(struct vbe_tasks *tasks, unsigned queue, uint16_t base)
{
	for (struct vbe_task *task = tasks->first; task; task = task->next) {
		if (!(task->stopping >> queue & 1))
			continue;
		task->stopping &= ~(1ull << queue);
		if (task->reply.header.request == VHU_GET_VRING_BASE)
			task->reply.state.num = base;
	}
}

void vbe_tasks_drop(struct vbe_tasks *tasks)
{
	while (tasks->first) {
		/* The embedder uses nothing any more; should it all the same, the deadline ends this. */
		if (tasks->first->inval)
			finish_inval(tasks->first, viommu__inval_settle(tasks->first->inval));
		tasks->first->answer = false;
		finish_first(tasks);
	}
}
