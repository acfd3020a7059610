/* SPDX-License-Identifier: BSD-2-Clause */
/* The data of disk requests, moved step by step with io_uring. */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/layout/layout.h"
#include "vmm/util/log.h"
#include "vmm/virtio/blk.h"

void blk_io_finish(struct virtio_blk *blk, struct blk_request *request, uint8_t status)
{
	request->status = status;
	request->next = blk->finished;
	blk->finished = request;
}

/* There is an entry for this beside each request's own. */
static void blk_io_cancel_one(struct blk_request *request)
{
	struct io_uring_sqe *sqe = request->cancelled ? NULL : io_uring_get_sqe(&request->blk->ring);

	if (!sqe)
		return;
	request->cancelled = true;
	io_uring_prep_cancel(sqe, request, 0);
	io_uring_sqe_set_data(sqe, NULL);
	loop_post(request->blk->env.loop, &request->blk->submit_work);
}

/*
 * The guest takes away memory that this request uses, and has waited for long. What the kernel cannot cancel goes on;
 * then the endpoint fails at the deadline.
 */
static void cancel_cb(void *opaque)
{
	static struct log_limit limit;
	struct virtio_blk *blk = opaque;
	unsigned count = 0;

	for (unsigned i = 0; i < BLK_REQUESTS; i++) {
		struct blk_request *request = &blk->requests[i];

		if (!atomic_exchange(&request->in_the_way, false) || !request->held)
			continue;
		blk_io_cancel_one(request);
		count++;
	}
	if (count && vmm_log_may(&limit))
		vmm_log("%s: %u requests keep an unmap waiting, and are to be ended", blk->dev.pci.name, count);
}

/* Invalidations are polled by any thread, vCPUs' among them; the ring is the I/O thread's. */
static void cancel_hold(struct viommu_hold *hold)
{
	struct blk_request *request = (struct blk_request *)((char *)hold - offsetof(struct blk_request, hold));

	atomic_store(&request->in_the_way, true);
	loop_post(request->blk->env.loop, &request->blk->cancel_work);
}

/* Pieces for the next step: as many as there is room for. 0 or an error of the translation. */
static int prepare_data(struct viommu_section *section, struct blk_request *request)
{
	uint64_t translated;
	int count = vq_translate_part(section, &request->chain, request->to_guest, request->chain_start + request->done,
				      request->len - request->done, request->spans, BLK_STEP_SPANS, &translated);

	if (count < 0)
		return count;
	for (int i = 0; i < count; i++)
		request->iov[i] = (struct iovec){request->spans[i].host, request->spans[i].len};
	atomic_store_explicit(&request->in_the_way, false, memory_order_relaxed); /* that was about the step before */
	request->hold = (struct viommu_hold){.cancel = cancel_hold};
	viommu_dma_hold(section, &request->hold, request->spans, (size_t)count);
	request->held = true;
	return count;
}

void blk_io_step(struct virtio_blk *blk, struct viommu_section *section, struct blk_request *request)
{
	uint64_t offset = request->file_start + request->done;
	struct io_uring_sqe *sqe;
	int count = 0;

	if (!request->flush && request->done == request->len) {
		blk_io_finish(blk, request, VIRTIO_BLK_S_OK);
		return;
	}
	if (!request->flush)
		count = prepare_data(section, request);
	if (count < 0) {
		blk_io_finish(blk, request, VIRTIO_BLK_S_IOERR);
		return;
	}
	/* There are two entries for each request: this and its cancellation. */
	sqe = io_uring_get_sqe(&blk->ring);
	if (request->flush)
		io_uring_prep_fsync(sqe, blk->image.fd, IORING_FSYNC_DATASYNC);
	else if (request->to_guest)
		io_uring_prep_readv(sqe, blk->image.fd, request->iov, (unsigned)count, offset);
	else
		io_uring_prep_writev2(sqe, blk->image.fd, request->iov, (unsigned)count, offset, blk->write_flags);
	if (blk->image.may_wait)
		io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	io_uring_sqe_set_data(sqe, request);
	request->in_kernel = true;
	blk->in_flight++;
}

void blk_io_submit(struct virtio_blk *blk)
{
	/* Entries that the kernel does not take now (-EAGAIN, -EBUSY) stay in the ring. */
	if (io_uring_sq_ready(&blk->ring) && io_uring_submit(&blk->ring) < 0)
		loop_post(blk->dev.loop, &blk->submit_work);
}

static void submit_cb(void *opaque)
{
	blk_io_submit(opaque);
}

/* A step is over. */
static void blk_io_release(struct blk_request *request)
{
	request->in_kernel = request->cancelled = false;
	request->blk->in_flight--;
	if (request->held)
		viommu_dma_release(&request->hold);
	request->held = false;
}

/*
 * The guest sees an error of its disk; what is wrong with the host's file only the host's operator can know, and mend.
 */
