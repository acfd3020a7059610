/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-iommu (virtio 1.2, section 5.13): the transport over the library's model. Requests are served by who hears
 * of them: the vCPU that notifies, before it enters the guest again, or the I/O thread, which polls the queue where
 * that pays. What cannot be complete at once is the I/O thread's.
 */
#include "vmm/virtio/iommu.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/log.h"

/* A vCPU serves so many batches, then it is the guest's again: the other vCPUs may fill the queue for ever. */
enum { CLASS_IOMMU = 0x080600, TURNS = 4 };

static uint64_t iommu_features(struct virtio_dev *dev)
{
	return viommu_virtio_features(iommu_of(dev)->model);
}

static void iommu_config_read(struct virtio_dev *dev, uint32_t offset, void *buffer, uint32_t len)
{
	viommu_virtio_config_read(iommu_of(dev)->model, offset, buffer, len);
}

static void iommu_config_write(struct virtio_dev *dev, uint32_t offset, const void *buffer, uint32_t len)
{
	viommu_virtio_config_write(iommu_of(dev)->model, offset, buffer, len);
}

/* Look what is complete, and do what waited for that. True: something is left to wait for. */
static bool iommu_advance(struct virtio_iommu *iommu)
{
	int ret = viommu_virtio_poll(iommu->model);
	bool left = iommu_finish_batches(iommu);

	if (iommu->queue_reset_wanted && !left) {
		iommu->queue_reset_wanted = false;
		virtio_queue_reset_done(&iommu->dev, VIOMMU_VIRTIO_REQUESTQ);
	}
	if (iommu->reset_wanted && !left) {
		iommu->reset_wanted = false;
		iommu->resetting = true;
		viommu_virtio_reset(iommu->model, false);
		ret = viommu_virtio_poll(iommu->model);
	}
	if (iommu->resetting && ret != -EAGAIN) {
		iommu->resetting = false;
		virtio_reset_done(&iommu->dev);
	}
	return left || iommu->resetting;
}

static bool serves(const struct virtio_iommu *iommu)
{
	return iommu->dev.running && iommu->dev.queues[VIOMMU_VIRTIO_REQUESTQ].vq.enabled;
}

/* I/O thread. */
static void go_on(struct virtio_iommu *iommu)
{
	bool left = iommu_advance(iommu);

	/* Whether there is more is found out in the next round: the other devices come first. */
	if (serves(iommu) && iommu_take_batch(iommu)) {
		left |= iommu_finish_batches(iommu);
		loop_post(iommu->dev.loop, &iommu->more);
	}
	iommu->waiting = left;
	if (left)
		iommu->waits(iommu->waits_opaque);
}

static void more_cb(void *opaque)
{
	struct virtio_iommu *iommu = opaque;

	virtio_enter(&iommu->dev);
	go_on(iommu);
	virtio_leave(&iommu->dev);
}

/* True: the I/O thread has to go on with it. */
static bool serve_here(struct virtio_iommu *iommu)
{
	unsigned turns = 0;

	while (serves(iommu) && turns < TURNS && iommu_take_batch(iommu))
		turns++;
	polling_busy(&iommu->polling);
	return turns == TURNS || iommu_finish_batches(iommu);
}

/* The event queue's notifications tell of new buffers, which wait for events. */
static void iommu_doorbell(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_iommu *iommu = iommu_of(dev);

	if (queue != VIOMMU_VIRTIO_REQUESTQ)
		return;
	atomic_fetch_add_explicit(&iommu->notifications, 1, memory_order_relaxed); /* nothing depends on it */
	if (!virtio_try_enter(dev)) {
		/* Who is there may have looked at the queue before. */
		virtio_queue_signal(dev, queue);
		return;
	}
	const bool left = serve_here(iommu);

	virtio_leave(dev);
	if (left)
		loop_post(dev->loop, &iommu->more);
}

/* False where a vCPU is at it: it serves what is there. */
static bool poll_look(void *opaque)
{
	struct virtio_iommu *iommu = opaque;
	unsigned count = 0;

	if (!virtio_try_enter(&iommu->dev))
		return false;
	if (serves(iommu))
		count = iommu_take_batch(iommu);
	const bool left = count && iommu_finish_batches(iommu);

	iommu->waiting |= left;
	/* A device that has failed has nothing to find before the driver starts it again. */
	if (!iommu->dev.running) {
		iommu->polled = false;
		polling_stop(&iommu->polling);
	}
	virtio_leave(&iommu->dev);
	if (left)
		iommu->waits(iommu->waits_opaque);
	return count;
}

static bool poll_begin(void *opaque)
{
	struct virtio_iommu *iommu = opaque;

	virtio_enter(&iommu->dev);
	iommu->polled = serves(iommu);
	virtio_leave(&iommu->dev);
	return iommu->polled;
}

