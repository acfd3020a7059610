/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport of a virtio-iommu (virtio 1.2, section 5.13): requests go to the model in batches, all that wait at a
 * time, so that one invalidation serves many of them. While a batch is pending others are taken, up to a limit, and
 * what is complete of a batch is given back before the rest is: an unmap that waits for a device holds up no map.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/log.h"
#include "vmm/virtio/virtio.h"

/* Spans of a whole batch. A chain has at most VQ_MAX_SEGMENTS, each in few pieces: one always fits. */
enum { CLASS_IOMMU = 0x080600, BATCH = 256, BATCH_SPANS = 2048, EVENT_BURST = 64 };

struct batch {
	bool pending; /* the model has it */
	unsigned count, spans_used;
	bool held;
	struct viommu_hold hold;
	uint16_t heads[BATCH];
	bool given[BATCH]; /* back to the driver */
	unsigned given_count;
	struct viommu_virtio_request requests[BATCH];
	struct viommu_span spans[BATCH_SPANS];
	struct iovec iov[BATCH_SPANS];
};

struct virtio_iommu {
	struct virtio_dev dev;
	struct viommu_virtio *model;
	bool reset_wanted;       /* as soon as nothing is pending */
	bool queue_reset_wanted; /* likewise, of the request queue alone */
	bool resetting;          /* the model does it now */
	bool waiting;            /* for devices to let go of memory, in a batch or a reset */
	bool taken;              /* a driver has been there */
	struct loop_work events; /* faults wait in the model */
	struct loop_work more;   /* chains wait in the ring */
	void (*waits)(void *opaque);
	void *waits_opaque;
	struct vq_chain chain; /* the one at hand */
	struct batch batches[VIOMMU_VIRTIO_BATCHES];
};

static struct virtio_iommu *iommu_of(struct virtio_dev *dev)
{
	return (struct virtio_iommu *)((char *)dev - offsetof(struct virtio_iommu, dev));
}

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

/* Add one part of the chain to the batch. 0; -E2BIG: no room left; or an error of the translation. */
static int iommu_add_part(struct virtio_iommu *iommu, struct batch *batch, struct viommu_section *section,
			  bool writable, const struct iovec **iov, size_t *iov_count)
{
	uint64_t len = writable ? iommu->chain.writable_bytes : iommu->chain.readable_bytes;
	struct viommu_span *spans = batch->spans + batch->spans_used;
	struct iovec *to = batch->iov + batch->spans_used;
	int count = vq_translate(section, &iommu->chain, writable, 0, len, spans, BATCH_SPANS - batch->spans_used);

	if (count < 0)
		return count;
	for (int i = 0; i < count; i++)
		to[i] = (struct iovec){spans[i].host, spans[i].len};
	batch->spans_used += (unsigned)count;
	*iov = to;
	*iov_count = (size_t)count;
	return 0;
}

static int add_request(struct virtio_iommu *iommu, struct batch *batch, struct viommu_section *section)
{
	struct viommu_virtio_request *request = &batch->requests[batch->count];
	unsigned spans_used = batch->spans_used;
	int ret;

	*request = (struct viommu_virtio_request){0};
	ret = iommu_add_part(iommu, batch, section, false, &request->in, &request->in_count);
	if (!ret)
		ret = iommu_add_part(iommu, batch, section, true, &request->out, &request->out_count);
	if (ret) {
		batch->spans_used = spans_used;
		return ret;
	}
	batch->given[batch->count] = false;
	batch->heads[batch->count++] = iommu->chain.head;
	return 0;
}

/* Everything that waits, as far as there is room. 0 or an error of the ring or of a buffer. */
static int iommu_collect(struct virtio_iommu *iommu, struct batch *batch, struct viommu_section *section)
{
	struct vq *vq = &iommu->dev.queues[VIOMMU_VIRTIO_REQUESTQ].vq;
	/* As long as batches follow each other, a notification tells us nothing. */
	int ret = vq_ask_kicks(vq, section, false);

	batch->count = batch->spans_used = batch->given_count = 0;
	while (!ret && batch->count < vq->size) {
		ret = vq_pop(vq, section, &iommu->chain);
		if (ret <= 0)
			break;
		ret = add_request(iommu, batch, section);
		if (!ret)
			continue;
		vq_unpop(vq);
		/* Full: the rest comes with the next batch. */
		if (ret == -E2BIG && batch->count)
			ret = 0;
		break;
	}
	if (batch->count) {
		viommu_dma_hold(section, &batch->hold, batch->spans, batch->spans_used);
		batch->held = true;
	}
	return ret;
}

/*
 * Give back what is complete and was not yet: its answers are in the buffers. 1: with an interrupt; 0; or an error of
 * the ring.
 */
