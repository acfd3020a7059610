/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The queues as the front end sets them up ("Ring states"): a ring is started by SET_VRING_KICK and stopped by
 * GET_VRING_BASE; it runs while it is enabled, too. What is set while it runs stops it and starts it anew. Nothing that
 * the embedder knows of a ring outlives that.
 */
#include <errno.h>
#include <string.h>

#include <viommu/event.h>

#include "lib/vhost_user/back/eventfd.h"
#include "lib/vhost_user/back/internal.h"
#include "lib/vhost_user/wire/reaper.h"

#define ACCESS_PLATFORM (1ull << 33)
#define PROTOCOL (1ull << VHU_F_PROTOCOL_FEATURES)

bool vbe_queues_run(const struct viommu_backend *backend)
{
	for (unsigned i = 0; i < backend->config.queues; i++)
		if (backend->queues[i].state != VBE_IDLE)
			return true;
	return false;
}

void vbe_queue_init(struct vbe_queue *queue)
{
	*queue = (struct vbe_queue){.kick = -1, .running_kick = -1, .call = -1, .err = -1};
}

/* A ring address of the front end: in its own address space, where there is no IOMMU. False: it is nowhere. */
static bool place(const struct viommu_backend *backend, uint64_t address, uint64_t size, struct viommu_iova *out)
{
	uint64_t gpa, len;

	out->value = address;
	if (backend->features & ACCESS_PLATFORM)
		return address <= UINT64_MAX - size;
	if (!vbe_memory_find(backend, address, &gpa, &len) || len < size)
		return false;
	out->value = gpa;
	return true;
}

static bool describe(const struct viommu_backend *backend, const struct vbe_queue *queue,
		     struct viommu_backend_ring *ring)
{
	uint64_t size = queue->size;

	*ring = (struct viommu_backend_ring){.size = queue->size, .base = queue->base, .kick_fd = queue->kick};
	return place(backend, queue->addr.desc, vhu_desc_bytes(size), &ring->desc) &&
	       place(backend, queue->addr.avail, vhu_avail_bytes(size), &ring->avail) &&
	       place(backend, queue->addr.used, vhu_used_bytes(size), &ring->used);
}

static bool wanted(const struct viommu_backend *backend, const struct vbe_queue *queue)
{
	return queue->kicked && queue->placed && queue->size && !queue->broken && backend->has_features &&
	       (queue->enabled || !(backend->features & PROTOCOL));
}

static void start(struct viommu_backend *backend, unsigned index)
{
	struct vbe_queue *queue = &backend->queues[index];
	struct viommu_backend_ring ring;
	int err = describe(backend, queue, &ring) ? 0 : -EFAULT;

	queue->changed = false;
	queue->state = VBE_RUNNING;
	queue->running_kick = queue->kick;
	if (!err)
		err = backend->config.ops->start(backend->config.opaque, index, &ring);
	if (!err)
		return;
	queue->state = VBE_IDLE;
	queue->running_kick = -1;
	queue->broken = true;
	vbe_log(&backend->log, "queue %u cannot start: %s", index,
		err == -EFAULT ? "its ring is not in memory" : strerror(-err));
	viommu_backend_error(backend, index);
}

void vbe_queue_refresh(struct viommu_backend *backend, unsigned index)
{
	struct vbe_queue *queue = &backend->queues[index];

	if (queue->state == VBE_RUNNING && (queue->changed || !wanted(backend, queue))) {
		queue->state = VBE_STOPPING;
		backend->config.ops->stop(backend->config.opaque, index);
	} else if (queue->state == VBE_IDLE && wanted(backend, queue)) {
		start(backend, index);
	}
}

void vbe_queue_change(struct viommu_backend *backend, unsigned index)
{
	backend->queues[index].changed = true;
	backend->queues[index].broken = false;
	vbe_queue_refresh(backend, index);
}

void vbe_queues_change(struct viommu_backend *backend)
{
	for (unsigned i = 0; i < backend->config.queues; i++)
		vbe_queue_change(backend, i);
}

