/* SPDX-License-Identifier: BSD-2-Clause */
/* The eventfds of a queue: set, replaced, signalled. */
#include <viommu/event.h>

#include "lib/vhost_user/back/queue.h"
#include "lib/vhost_user/wire/reaper.h"

/* What the embedder still uses is closed when the queue has stopped. */
void vbe_queue_set_kick(struct vbe_queues *queues, unsigned index, int fd)
{
	struct vbe_queue *queue = &queues->queue[index];

	if (queue->kick >= 0 && queue->kick != queue->running_kick)
		reaper_close(queues->account, queue->kick);
	queue->kick = fd;
}

/* What the driver should have been told meanwhile it is told now. */
void vbe_queue_set_call(struct vbe_queues *queues, unsigned index, int fd)
{
	struct vbe_queue *queue = &queues->queue[index];

	lock_take(&queue->lock);
	if (queue->call >= 0)
		reaper_close(queues->account, queue->call);
	queue->call = fd;
	if (fd >= 0 && queue->untold) {
		queue->untold = false;
		viommu_event_signal(fd);
	}
	lock_drop(&queue->lock);
}

void vbe_queue_set_err(struct vbe_queues *queues, unsigned index, int fd)
{
	struct vbe_queue *queue = &queues->queue[index];

	lock_take(&queue->lock);
	if (queue->err >= 0)
		reaper_close(queues->account, queue->err);
	queue->err = fd;
	lock_drop(&queue->lock);
}

void vbe_queue_interrupt(struct vbe_queues *queues, unsigned index)
{
	struct vbe_queue *queue = &queues->queue[index];

	lock_take(&queue->lock);
	if (queue->call >= 0)
		viommu_event_signal(queue->call);
	else
		queue->untold = true;
	lock_drop(&queue->lock);
}

void vbe_queue_error(struct vbe_queues *queues, unsigned index)
{
	struct vbe_queue *queue = &queues->queue[index];

	lock_take(&queue->lock);
	if (queue->err >= 0)
		viommu_event_signal(queue->err);
	lock_drop(&queue->lock);
}