static int push_complete(struct virtio_iommu *iommu, struct batch *batch, struct viommu_section *section)
{
	struct vq *vq = &iommu->dev.queues[VIOMMU_VIRTIO_REQUESTQ].vq;
	int ret = 0;

	for (unsigned i = 0; i < batch->count && !ret; i++) {
		if (batch->given[i] || !batch->requests[i].complete)
			continue;
		batch->given[i] = true;
		ret = vq_push(vq, section, batch->heads[i], batch->requests[i].written);
	}
	return ret ? ret : vq_wants_interrupt(vq, section);
}

static void drop_batch(struct batch *batch)
{
	if (batch->held)
		viommu_dma_release(&batch->hold);
	batch->held = batch->pending = false;
	batch->count = 0;
}

static void give_back(struct virtio_iommu *iommu, struct batch *batch)
{
	struct viommu_section section;
	int ret = 0;

	if (iommu->dev.running && iommu->dev.queues[VIOMMU_VIRTIO_REQUESTQ].vq.enabled) {
		ret = virtio_dma_begin(&iommu->dev, &section);
		if (!ret) {
			ret = push_complete(iommu, batch, &section);
			viommu_dma_end(&section);
		}
	}
	if (ret > 0)
		virtio_interrupt_queue(&iommu->dev, VIOMMU_VIRTIO_REQUESTQ);
	else if (ret < 0)
		virtio_fail(&iommu->dev, "requests cannot be given back");
}

static void finish_batch(struct virtio_iommu *iommu, struct batch *batch)
{
	unsigned complete = 0;

	for (unsigned i = 0; i < batch->count; i++)
		complete += batch->requests[i].complete;
	if (complete > batch->given_count)
		give_back(iommu, batch);
	batch->given_count = complete;
	if (complete == batch->count)
		drop_batch(batch);
}

/* Give back what is complete. True: something is left that is not. */
static bool finish_complete(struct virtio_iommu *iommu)
{
	bool left = false;

	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++) {
		struct batch *batch = &iommu->batches[i];

		if (batch->pending)
			finish_batch(iommu, batch);
		left |= batch->pending;
	}
	return left;
}

/* Look what is complete, and do what waited for that. True: something is left to wait for. */
static bool iommu_advance(struct virtio_iommu *iommu)
{
	int ret = viommu_virtio_poll(iommu->model);
	bool left = finish_complete(iommu);

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

/* Take a batch to the model. True: it waits there. */
static bool iommu_serve(struct virtio_iommu *iommu)
{
	struct viommu_section section;
	struct batch *batch = NULL;
	int ret;

	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES && !batch; i++)
		if (!iommu->batches[i].pending)
			batch = &iommu->batches[i];
	if (!batch || virtio_dma_begin(&iommu->dev, &section))
		return false;
	ret = iommu_collect(iommu, batch, &section);
	if (!ret && !batch->count) {
		ret = vq_idle(&iommu->dev.queues[VIOMMU_VIRTIO_REQUESTQ].vq, &section);
		if (ret > 0)
			loop_post(iommu->dev.loop, &iommu->more);
	}
	viommu_dma_end(&section);
	/* What came before the broken place is served; the next round starts with it. */
	if (ret < 0 && !batch->count)
		virtio_fail(&iommu->dev, "the request queue is broken");
	if (!batch->count)
		return false;
	batch->pending = true;
	viommu_virtio_submit(iommu->model, batch->requests, batch->count);
	/* Whether there is more is found out in the next round: the other devices come first. */
	loop_post(iommu->dev.loop, &iommu->more);
	return finish_complete(iommu);
}

static void iommu_go_on(struct virtio_iommu *iommu)
{
	bool left = iommu_advance(iommu);

	if (iommu->dev.running && iommu->dev.queues[VIOMMU_VIRTIO_REQUESTQ].vq.enabled)
		left |= iommu_serve(iommu);
	iommu->waiting = left;
	if (left)
		iommu->waits(iommu->waits_opaque);
}

static void more_cb(void *opaque)
{
	iommu_go_on(opaque);
}

bool virtio_iommu_taken(const struct pci_dev *pci)
{
	return ((const struct virtio_iommu *)((const char *)pci - offsetof(struct virtio_iommu, dev.pci)))->taken;
}

void virtio_iommu_progress(struct pci_dev *pci)
{
	struct virtio_iommu *iommu = iommu_of((struct virtio_dev *)((char *)pci - offsetof(struct virtio_dev, pci)));

	if (iommu->waiting)
		iommu_go_on(iommu);
}

/* One event into one buffer. 1; 0: there is no event; -ENOBUFS: no buffer for one; or an error of the ring. */
static int iommu_deliver(struct virtio_iommu *iommu, struct viommu_section *section)
{
	struct vq *vq = &iommu->dev.queues[VIOMMU_VIRTIO_EVENTQ].vq;
	uint8_t event[VIOMMU_VIRTIO_EVENT_SIZE];
	uint32_t written = VIOMMU_VIRTIO_EVENT_SIZE;
	int ret = vq_pop(vq, section, &iommu->chain);

	if (ret <= 0)
		return ret ? ret : -ENOBUFS;
	if (viommu_virtio_event(iommu->model, event, sizeof(event))) {
		vq_unpop(vq);
		return 0;
	}
	if (vq_copy_out(section, &iommu->chain, 0, event, VIOMMU_VIRTIO_EVENT_SIZE))
		written = 0;
	ret = vq_push(vq, section, iommu->chain.head, written);
	return ret ? ret : 1;
}

