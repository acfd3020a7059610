/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/isolate/isolate.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viommu/event.h>

/*
 * A queue's pool of 2 MiB holds its buffers even where each takes a page, and the shadow queue has descriptors for
 * their segments.
 */
enum { POOL_PAGES = 512, SHADOW_SIZE = 512 };

/* One queue between the guest and the back end. */
struct isolation_queue {
	struct isolation *all;
	unsigned index;
	struct shadow shadow;
	int kick_fd, call_fd;
	struct loop_watch call_watch;
	struct loop_work work; /* goes on with a long burst */
};

struct isolation {
	struct virtio_dev *dev;
	struct bounce bounce;
	void (*broken)(struct virtio_dev *dev);
	unsigned count;
	struct isolation_queue queues[];
};

/* Do what a step of the engine asks for (SHADOW_...), or what follows from its error. */
static void isolate_act(struct isolation_queue *queue, int result)
{
	struct virtio_dev *dev = queue->all->dev;

	if (result == -EPROTO) {
		queue->all->broken(dev);
		return;
	}
	if (result < 0) {
		virtio_fail(dev, "a queue is broken");
		return;
	}
	if (result & SHADOW_KICK)
		viommu_event_signal(queue->kick_fd);
	if (result & SHADOW_INTERRUPT)
		virtio_interrupt_queue(dev, queue->index);
	if (result & SHADOW_MORE)
		loop_post(dev->loop, &queue->work);
}

typedef int (*step)(struct shadow *shadow, struct vq *vq, struct viommu_section *section);

/*
 * Take a step of the engine in a section. While the device may do no DMA there is nothing to be done: the guest's kicks
 * come again when it may, and what the back end has used waits for them. Only shadow_restart() works without a section,
 * since the next back end begins with new rings all the same.
 */
static int isolate_run(struct isolation_queue *queue, step what)
{
	struct virtio_dev *dev = queue->all->dev;
	struct vq *vq = &dev->queues[queue->index].vq;
	struct viommu_section section;
	int result;

	if (!dev->running || !vq->enabled || virtio_dma_begin(dev, &section))
		return what == shadow_restart ? shadow_restart(&queue->shadow, vq, NULL) : 0;
	result = what(&queue->shadow, vq, &section);
	viommu_dma_end(&section);
	return result;
}

static void isolate_pump(struct isolation_queue *queue)
{
	int result = isolate_run(queue, shadow_give);

	isolate_act(queue, result);
	if (result >= 0)
		isolate_act(queue, isolate_run(queue, shadow_take));
}

static void isolate_work_cb(void *opaque)
{
	isolate_pump(opaque);
}

static void isolate_call_cb(void *opaque, uint32_t events)
{
	struct isolation_queue *queue = opaque;

	(void)events;
	if (!viommu_event_take(queue->call_fd))
		isolate_pump(queue);
}

void isolation_kick(struct isolation *isolate, unsigned queue)
{
	if (queue < isolate->count)
		isolate_pump(&isolate->queues[queue]);
}

void isolation_started(struct isolation *isolate)
{
	for (unsigned i = 0; i < isolate->count; i++) {
		isolate_pump(&isolate->queues[i]);
		viommu_event_signal(isolate->queues[i].kick_fd);
	}
}

void isolation_lost(struct isolation *isolate)
{
	for (unsigned i = 0; i < isolate->count; i++)
		isolate_act(&isolate->queues[i], isolate_run(&isolate->queues[i], shadow_restart));
}

void isolation_reset(struct isolation *isolate)
{
	for (unsigned i = 0; i < isolate->count; i++) {
		loop_cancel(isolate->dev->loop, &isolate->queues[i].work);
		shadow_reset(&isolate->queues[i].shadow);
	}
}

struct viommu_vhu_region isolation_region(const struct isolation *isolate)
{
	struct bounce_region region = bounce_region(&isolate->bounce);

	return (struct viommu_vhu_region){{region.gpa}, region.size, isolate->bounce.host, region.fd, 0};
}

void isolation_ring(const struct isolation *isolate, unsigned queue, struct viommu_vhu_ring *out)
{
	struct bounce_queue at = bounce_queue(&isolate->bounce, queue);

	out->size = isolate->bounce.queue_size;
	out->desc.value = BOUNCE_BASE + at.desc;
	out->driver.value = BOUNCE_BASE + at.avail;
	out->device.value = BOUNCE_BASE + at.used;
	out->base = 0;
	out->kick = isolate->queues[queue].kick_fd;
	out->call = isolate->queues[queue].call_fd;
}

static int init_queue(struct isolation *isolate, unsigned index, const struct shadow_config *config)
{
	struct isolation_queue *queue = &isolate->queues[index];
	int err;

	*queue = (struct isolation_queue){.all = isolate, .index = index, .kick_fd = -1, .call_fd = -1};
	queue->work = (struct loop_work){.run = isolate_work_cb, .opaque = queue};
	queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = queue->kick_fd < 0 || queue->call_fd < 0 ? -errno : 0;
	if (err)
		goto err_fds;
	err = shadow_init(&queue->shadow, &isolate->bounce, index, config);
	if (err)
		goto err_fds;
	queue->call_watch = (struct loop_watch){.fd = queue->call_fd, .ready = isolate_call_cb, .opaque = queue};
	err = loop_add(isolate->dev->loop, &queue->call_watch, EPOLLIN);
	if (!err)
		return 0;
	shadow_fini(&queue->shadow);
err_fds:
	if (queue->kick_fd >= 0)
		close(queue->kick_fd);
	if (queue->call_fd >= 0)
		close(queue->call_fd);
	return err;
}

static void fini_queue(struct isolation_queue *queue)
{
	struct loop *loop = queue->all->dev->loop;

	loop_cancel(loop, &queue->work);
	loop_remove(loop, &queue->call_watch);
	shadow_fini(&queue->shadow);
	close(queue->kick_fd);
	close(queue->call_fd);
}

int isolation_create(struct virtio_dev *dev, unsigned count, const struct shadow_config *shadow,
		     void (*broken)(struct virtio_dev *dev), struct isolation **out)
{
	struct isolation *isolate = calloc(1, sizeof(*isolate) + count * sizeof(isolate->queues[0]));
	int err;

	if (!isolate)
		return -ENOMEM;
	isolate->dev = dev;
	isolate->broken = broken;
	err = bounce_init(&isolate->bounce, count, SHADOW_SIZE, POOL_PAGES);
	if (err) {
		free(isolate);
		return err;
	}
	for (; isolate->count < count; isolate->count++) {
		err = init_queue(isolate, isolate->count, shadow);
		if (err) {
			isolation_destroy(isolate);
			return err;
		}
	}
	*out = isolate;
	return 0;
}

void isolation_destroy(struct isolation *isolate)
{
	if (!isolate)
		return;
	while (isolate->count)
		fini_queue(&isolate->queues[--isolate->count]);
	bounce_fini(&isolate->bounce);
	free(isolate);
}
