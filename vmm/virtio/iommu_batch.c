/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of a virtio-iommu on their way to the model and back: all that wait at a time go together, so that one
 * invalidation serves many of them. While a batch is pending others are taken, up to a limit, and what is complete of a
 * batch is given back before the rest is: an unmap that waits for a device holds up no map.
 */
#include <errno.h>

#include "vmm/virtio/iommu.h"

static struct vq *request_queue(struct virtio_iommu *iommu)
{
	return &iommu->dev.queues[VIOMMU_VIRTIO_REQUESTQ].vq;
}

/* Add one part of the chain to the batch. 0; -E2BIG: no room left; or an error of the translation. */
static int add_part(struct virtio_iommu *iommu, struct iommu_batch *batch, struct viommu_section *section,
		    bool writable, const struct iovec **iov, size_t *iov_count)
{
	uint64_t len = writable ? iommu->chain.writable_bytes : iommu->chain.readable_bytes;
	struct viommu_span *spans = batch->spans + batch->spans_used;
	struct iovec *to = batch->iov + batch->spans_used;
	int count =
		vq_translate(section, &iommu->chain, writable, 0, len, spans, IOMMU_BATCH_SPANS - batch->spans_used);

	if (count < 0)
		return count;
	for (int i = 0; i < count; i++)
		to[i] = (struct iovec){spans[i].host, spans[i].len};
	batch->spans_used += (unsigned)count;
	*iov = to;
	*iov_count = (size_t)count;
	return 0;
}

static int add_request(struct virtio_iommu *iommu, struct iommu_batch *batch, struct viommu_section *section)
{
	struct viommu_virtio_request *request = &batch->requests[batch->count];
	unsigned spans_used = batch->spans_used;
	int ret;

	*request = (struct viommu_virtio_request){0};
	ret = add_part(iommu, batch, section, false, &request->in, &request->in_count);
	if (!ret)
		ret = add_part(iommu, batch, section, true, &request->out, &request->out_count);
	if (ret) {
		batch->spans_used = spans_used;
		return ret;
	}
	batch->given[batch->count] = false;
	batch->heads[batch->count++] = iommu->chain.head;
	return 0;
}

/* Everything that waits, as far as there is room. 0 or an error of the ring or of a buffer. */
static int collect(struct virtio_iommu *iommu, struct iommu_batch *batch, struct viommu_section *section)
{
	struct vq *vq = request_queue(iommu);
	/* As long as batches follow each other, a notification tells us nothing. */
	int ret = vq_ask_kicks(vq, section, false);

	batch->count = batch->spans_used = batch->given_count = 0;
	if (!ret)
		ret = vq_waiting(vq, section);
	for (int left = ret; left > 0; left--) {
		ret = vq_take(vq, section, &iommu->chain);
		if (ret)
			break;
		ret = add_request(iommu, batch, section);
		if (!ret)
			continue;
		vq_unpop(vq);
		/* Full: the rest comes with the next batch. */
		return ret == -E2BIG && batch->count ? 0 : ret;
	}
	return ret < 0 ? ret : 0;
}

/*
 * Give back what is complete and was not yet: its answers are in the buffers. 1: with an interrupt; 0; or an error of
 * the ring.
 */
static int push_complete(struct virtio_iommu *iommu, struct iommu_batch *batch, struct viommu_section *section)
{
	struct vq_used used[IOMMU_BATCH];
	unsigned count = 0;

	for (unsigned i = 0; i < batch->count; i++) {
		if (batch->given[i] || !batch->requests[i].complete)
			continue;
		batch->given[i] = true;
		used[count++] = (struct vq_used){batch->heads[i], batch->requests[i].written};
	}
	int ret = vq_push_all(request_queue(iommu), section, used, count);

	return ret ? ret : vq_wants_interrupt(request_queue(iommu), section);
}

static void let_go(struct iommu_batch *batch)
{
	if (batch->held)
		viommu_dma_release(&batch->hold);
	batch->held = false;
}

