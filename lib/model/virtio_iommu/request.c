/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The request queue, section 5.13.6. All requests of a kick change the domains one after the other; then one
 * invalidation waits for what they took away, and only then does the driver get those back that took something away;
 * the others it gets back at once. Meanwhile the next kick's may begin.
 */
#include <errno.h>
#include <string.h>

#include "lib/model/virtio_iommu/model.h"

enum { REQUEST_MAX = VIO_PROBE_SIZE };

struct request_kind {
	size_t size;         /* of the readable part */
	unsigned feature;    /* must have been accepted */
	vio_handler handler; /* NULL: PROBE, which writes more than a status */
};

static const struct request_kind kinds[] = {
	[VIO_T_ATTACH] = {VIO_ATTACH_SIZE, VIO_F_MAP_UNMAP, vio_attach},
	[VIO_T_DETACH] = {VIO_DETACH_SIZE, VIO_F_MAP_UNMAP, vio_detach},
	[VIO_T_MAP] = {VIO_MAP_SIZE, VIO_F_MAP_UNMAP, vio_map},
	[VIO_T_UNMAP] = {VIO_UNMAP_SIZE, VIO_F_MAP_UNMAP, vio_unmap},
	[VIO_T_PROBE] = {VIO_PROBE_SIZE, VIO_F_PROBE, NULL},
};

/* The one place where a request's status is decided, section 5.13.6. */
static enum vio_status request_status(int err)
{
	switch (err) {
	case 0:
		return VIO_S_OK;
	case -EINVAL:
	case -EEXIST: /* a map over a mapping, 5.13.6.5 */
		return VIO_S_INVAL;
	case -ERANGE:
		return VIO_S_RANGE;
	case -ENOENT:
		return VIO_S_NOENT;
	case -ENOMEM:
	case -ENOSPC:
		return VIO_S_NOMEM;
	case -EOPNOTSUPP: /* limits of the endpoint and what the domain maps exclude each other, 5.13.6.3 */
		return VIO_S_UNSUPP;
	default: /* such as -ETIMEDOUT and -EIO: a device did not let go */
		return VIO_S_DEVERR;
	}
}

static size_t iov_len(const struct iovec *iov, size_t count)
{
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += iov[i].iov_len;
	return len;
}

/* Copy up to `size` bytes from the start of the readable part; returns how many there were. */
static size_t copy_in(const struct viommu_virtio_request *request, uint8_t *buffer, size_t size)
{
	size_t done = 0;

	for (size_t i = 0; i < request->in_count && done < size; i++) {
		size_t len = request->in[i].iov_len < size - done ? request->in[i].iov_len : size - done;

		memcpy(buffer + done, request->in[i].iov_base, len);
		done += len;
	}
	return done;
}

/* Copy to the writable part, from its byte `offset` on. */
static void copy_out(struct viommu_virtio_request *request, size_t offset, const uint8_t *data, size_t len)
{
	request->written = (uint32_t)(offset + len);
	for (size_t i = 0; i < request->out_count && len; i++) {
		const struct iovec *iov = &request->out[i];

		if (offset >= iov->iov_len) {
			offset -= iov->iov_len;
			continue;
		}
		size_t part = len < iov->iov_len - offset ? len : iov->iov_len - offset;

		memcpy((uint8_t *)iov->iov_base + offset, data, part);
		data += part;
		len -= part;
		offset = 0;
	}
}

static void put_tail(struct viommu_virtio_request *request, size_t offset, enum vio_status status)
{
	uint8_t tail[VIO_TAIL_SIZE] = {(uint8_t)status};

	copy_out(request, offset, tail, sizeof(tail));
}

/* The tail follows the properties; where there is no room for all of them, it is the last thing in the buffer. */
static void perform_probe(struct viommu_virtio *dev, struct viommu_virtio_request *request, const uint8_t *data,
			  size_t room) REQUIRES(dev->lock)
{
	uint8_t properties[(VIO_RESV_MAX + VIO_RESV_ROOM_MAX) * VIO_RESV_SIZE] = {0};
	size_t size = vio_probe_size(dev);
	int err = -EINVAL;

	if (room >= size + VIO_TAIL_SIZE)
		err = vio_probe(dev, data, properties);
	else
		size = room - VIO_TAIL_SIZE;
	copy_out(request, 0, properties, size);
	put_tail(request, size, request_status(err));
}