/* Give what the model has, and drop what the driver has no buffer for: it would be stale when one comes. */
static int deliver_all(struct virtio_iommu *iommu, struct viommu_section *section)
{
	unsigned i = 0;
	int ret = 1;

	while (ret > 0 && i < EVENT_BURST) {
		ret = iommu_deliver(iommu, section);
		i += ret > 0;
	}
	if (i == EVENT_BURST)
		loop_post(iommu->dev.loop, &iommu->events);
	if (ret == -ENOBUFS) {
		viommu_virtio_events_drop(iommu->model);
		ret = 0;
	}
	return ret < 0 ? ret : vq_wants_interrupt(&iommu->dev.queues[VIOMMU_VIRTIO_EVENTQ].vq, section);
}

static void events_cb(void *opaque)
{
	struct virtio_iommu *iommu = opaque;
	struct viommu_section section;
	int ret;

	if (!iommu->dev.running || !iommu->dev.queues[VIOMMU_VIRTIO_EVENTQ].vq.enabled ||
	    virtio_dma_begin(&iommu->dev, &section)) {
		viommu_virtio_events_drop(iommu->model);
		return;
	}
	ret = deliver_all(iommu, &section);
	viommu_dma_end(&section);
	if (ret > 0)
		virtio_interrupt_queue(&iommu->dev, VIOMMU_VIRTIO_EVENTQ);
	else if (ret < 0)
		virtio_fail(&iommu->dev, "the event queue is broken");
}

void virtio_iommu_event(struct pci_dev *pci)
{
	struct virtio_iommu *iommu = iommu_of((struct virtio_dev *)((char *)pci - offsetof(struct virtio_dev, pci)));

	loop_post(iommu->dev.loop, &iommu->events);
}

static void iommu_start(struct virtio_dev *dev)
{
	iommu_of(dev)->taken = true;
	viommu_virtio_set_features(iommu_of(dev)->model, dev->driver_features);
}

/* The event queue's kicks tell of new buffers, which wait for events. */
static void iommu_kick(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_iommu *iommu = iommu_of(dev);

	if (queue == VIOMMU_VIRTIO_REQUESTQ)
		iommu_go_on(iommu);
}

static void iommu_reset(struct virtio_dev *dev)
{
	struct virtio_iommu *iommu = iommu_of(dev);

	loop_cancel(dev->loop, &iommu->more);
	iommu->queue_reset_wanted = false;
	iommu->reset_wanted = true;
	iommu_go_on(iommu);
}

/* Requests that were taken are performed, and not given back any more. */
static void iommu_queue_reset(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_iommu *iommu = iommu_of(dev);

	if (queue == VIOMMU_VIRTIO_REQUESTQ) {
		iommu->queue_reset_wanted = true;
		iommu_go_on(iommu);
	} else {
		virtio_queue_reset_done(dev, queue);
	}
}

static void iommu_destroy(struct virtio_dev *dev)
{
	struct virtio_iommu *iommu = iommu_of(dev);

	loop_cancel(dev->loop, &iommu->more);
	loop_cancel(dev->loop, &iommu->events);
	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++)
		drop_batch(&iommu->batches[i]);
	virtio_fini(dev);
	free(iommu);
}

static const struct virtio_ops iommu_ops = {
	.device_id = VIRTIO_ID_IOMMU,
	.class_code = CLASS_IOMMU,
	.queue_size = BATCH,
	.features = iommu_features,
	.config_read = iommu_config_read,
	.config_write = iommu_config_write,
	.start = iommu_start,
	.kick = iommu_kick,
	.reset = iommu_reset,
	.queue_reset = iommu_queue_reset,
	.destroy = iommu_destroy,
};

int virtio_iommu_create(const struct virtio_env *env, struct viommu_virtio *model, void (*waits)(void *opaque),
			void *opaque, struct pci_dev **out)
{
	struct virtio_iommu *iommu = calloc(1, sizeof(*iommu));
	int ret;

	if (!iommu)
		return -ENOMEM;
	iommu->model = model;
	iommu->waits = waits;
	iommu->waits_opaque = opaque;
	iommu->events = (struct loop_work){.run = events_cb, .opaque = iommu};
	iommu->more = (struct loop_work){.run = more_cb, .opaque = iommu};
	ret = virtio_init(&iommu->dev, &iommu_ops, VIOMMU_VIRTIO_QUEUES, env);
	if (ret) {
		vmm_log("virtio-iommu: %s", strerror(-ret));
		free(iommu);
		return ret;
	}
	*out = &iommu->dev.pci;
	return 0;
}
