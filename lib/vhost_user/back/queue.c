/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/queue.h"

#include <errno.h>
#include <string.h>

#include "lib/vhost_user/wire/reaper.h"

#define PROTOCOL (1ull << VHU_F_PROTOCOL_FEATURES)

int vbe_queues_init(struct vbe_queues *queues) NO_OTHER_THREAD
{
	for (unsigned i = 0; i < VIOMMU_BACKEND_QUEUES; i++) {
		const int err = lock_init(&queues->queue[i].lock);

		if (err) {
			while (i--)
				lock_fini(&queues->queue[i].lock);
			return err;
		}
		queues->queue[i].kick = queues->queue[i].running_kick = -1;
		queues->queue[i].call = queues->queue[i].err = -1;
	}
	return 0;
}

void vbe_queues_fini(struct vbe_queues *queues)
{
	for (unsigned i = 0; i < VIOMMU_BACKEND_QUEUES; i++)
		lock_fini(&queues->queue[i].lock);
}

bool vbe_queues_run(const struct vbe_queues *queues)
{
	for (unsigned i = 0; i < queues->config->queues; i++)
		if (queues->queue[i].state != VBE_IDLE)
			return true;
	return false;
}

/* A ring address of the front end: in its own address space, where there is no IOMMU. False: it is nowhere. */
static bool queue_place(const struct vbe_queues *queues, uint64_t address, uint64_t size, struct viommu_iova *out)
{
	uint64_t gpa, len;

	out->value = address;
	if (queues->negotiated->features & VBE_F_ACCESS_PLATFORM)
		return address <= UINT64_MAX - size;
	if (!vbe_memory_find(queues->memory, address, &gpa, &len) || len < size)
		return false;
	out->value = gpa;
	return true;
}

/* -EFAULT: it is not in memory. */
static int queue_describe(const struct vbe_queues *queues, const struct vbe_queue *queue,
			  struct viommu_backend_ring *ring)
{
	const struct vhu_vring_addr *addr = &queue->addr;
	uint64_t size = queue->size;

	*ring = (struct viommu_backend_ring){.size = queue->size, .base = queue->base, .kick_fd = queue->kick};
	if (!queue_place(queues, addr->desc, vhu_desc_bytes(size), &ring->desc) ||
	    !queue_place(queues, addr->avail, vhu_avail_bytes(size), &ring->avail) ||
	    !queue_place(queues, addr->used, vhu_used_bytes(size), &ring->used))
		return -EFAULT;
	return 0;
}

static void queue_start(struct vbe_queues *queues, unsigned index)
{
	struct vbe_queue *queue = &queues->queue[index];
	struct viommu_backend_ring ring;
	int err = queue_describe(queues, queue, &ring);

	queue->changed = false;
	queue->state = VBE_RUNNING;
	queue->running_kick = queue->kick;
	if (!err)
		err = queues->config->ops->start(queues->config->opaque, index, &ring);
	if (!err)
		return;
	queue->state = VBE_IDLE;
	queue->running_kick = -1;
	queue->broken = true;
	vbe_log(queues->log, "queue %u cannot start: %s", index,
		err == -EFAULT ? "its ring is not in memory" : strerror(-err));
	vbe_queue_error(queues, index);
}

static bool queue_wanted(const struct vbe_queues *queues, const struct vbe_queue *queue)
{
	return queue->kicked && queue->placed && queue->size && !queue->broken && queues->negotiated->complete &&
	       (queue->enabled || !(queues->negotiated->features & PROTOCOL));
}

void vbe_queue_refresh(struct vbe_queues *queues, unsigned index)
{
	struct vbe_queue *queue = &queues->queue[index];

	if (queue->state == VBE_RUNNING && (queue->changed || !queue_wanted(queues, queue))) {
		queue->state = VBE_STOPPING;
		queues->config->ops->stop(queues->config->opaque, index);
	} else if (queue->state == VBE_IDLE && queue_wanted(queues, queue)) {
		queue_start(queues, index);
	}
}

void vbe_queues_refresh(struct vbe_queues *queues)
{
	for (unsigned i = 0; i < queues->config->queues; i++)
		vbe_queue_refresh(queues, i);
}

void vbe_queue_change(struct vbe_queues *queues, unsigned index)
{
	queues->queue[index].changed = true;
	queues->queue[index].broken = false;
	vbe_queue_refresh(queues, index);
}

void vbe_queues_change(struct vbe_queues *queues)
{
	for (unsigned i = 0; i < queues->config->queues; i++)
		vbe_queue_change(queues, i);
}

void vbe_queue_stopped(struct vbe_queues *queues, unsigned index, uint16_t base)
{
	struct vbe_queue *queue = &queues->queue[index];

	if (queue->state != VBE_STOPPING)
		return;
	queue->state = VBE_IDLE;
	queue->base = base;
	if (queue->running_kick != queue->kick)
		reaper_close(queues->account, queue->running_kick);
	queue->running_kick = -1;
	vbe_tasks_stopped(queues->tasks, index, base);
	vbe_queue_refresh(queues, index);
}

void vbe_queue_await(struct vbe_queues *queues, unsigned index, struct vbe_task *task)
{
	task->stopping |= 1ull << index;
	if (queues->queue[index].state != VBE_STOPPING)
		vbe_tasks_stopped(queues->tasks, index, queues->queue[index].base);
}

static void queue_reset(struct vbe_queues *queues, unsigned index)
{
	struct vbe_queue *queue = &queues->queue[index];

	vbe_queue_set_kick(queues, index, -1);
	queue->kicked = queue->enabled = queue->placed = false;
	vbe_queue_refresh(queues, index);
	queue->base = 0;
}

void vbe_queues_reset(struct vbe_queues *queues, struct vbe_task *task)
{
	for (unsigned i = 0; i < queues->config->queues; i++) {
		queue_reset(queues, i);
		vbe_queue_await(queues, i, task);
	}
}

void vbe_queues_stop(struct vbe_queues *queues)
{
	for (unsigned i = 0; i < VIOMMU_BACKEND_QUEUES; i++) {
		queue_reset(queues, i);
		vbe_queue_set_call(queues, i, -1);
		vbe_queue_set_err(queues, i, -1);
	}
}