/* A request that the device cannot understand goes back with nothing written. */
static void request_perform(struct viommu_virtio *dev, struct viommu_virtio_request *request) REQUIRES(dev->lock)
{
	uint8_t data[REQUEST_MAX];
	size_t len = copy_in(request, data, sizeof(data)), room = iov_len(request->out, request->out_count);

	request->written = 0;
	if (len < VIO_HEAD_SIZE || room < VIO_TAIL_SIZE || data[0] >= sizeof(kinds) / sizeof(kinds[0]))
		return;
	const struct request_kind *kind = &kinds[data[0]];

	if (!kind->size || len < kind->size || !vio_accepted(dev, kind->feature))
		return;
	if (kind->handler)
		put_tail(request, 0, request_status(kind->handler(dev, data)));
	else
		perform_probe(dev, request, data, room);
}

/*
 * The request has failed: a device held on to what it took away until the deadline, or a mirror refuses what it mapped.
 */
void vio_request_failed(void *opaque, unsigned tag, int err)
{
	struct vio_batch *batch = opaque;
	struct viommu_virtio_request *request = &batch->requests[tag];

	batch->failed = true;
	if (tag < batch->count && request->written >= VIO_TAIL_SIZE)
		put_tail(request, request->written - VIO_TAIL_SIZE, request_status(err));
}

/* What a failed ATTACH leaves unattached may bypass, which its mirrors are told of in a second round. */
static bool batch_second_round(struct viommu_virtio *dev, struct vio_batch *batch) REQUIRES(dev->lock)
{
	batch->failed = false;
	vio_note_all_lost(dev, batch->inval);
	viommu_inval_begin(batch->inval);
	return viommu_inval_poll(batch->inval) == -EAGAIN;
}

/* -ETIMEDOUT ends the wait too; the statuses are corrected by then. */
static bool batch_pending(struct viommu_virtio *dev, struct vio_batch *batch) REQUIRES(dev->lock)
{
	if (!batch->pending || viommu_inval_poll(batch->inval) == -EAGAIN)
		return batch->pending;
	if (batch->failed && batch_second_round(dev, batch))
		return true;
	for (size_t i = 0; i < batch->count; i++)
		batch->requests[i].complete = true;
	batch->pending = false;
	batch->count = 0;
	return false;
}

static int poll_locked(struct viommu_virtio *dev) REQUIRES(dev->lock)
{
	bool pending = false;

	for (size_t i = 0; i < VIOMMU_VIRTIO_BATCHES; i++)
		pending |= batch_pending(dev, &dev->batches[i]);
	int side = vio_bypass_step(dev);

	return pending ? -EAGAIN : side;
}

static void begin_batch(struct viommu_virtio *dev, struct vio_batch *batch) REQUIRES(dev->lock)
{
	dev->inval = batch->inval;
	for (size_t i = 0; i < batch->count; i++) {
		size_t changes = viommu__inval_changes(dev->inval);

		viommu__inval_tag(dev->inval, (unsigned)i);
		request_perform(dev, &batch->requests[i]);
		/* A request that took nothing away waits for no device, and not for the requests that came with it. */
		batch->requests[i].complete = viommu__inval_changes(dev->inval) == changes;
	}
	viommu_inval_begin(batch->inval);
	batch->pending = true;
	dev->inval = dev->batches[0].inval;
}

int viommu_virtio_submit(struct viommu_virtio *dev, struct viommu_virtio_request *requests, size_t count)
{
	struct vio_batch *batch = NULL;
	int err = -EBUSY;

	lock_take(&dev->lock);
	for (size_t i = 0; i < VIOMMU_VIRTIO_BATCHES && !batch; i++)
		if (!dev->batches[i].pending)
			batch = &dev->batches[i];
	if (batch) {
		batch->requests = requests;
		batch->count = count;
		begin_batch(dev, batch);
		err = poll_locked(dev);
	}
	lock_drop(&dev->lock);
	return err;
}

int viommu_virtio_poll(struct viommu_virtio *dev)
{
	lock_take(&dev->lock);
	int err = poll_locked(dev);

	lock_drop(&dev->lock);
	return err;
}

void viommu_virtio_reset(struct viommu_virtio *dev, bool system)
{
	lock_take(&dev->lock);
	if (system || dev->legacy_bypass)
		dev->bypass.wanted = dev->bypass.initial;
	dev->features = 0;
	viommu_virtio_events_drop(dev); /* the next driver has nothing to do with them */
	if (!dev->batches[0].pending) {
		vio_detach_all(dev);
		viommu_inval_begin(dev->inval);
		dev->batches[0].pending = true;
	}
	poll_locked(dev);
	lock_drop(&dev->lock);
}