static bool poll_end(void *opaque)
{
	struct virtio_iommu *iommu = opaque;

	virtio_enter(&iommu->dev);
	iommu->polled = false;
	go_on(iommu);
	virtio_leave(&iommu->dev);
	return true;
}

static const struct polling_ops polling_ops = {.begin = poll_begin, .look = poll_look, .end = poll_end};

bool virtio_iommu_taken(const struct pci_dev *pci)
{
	const struct virtio_iommu *iommu =
		(const struct virtio_iommu *)((const char *)pci - offsetof(struct virtio_iommu, dev.pci));

	return atomic_load_explicit(&iommu->taken, memory_order_relaxed);
}

void virtio_iommu_progress(struct pci_dev *pci)
{
	struct virtio_iommu *iommu = iommu_of((struct virtio_dev *)((char *)pci - offsetof(struct virtio_dev, pci)));

	virtio_enter(&iommu->dev);
	if (iommu->waiting)
		go_on(iommu);
	virtio_leave(&iommu->dev);
}

void virtio_iommu_event(struct pci_dev *pci)
{
	struct virtio_iommu *iommu = iommu_of((struct virtio_dev *)((char *)pci - offsetof(struct virtio_dev, pci)));

	loop_post(iommu->dev.loop, &iommu->events);
}

static void iommu_start(struct virtio_dev *dev)
{
	struct virtio_iommu *iommu = iommu_of(dev);

	atomic_store_explicit(&iommu->taken, true, memory_order_relaxed); /* nothing else depends on it */
	viommu_virtio_set_features(iommu->model, dev->driver_features);
	polling_ready(&iommu->polling);
}

static void iommu_kick(struct virtio_dev *dev, unsigned queue)
{
	if (queue == VIOMMU_VIRTIO_REQUESTQ)
		go_on(iommu_of(dev));
}

static void iommu_reset(struct virtio_dev *dev)
{
	struct virtio_iommu *iommu = iommu_of(dev);

	polling_stop(&iommu->polling);
	iommu->polled = false;
	loop_cancel(dev->loop, &iommu->more);
	iommu->queue_reset_wanted = false;
	iommu->reset_wanted = true;
	go_on(iommu);
}

/* Requests that were taken are performed, and not given back any more. */
static void iommu_queue_reset(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_iommu *iommu = iommu_of(dev);

	if (queue == VIOMMU_VIRTIO_REQUESTQ) {
		iommu->queue_reset_wanted = true;
		go_on(iommu);
	} else {
		virtio_queue_reset_done(dev, queue);
	}
}

static void iommu_destroy(struct virtio_dev *dev)
{
	struct virtio_iommu *iommu = iommu_of(dev);

	polling_fini(&iommu->polling);
	loop_cancel(dev->loop, &iommu->more);
	loop_cancel(dev->loop, &iommu->events);
	iommu_drop_batches(iommu);
	virtio_fini(dev);
	free(iommu);
}

static const struct virtio_ops iommu_ops = {
	.device_id = VIRTIO_ID_IOMMU,
	.class_code = CLASS_IOMMU,
	.queue_size = IOMMU_BATCH,
	.features = iommu_features,
	.config_read = iommu_config_read,
	.config_write = iommu_config_write,
	.start = iommu_start,
	.kick = iommu_kick,
	.doorbell = iommu_doorbell,
	.reset = iommu_reset,
	.queue_reset = iommu_queue_reset,
	.destroy = iommu_destroy,
};

void virtio_iommu_stats_get(struct pci_dev *pci, struct request_stats *out)
{
	struct virtio_iommu *iommu = iommu_of((struct virtio_dev *)((char *)pci - offsetof(struct virtio_dev, pci)));

	virtio_enter(&iommu->dev);
	*out = iommu->stats;
	virtio_leave(&iommu->dev);
	out->notifications = atomic_load_explicit(&iommu->notifications, memory_order_relaxed);
	polling_stats_get(&iommu->polling, &out->polling);
}

int virtio_iommu_create(const struct virtio_env *env, struct viommu_virtio *model, enum polling_mode polling,
			void (*waits)(void *opaque), void *opaque, struct pci_dev **out)
{
	struct virtio_iommu *iommu = calloc(1, sizeof(*iommu));
	int ret;

	if (!iommu)
		return -ENOMEM;
	iommu->model = model;
	iommu->waits = waits;
	iommu->waits_opaque = opaque;
	iommu->events = (struct loop_work){.run = iommu_events_cb, .opaque = iommu};
	iommu->more = (struct loop_work){.run = more_cb, .opaque = iommu};
	polling_init(&iommu->polling, env->loop, polling, &polling_ops, iommu);
	ret = virtio_init(&iommu->dev, &iommu_ops, VIOMMU_VIRTIO_QUEUES, env);
	if (ret) {
		vmm_log("virtio-iommu: %s", strerror(-ret));
		free(iommu);
		return ret;
	}
	*out = &iommu->dev.pci;
	return 0;
}