void viommu_backend_stopped(struct viommu_backend *backend, unsigned index, uint16_t base)
{
	struct vbe_queue *queue = &backend->queues[index];

	if (queue->state != VBE_STOPPING)
		return;
	queue->state = VBE_IDLE;
	queue->base = base;
	if (queue->running_kick != queue->kick)
		reaper_close(backend->account, queue->running_kick);
	queue->running_kick = -1;
	vbe_tasks_stopped(&backend->tasks, index, backend->queues[index].base);
	vbe_queue_refresh(backend, index);
}

/* The answer waits until the queue has stopped, unless it has. */
static void await_stop(struct viommu_backend *backend, unsigned index, struct vbe_task *task)
{
	if (backend->queues[index].state == VBE_STOPPING)
		task->stopping |= 1ull << index;
	else
		vbe_tasks_stopped(&backend->tasks, index, backend->queues[index].base);
}

static void set_kick(const struct viommu_backend *backend, struct vbe_queue *queue, int fd)
{
	if (queue->kick >= 0 && queue->kick != queue->running_kick)
		reaper_close(backend->account, queue->kick);
	queue->kick = fd;
}

static void get_base(struct viommu_backend *backend, unsigned index, struct vbe_task *task)
{
	struct vbe_queue *queue = &backend->queues[index];

	task->answer = true;
	task->reply.header.size = sizeof(task->reply.state);
	task->reply.state.index = index;
	task->stopping |= 1ull << index;
	set_kick(backend, queue, -1);
	queue->kicked = false;
	vbe_queue_refresh(backend, index);
	if (queue->state != VBE_STOPPING)
		vbe_tasks_stopped(&backend->tasks, index, backend->queues[index].base);
}

static int set_size(struct viommu_backend *backend, unsigned index, uint32_t size)
{
	if (!size || size > backend->config.queue_size || size & (size - 1))
		return -EINVAL;
	backend->queues[index].size = (uint16_t)size;
	vbe_queue_change(backend, index);
	return 0;
}

static int set_base(struct viommu_backend *backend, unsigned index, uint32_t base)
{
	if (base > UINT16_MAX)
		return -EINVAL;
	if (backend->queues[index].state != VBE_IDLE)
		return -EBUSY;
	backend->queues[index].base = (uint16_t)base;
	return 0;
}

/* The sections of virtio 1.2 that say so: 2.7.5, 2.7.6, 2.7.8. */
static bool aligned(const struct vhu_vring_addr *addr)
{
	return !(addr->desc % 16 || addr->avail % 2 || addr->used % 4);
}

static int set_addr(struct viommu_backend *backend, const struct vhu_vring_addr *addr)
{
	struct vbe_queue *queue = &backend->queues[addr->index];

	if (!aligned(addr))
		return -EINVAL;
	/* What is said of the log is nothing new to us (log.c). */
	if (queue->placed && !queue->broken && queue->addr.desc == addr->desc && queue->addr.avail == addr->avail &&
	    queue->addr.used == addr->used)
		return 0;
	queue->addr = *addr;
	queue->placed = true;
	vbe_queue_change(backend, addr->index);
	return queue->broken ? -EFAULT : 0;
}

static int enable(struct viommu_backend *backend, unsigned index, uint32_t on, struct vbe_task *task)
{
	if (on > 1)
		return -EINVAL;
	backend->queues[index].enabled = on;
	vbe_queue_refresh(backend, index);
	if (!on)
		await_stop(backend, index, task);
	return 0;
}

int vbe_queue_message(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	/* The index comes first in both kinds of payload. */
	const struct vhu_vring_state state = message->state;

	if (state.index >= backend->config.queues)
		return -EINVAL;
	switch (message->header.request) {
	case VHU_SET_VRING_NUM:
		return set_size(backend, state.index, state.num);
	case VHU_SET_VRING_ADDR:
		return set_addr(backend, &message->addr);
	case VHU_SET_VRING_BASE:
		return set_base(backend, state.index, state.num);
	case VHU_GET_VRING_BASE:
		get_base(backend, state.index, task);
		return 0;
	case VHU_SET_VRING_ENABLE:
		return enable(backend, state.index, state.num, task);
	}
	return -EINVAL;
}