static void blk_io_log(const struct virtio_blk *blk, const struct blk_request *request, int result)
{
	static struct log_limit limit;
	const char *path = blk->image.path, *what = request->to_guest ? "reading" : "writing";
	const unsigned long long offset = request->file_start + request->done;

	if (!vmm_log_may(&limit))
		return;
	if (request->flush)
		vmm_log("disk %s: flushing: %s", path, strerror(-result));
	else if (result < 0)
		vmm_log("disk %s: %s at offset %llu: %s", path, what, offset, strerror(-result));
	else
		vmm_log("disk %s: %s at offset %llu: the file has become shorter", path, what, offset);
}

/* A step has come back. True: the request has more to do; otherwise it is finished. */
static bool blk_io_complete(struct virtio_blk *blk, struct blk_request *request, int result)
{
	const bool cancelled = request->cancelled;

	blk_io_release(request);
	if (result == -EINTR || result == -EAGAIN)
		return true;
	/* Nothing moved though there is data: the file has become shorter than the disk. */
	if (result < 0 || (!request->flush && result == 0)) {
		if (!cancelled || result != -ECANCELED)
			blk_io_log(blk, request, result);
		blk_io_finish(blk, request, VIRTIO_BLK_S_IOERR);
		return false;
	}
	if (request->flush) {
		blk_io_finish(blk, request, VIRTIO_BLK_S_OK);
		return false;
	}
	request->done += (uint64_t)result;
	return true;
}

/* Go on with requests that have more to do, or end them where the device must not any more. */
static void continue_all(struct virtio_blk *blk, struct blk_request *more)
{
	struct viommu_section section;
	bool open = more && blk->dev.running && !virtio_dma_begin(&blk->dev, &section);

	while (more) {
		struct blk_request *request = more;

		more = request->next;
		if (open && blk->dev.queues[request->queue].vq.enabled)
			blk_io_step(blk, &section, request);
		else
			blk_io_finish(blk, request, VIRTIO_BLK_S_IOERR);
	}
	if (open)
		viommu_dma_end(&section);
}

bool blk_io_reap(struct virtio_blk *blk)
{
	struct blk_request *more = NULL;
	struct io_uring_cqe *cqe;
	eventfd_t count;
	bool any = false;

	eventfd_read(blk->ring_fd, &count);
	while (!io_uring_peek_cqe(&blk->ring, &cqe)) {
		struct blk_request *request = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&blk->ring, cqe);
		if (!request) /* the answer to a cancellation */
			continue;
		any = true;
		if (!blk_io_complete(blk, request, result))
			continue;
		request->next = more;
		more = request;
	}
	continue_all(blk, more);
	return any;
}

int blk_io_init(struct virtio_blk *blk)
{
	/*
	 * The kernel's threads for requests that wait are shared by all disks of ours, and few by default: then a disk
	 * that does not answer would have them all. They are made as they are needed. An older kernel keeps its limit.
	 */
	unsigned workers[2] = {LAYOUT_BUS_DEVICES * BLK_REQUESTS, 0};
	int ret = io_uring_queue_init(2 * BLK_REQUESTS, &blk->ring, 0);

	if (ret)
		goto err_log;
	io_uring_register_iowq_max_workers(&blk->ring, workers);
	blk->submit_work = (struct loop_work){.run = submit_cb, .opaque = blk};
	blk->cancel_work = (struct loop_work){.run = cancel_cb, .opaque = blk};
	blk->ring_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (blk->ring_fd < 0) {
		ret = -errno;
		goto err_ring;
	}
	ret = io_uring_register_eventfd(&blk->ring, blk->ring_fd);
	if (ret)
		goto err_fd;
	return 0;

err_fd:
	close(blk->ring_fd);
err_ring:
	io_uring_queue_exit(&blk->ring);
err_log:
	vmm_log("disk: io_uring: %s", strerror(-ret));
	return ret;
}

void blk_io_cancel(struct virtio_blk *blk, int queue)
{
	for (unsigned i = 0; i < BLK_REQUESTS; i++)
		if (blk->requests[i].in_kernel && (queue < 0 || blk->requests[i].queue == (unsigned)queue))
			blk_io_cancel_one(&blk->requests[i]);
	blk_io_submit(blk);
}

void blk_io_drain(struct virtio_blk *blk)
{
	struct io_uring_cqe *cqe;
	eventfd_t count;

	eventfd_read(blk->ring_fd, &count);
	blk_io_submit(blk);
	while (!io_uring_peek_cqe(&blk->ring, &cqe)) {
		struct blk_request *request = io_uring_cqe_get_data(cqe);

		io_uring_cqe_seen(&blk->ring, cqe);
		if (request)
			blk_io_release(request);
	}
}

void blk_io_fini(struct virtio_blk *blk)
{
	assert(!blk->in_flight);
	loop_cancel(blk->env.loop, &blk->submit_work);
	loop_cancel(blk->env.loop, &blk->cancel_work);
	io_uring_queue_exit(&blk->ring);
	close(blk->ring_fd);
}
