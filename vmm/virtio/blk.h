/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block device's insides. blk.c takes requests out of the queue and gives them back; blk_io.c, below it, moves data
 * with io_uring. All on the I/O thread.
 */
#ifndef VMM_VIRTIO_BLK_H
#define VMM_VIRTIO_BLK_H

#include <liburing.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "vmm/util/log.h"
#include "vmm/virtio/blk_image.h"
#include "vmm/virtio/virtio.h"

enum { BLK_QUEUE_SIZE = 128, BLK_REQUESTS = 128, BLK_STEP_SPANS = 128 };

/*
 * A request under way. Its data moves in steps of at most BLK_STEP_SPANS pieces, so that its size is bounded however
 * the guest has cut its buffers; only the step under way is held.
 */
struct blk_request {
	struct virtio_blk *blk;
	struct blk_request *next; /* in the free list, or among the finished ones */
	unsigned queue;           /* where the chain came from */
	struct vq_chain chain;
	bool to_guest;        /* which part of the chain holds the data */
	bool flush;           /* no data */
	uint64_t chain_start; /* where data begins in that part */
	uint64_t file_start;
	uint64_t len, done; /* bytes of data */
	uint8_t status;     /* VIRTIO_BLK_S_* */
	bool held;
	bool in_kernel, cancelled; /* a step is in flight; its end was asked for */
	_Atomic bool in_the_way;   /* an invalidation has waited for this step for long: any thread says so */
	struct viommu_hold hold;
	struct viommu_span spans[BLK_STEP_SPANS];
	struct iovec iov[BLK_STEP_SPANS];
};

struct virtio_blk {
	struct virtio_dev dev;
	struct virtio_env env;
	struct blk_image image;
	struct io_uring ring;
	int ring_fd; /* eventfd: completions wait */
	struct loop_watch ring_watch;
	struct loop_work submit_work; /* the kernel could not take what we submitted: try again */
	struct loop_work kick_work;   /* more chains than one burst */
	struct loop_work cancel_work; /* steps are in the way of an invalidation */
	unsigned in_flight;           /* requests in the kernel's hands */
	int write_flags; /* RWF_DSYNC for a driver that knows no FLUSH: its writes are stable when they end */
	bool resetting;
	unsigned taken[VIRTIO_MAX_QUEUES]; /* requests of each queue that are not given back */
	uint32_t queue_resets;             /* a bit for each queue that the driver resets */
	unsigned turn;                     /* the queue that gives the next request */
	bool polled;                       /* the driver is not asked for notifications */
	uint64_t started;                  /* requests, since the device was made */
	struct blk_request *free;          /* shared by all queues */
	struct blk_request *finished;      /* to be given back */
	struct blk_request requests[BLK_REQUESTS];
};

/* Make the ring, and the eventfd by which it tells of completions, for blk_io_reap(). -errno, logged. */
int blk_io_init(struct virtio_blk *blk);

/* Free the ring. Nothing is in flight. */
void blk_io_fini(struct virtio_blk *blk);

/* Ask the kernel to end what it has in hand of one queue, or of all. What cannot be interrupted goes on. */
enum { BLK_ALL_QUEUES = -1 };
void blk_io_cancel(struct virtio_blk *blk, int queue);

/* The loop does not run any more: take back what the kernel has finished, for good. */
void blk_io_drain(struct virtio_blk *blk);

/*
 * Do the next step of a request: inside a section, followed by blk_io_submit(). A request that needs none, or cannot
 * have one, goes to blk->finished with its status.
 */
void blk_io_step(struct virtio_blk *blk, struct viommu_section *section, struct blk_request *request);

/* Put a request among the finished ones. */
void blk_io_finish(struct virtio_blk *blk, struct blk_request *request, uint8_t status);

/* Hand the steps to the kernel. Outside of sections. */
void blk_io_submit(struct virtio_blk *blk);

/*
 * Take back the steps that the kernel has finished, and begin what follows them; blk_io_submit() has to come after.
 * False: there was none. Outside of sections.
 */
bool blk_io_reap(struct virtio_blk *blk);

#endif