static void set_fd(const struct viommu_backend *backend, int *to, int fd)
{
	if (*to >= 0)
		reaper_close(backend->account, *to);
	*to = fd;
}

/* The descriptor of a message that has one, unless its bit says that it has none. */
static int take_fd(struct channel_message *message, int *fd)
{
	bool none = message->u64 & VHU_VRING_NO_FD;

	*fd = -1;
	if (message->fd_count != !none)
		return -EPROTO;
	if (none)
		return 0;
	int err = vbe_eventfd_accept(message->fds[0]);

	if (err)
		return err;
	*fd = message->fds[0];
	message->fd_count = 0;
	return 0;
}

/* What the driver should have been told meanwhile it is told now. */
static void set_call(struct viommu_backend *backend, struct vbe_queue *queue, int fd)
{
	lock_take(&backend->lock);
	set_fd(backend, &queue->call, fd);
	if (fd >= 0 && queue->untold) {
		queue->untold = false;
		viommu_event_signal(fd);
	}
	lock_drop(&backend->lock);
}

static int set_event(struct viommu_backend *backend, unsigned index, uint32_t request, int fd)
{
	struct vbe_queue *queue = &backend->queues[index];

	switch (request) {
	case VHU_SET_VRING_KICK:
		set_kick(backend, queue, fd);
		queue->kicked = true;
		vbe_queue_change(backend, index);
		return queue->broken ? -EFAULT : 0;
	case VHU_SET_VRING_CALL:
		set_call(backend, queue, fd);
		return 0;
	default:
		lock_take(&backend->lock);
		set_fd(backend, &queue->err, fd);
		lock_drop(&backend->lock);
		return 0;
	}
}

int vbe_queue_fd(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	unsigned index = message->u64 & VHU_VRING_INDEX_MASK;
	int fd, err;

	(void)task;
	if (message->u64 & ~(uint64_t)(VHU_VRING_INDEX_MASK | VHU_VRING_NO_FD) || index >= backend->config.queues)
		return -EINVAL;
	err = take_fd(message, &fd);
	return err ? err : set_event(backend, index, message->header.request, fd);
}

void viommu_backend_interrupt(struct viommu_backend *backend, unsigned index)
{
	struct vbe_queue *queue = &backend->queues[index];

	lock_take(&backend->lock);
	if (queue->call >= 0)
		viommu_event_signal(queue->call);
	else
		queue->untold = true;
	lock_drop(&backend->lock);
}

void viommu_backend_error(struct viommu_backend *backend, unsigned queue)
{
	lock_take(&backend->lock);
	if (backend->queues[queue].err >= 0)
		viommu_event_signal(backend->queues[queue].err);
	lock_drop(&backend->lock);
}

static void reset(struct viommu_backend *backend, unsigned index)
{
	struct vbe_queue *queue = &backend->queues[index];

	set_kick(backend, queue, -1);
	queue->kicked = queue->enabled = queue->placed = false;
	vbe_queue_refresh(backend, index);
	queue->base = 0;
}

void vbe_queues_reset(struct viommu_backend *backend, struct vbe_task *task)
{
	for (unsigned i = 0; i < backend->config.queues; i++) {
		reset(backend, i);
		await_stop(backend, i, task);
	}
}

void vbe_queues_fini(struct viommu_backend *backend)
{
	for (unsigned i = 0; i < VIOMMU_BACKEND_QUEUES; i++) {
		struct vbe_queue *queue = &backend->queues[i];

		reset(backend, i);
		set_fd(backend, &queue->call, -1);
		set_fd(backend, &queue->err, -1);
	}
}
