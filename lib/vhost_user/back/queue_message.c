/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages that set up, start and stop a queue, checked and performed. */
#include <errno.h>

#include "lib/vhost_user/back/eventfd.h"
#include "lib/vhost_user/back/queue.h"

static int set_size(struct vbe_queues *queues, unsigned index, uint32_t size)
{
	if (!size || size > queues->config->queue_size || size & (size - 1))
		return -EINVAL;
	queues->queue[index].size = (uint16_t)size;
	vbe_queue_change(queues, index);
	return 0;
}

static int set_base(struct vbe_queues *queues, unsigned index, uint32_t base)
{
	if (base > UINT16_MAX)
		return -EINVAL;
	if (queues->queue[index].state != VBE_IDLE)
		return -EBUSY;
	queues->queue[index].base = (uint16_t)base;
	return 0;
}

static int set_addr(struct vbe_queues *queues, const struct vhu_vring_addr *addr)
{
	struct vbe_queue *queue = &queues->queue[addr->index];

	/* The sections of virtio 1.2 that say so: 2.7.5, 2.7.6, 2.7.8. */
	if (addr->desc % 16 || addr->avail % 2 || addr->used % 4)
		return -EINVAL;
	/* What is said of the log is nothing new to us (dirty_log.h). */
	if (queue->placed && !queue->broken && queue->addr.desc == addr->desc && queue->addr.avail == addr->avail &&
	    queue->addr.used == addr->used)
		return 0;
	queue->addr = *addr;
	queue->placed = true;
	vbe_queue_change(queues, addr->index);
	return queue->broken ? -EFAULT : 0;
}

static int set_enabled(struct vbe_queues *queues, unsigned index, uint32_t on, struct vbe_task *task)
{
	if (on > 1)
		return -EINVAL;
	queues->queue[index].enabled = on;
	vbe_queue_refresh(queues, index);
	if (!on)
		vbe_queue_await(queues, index, task);
	return 0;
}

/* It stops the ring; the answer says where. */
static int get_base(struct vbe_queues *queues, unsigned index, struct vbe_task *task)
{
	task->answer = true;
	task->reply.header.size = sizeof(task->reply.state);
	task->reply.state.index = index;
	/* Before the queue can have stopped. */
	task->stopping |= 1ull << index;
	vbe_queue_set_kick(queues, index, -1);
	queues->queue[index].kicked = false;
	vbe_queue_refresh(queues, index);
	vbe_queue_await(queues, index, task);
	return 0;
}

int vbe_queue_message(struct vbe_queues *queues, const struct channel_message *message, struct vbe_task *task)
{
	/* The index comes first in both kinds of payload. */
	const struct vhu_vring_state state = message->state;

	if (state.index >= queues->config->queues)
		return -EINVAL;
	switch (message->header.request) {
	case VHU_SET_VRING_NUM:
		return set_size(queues, state.index, state.num);
	case VHU_SET_VRING_ADDR:
		return set_addr(queues, &message->addr);
	case VHU_SET_VRING_BASE:
		return set_base(queues, state.index, state.num);
	case VHU_GET_VRING_BASE:
		return get_base(queues, state.index, task);
	case VHU_SET_VRING_ENABLE:
		return set_enabled(queues, state.index, state.num, task);
	}
	return -EINVAL;
}

/* The descriptor of a message that has one, unless its bit says that it has none. */
static int take_fd(struct channel_message *message, int *fd)
{
	const bool none = message->u64 & VHU_VRING_NO_FD;
	int err;

	*fd = -1;
	if (message->fd_count != !none)
		return -EPROTO;
	if (none)
		return 0;
	err = vbe_eventfd_accept(message->fds[0]);
	if (err)
		return err;
	*fd = message->fds[0];
	message->fd_count = 0;
	return 0;
}

int vbe_queue_event_message(struct vbe_queues *queues, struct channel_message *message)
{
	const unsigned index = message->u64 & VHU_VRING_INDEX_MASK;
	int fd, err;

	if (message->u64 & ~(uint64_t)(VHU_VRING_INDEX_MASK | VHU_VRING_NO_FD) || index >= queues->config->queues)
		return -EINVAL;
	err = take_fd(message, &fd);
	if (err)
		return err;
	switch (message->header.request) {
	case VHU_SET_VRING_KICK:
		vbe_queue_set_kick(queues, index, fd);
		queues->queue[index].kicked = true;
		vbe_queue_change(queues, index);
		return queues->queue[index].broken ? -EFAULT : 0;
	case VHU_SET_VRING_CALL:
		vbe_queue_set_call(queues, index, fd);
		return 0;
	default:
		vbe_queue_set_err(queues, index, fd);
		return 0;
	}
}