static void drop_batch(struct iommu_batch *batch)
{
	let_go(batch);
	batch->pending = false;
	batch->count = 0;
}

void iommu_drop_batches(struct virtio_iommu *iommu)
{
	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++)
		drop_batch(&iommu->batches[i]);
}

/* What push_complete() says, outside of its section. */
static void answer(struct virtio_iommu *iommu, int given)
{
	if (given > 0)
		virtio_interrupt_queue(&iommu->dev, VIOMMU_VIRTIO_REQUESTQ);
	else if (given < 0)
		virtio_fail(&iommu->dev, "requests cannot be given back");
}

/* False: the ring cannot be reached now, as bus mastering is off. All queues are kicked when it can. */
static bool give_back(struct virtio_iommu *iommu, struct iommu_batch *batch)
{
	struct viommu_section section;
	int ret;

	if (!iommu->dev.running || !request_queue(iommu)->enabled)
		return true;
	if (virtio_dma_begin(&iommu->dev, &section))
		return false;
	ret = push_complete(iommu, batch, &section);
	viommu_dma_end(&section);
	answer(iommu, ret);
	return true;
}

static unsigned count_complete(const struct iommu_batch *batch)
{
	unsigned complete = 0;

	for (unsigned i = 0; i < batch->count; i++)
		complete += batch->requests[i].complete;
	return complete;
}

static void finish_batch(struct virtio_iommu *iommu, struct iommu_batch *batch)
{
	const unsigned complete = count_complete(batch);

	/* What is complete is in memory, and the device has nothing more under way, whether it can say so or not. */
	if (complete == batch->count)
		let_go(batch);
	if (complete > batch->given_count && !give_back(iommu, batch))
		return;
	batch->given_count = complete;
	if (complete == batch->count)
		drop_batch(batch);
}

bool iommu_finish_batches(struct virtio_iommu *iommu)
{
	bool left = false;

	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++) {
		struct iommu_batch *batch = &iommu->batches[i];

		if (batch->pending)
			finish_batch(iommu, batch);
		left |= batch->pending;
	}
	return left;
}

/*
 * To the model, in the section in which the buffers were found: most requests are complete at once, and go back in it,
 * too. The buffers of others are held beyond it. As push_complete().
 */
static int submit(struct virtio_iommu *iommu, struct iommu_batch *batch, struct viommu_section *section)
{
	int ret = 0;

	iommu->stats.batches++;
	iommu->stats.requests += batch->count;
	viommu_virtio_submit(iommu->model, batch->requests, batch->count);
	batch->given_count = count_complete(batch);
	if (batch->given_count)
		ret = push_complete(iommu, batch, section);
	batch->pending = batch->given_count < batch->count;
	if (batch->pending) {
		viommu_dma_hold(section, &batch->hold, batch->spans, batch->spans_used);
		batch->held = true;
	}
	return ret;
}

static struct iommu_batch *free_batch(struct virtio_iommu *iommu)
{
	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++)
		if (!iommu->batches[i].pending)
			return &iommu->batches[i];
	return NULL;
}

unsigned iommu_take_batch(struct virtio_iommu *iommu)
{
	struct iommu_batch *batch = free_batch(iommu);
	struct viommu_section section;
	int ret, given = 0;

	if (!batch || virtio_dma_begin(&iommu->dev, &section))
		return 0;
	ret = collect(iommu, batch, &section);
	if (batch->count)
		given = submit(iommu, batch, &section);
	else if (!ret && !iommu->polled)
		ret = vq_idle(request_queue(iommu), &section);
	viommu_dma_end(&section);
	/* What came before the broken place is served; the next batch starts with it. */
	if (ret < 0 && !batch->count)
		virtio_fail(&iommu->dev, "the request queue is broken");
	else if (ret > 0)
		loop_post(iommu->dev.loop, &iommu->more);
	answer(iommu, given);
	return batch->count;
}
