/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the transport of the virtio-iommu. Everything is guarded by virtio_enter(), but for the events' work and
 * what is said to be of the I/O thread: the request queue is served by the vCPU that notifies it, too.
 */
#ifndef VMM_VIRTIO_IOMMU_H
#define VMM_VIRTIO_IOMMU_H

#include "vmm/util/polling.h"
#include "vmm/virtio/virtio.h"

/* Spans of a whole batch. A chain has at most VQ_MAX_SEGMENTS, each in few pieces: one always fits. */
enum { IOMMU_BATCH = 256, IOMMU_BATCH_SPANS = 2048 };

/* Requests that go to the model together. */
struct iommu_batch {
	bool pending; /* the model has it */
	unsigned count, spans_used;
	bool held;
	struct viommu_hold hold;
	uint16_t heads[IOMMU_BATCH];
	bool given[IOMMU_BATCH]; /* back to the driver */
	unsigned given_count;
	struct viommu_virtio_request requests[IOMMU_BATCH];
	struct viommu_span spans[IOMMU_BATCH_SPANS];
	struct iovec iov[IOMMU_BATCH_SPANS];
};

struct virtio_iommu {
	struct virtio_dev dev;
	struct viommu_virtio *model;
	bool reset_wanted;          /* as soon as nothing is pending */
	bool queue_reset_wanted;    /* likewise, of the request queue alone */
	bool resetting;             /* the model does it now */
	bool waiting;               /* for devices to let go of memory, in a batch or a reset */
	_Atomic bool taken;         /* a driver has been there */
	struct loop_work events;    /* faults wait in the model */
	struct loop_work more;      /* chains wait in the ring, or something is pending */
	struct polling polling;     /* of the request queue */
	bool polled;                /* so the driver is not asked to notify */
	struct request_stats stats; /* but for its `notifications` and `polling` */
	_Atomic uint64_t notifications;
	void (*waits)(void *opaque);
	void *waits_opaque;
	struct vq_chain chain; /* the one at hand */
	struct iommu_batch batches[VIOMMU_VIRTIO_BATCHES];
};

static inline struct virtio_iommu *iommu_of(struct virtio_dev *dev)
{
	return (struct virtio_iommu *)((char *)dev - offsetof(struct virtio_iommu, dev));
}

/* iommu_batch.c: take what waits in the request queue to the model, and give back what is complete. How many. */
unsigned iommu_take_batch(struct virtio_iommu *iommu);
/* Give back what is complete of what was pending. True: something is left that is not. */
bool iommu_finish_batches(struct virtio_iommu *iommu);
void iommu_drop_batches(struct virtio_iommu *iommu);

/* iommu_events.c: work of the I/O thread. */
void iommu_events_cb(void *opaque);

#endif
