/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Enforced isolation: a queue of the guest whose requests are copied into bounce memory and put into a shadow queue
 * there, which is all that a vhost-user back end sees. Whatever it does there, it can only lie about the data of
 * requests that it was given.
 *
 * The calls, all on the I/O thread, the middle ones inside a section of the device's endpoint that the caller opened:
 *
 *   once                  bounce_init(), shadow_init() for each queue; tell the back end bounce_region() as the only
 *                         region of its memory table, bounce_queue() as ring addresses, the bounce memory's queue
 *                         size, and 0 as base. Of the features that the guest negotiated the back end gets none of
 *                         ACCESS_PLATFORM, RING_INDIRECT_DESC, RING_PACKED and RING_RESET; RING_EVENT_IDX if it has
 *                         it (shadow_config.event_idx).
 *   kick of the guest     shadow_take(); SHADOW_KICK: kick the back end. SHADOW_INTERRUPT: interrupt the guest.
 *   call of the back end  shadow_give(); SHADOW_INTERRUPT: interrupt the guest. SHADOW_ROOM: shadow_take().
 *   either                SHADOW_MORE: call the same again soon, but let other devices have their turn. An error: see
 *                         there.
 *   back end gone         shadow_restart() once the next one is there, before it is told of its rings; kick it
 *                         afterwards.
 *   reset of the queue    the back end stopped (GET_VRING_BASE) or disconnected, then shadow_reset().
 *   end                   shadow_fini() for each queue, bounce_fini().
 *
 * The shadow queue has no indirect descriptors: a chain of the guest's indirect table takes a descriptor for each
 * segment, so that back ends find a request's parts (header, data, status) in descriptors of their own; where the queue
 * is too small for that it takes one for each run of pages. Segments lie packed in the pages of their part; readable
 * and writable bytes share no page.
 *
 * No secrets: the memory begins as zeroes, and when a request is over the bytes that were copied in for it are cleared,
 * and the bytes that the back end says it has written (all writable bytes, after a reset and with copy_all). So a page
 * holds what the present request sends, and what back ends have put there themselves and not reported. Costs: one
 * memset of as many bytes as were copied.
 */
#ifndef VMM_ISOLATE_SHADOW_H
#define VMM_ISOLATE_SHADOW_H

#include <linux/virtio_ring.h>

#include "vmm/isolate/bounce.h"
#include "vmm/vq/queue.h"

enum { SHADOW_KICK = 1, SHADOW_INTERRUPT = 2, SHADOW_ROOM = 4, SHADOW_MORE = 8 };

/*
 * Bytes that a call copies at most, but for the last request that it begins; each request counts as SHADOW_REQUEST_COST
 * more.
 */
enum { SHADOW_BURST = 256 * 1024, SHADOW_REQUEST_COST = 256 };

struct shadow_config {
	bool event_idx; /* VIRTIO_F_RING_EVENT_IDX is negotiated with the back end */
	/*
	 * Copy all writable bytes, whatever number the back end reports: for block devices, whose status byte is the
	 * last.
	 */
	bool copy_all;
	/*
	 * What the last writable byte of a request says that was not performed (VIRTIO_BLK_S_IOERR), or -1: it ends
	 * with length 0.
	 */
	int failed_status;
};

/* A part of a request: 0 is what the back end reads, 1 what it writes. */
enum { SHADOW_READABLE, SHADOW_WRITABLE, SHADOW_PARTS };

struct shadow_request {
	bool busy;
	uint16_t last;                /* descriptor */
	uint16_t pages[SHADOW_PARTS]; /* first page of each part that has bytes */
	uint64_t order;
	struct vq_chain chain;
};

/* The engine's own; nothing in it is read from the shared memory without a check. */
struct shadow {
	struct shadow_config config;
	uint16_t size;
	uint8_t *pages; /* the pool */
	uint64_t pages_gpa;
	struct vring_desc *desc; /* shared: only ever written */
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_desc *own;          /* what desc should be; free ones are linked by next */
	struct shadow_request *requests; /* by first descriptor */
	struct vq_used *pending;         /* copied, not yet pushed */
	uint16_t *page_next;
	uint16_t free_desc, free_page;
	unsigned free_descs, free_pages, page_count;
	unsigned in_flight, pending_count;
	uint16_t avail_idx;  /* next entry that we write */
	uint16_t seen, goal; /* next used entry to look at, and where those end that came with it */
	uint64_t next_order;
	bool starved; /* the guest may have a chain for which there was no room */
	bool broken;  /* the back end is */
	/* Counters: too long lengths; requests that the back end did not get, or whose answer the guest did not. */
	uint64_t clamped, refused;
};

/* Queue `queue` of this memory, which lives longer. 0 or -ENOMEM. */
int shadow_init(struct shadow *shadow, const struct bounce *bounce, unsigned queue, const struct shadow_config *config);
void shadow_fini(struct shadow *shadow);

/*
 * Move chains from the guest's queue to the back end's while there is room. SHADOW_... bits, or an error of vq_pop() or
 * vq_push(): the guest's queue cannot go on (virtio_fail()). A request that can never fit, or whose readable bytes may
 * not be read, is given back at once as failed_status says, and so does not stand in the way of others.
 */
int shadow_take(struct shadow *shadow, struct vq *vq, struct viommu_section *section);

/*
 * Give back to the guest what the back end has used. Writable buffers are translated now: what the guest has unmapped
 * meanwhile is not written (a fault is reported, the request ends as failed_status says). Entries that the back end
 * published together reach the guest together, because a network frame may have several. SHADOW_... bits; -EPROTO: the
 * back end broke the rules (unknown or idle request, too many entries), and so does every call until shadow_restart()
 * or shadow_reset(); otherwise errors as above. A length that exceeds the writable bytes is clamped.
 */
int shadow_give(struct shadow *shadow, struct vq *vq, struct viommu_section *section);

/*
 * Another back end takes over: what the last one has used is given back, as far as it makes sense, and all other
 * requests are put anew, in the order in which the guest made them available, into rings that begin at 0. A request
 * that the old one performed without saying so is performed twice. Without a section (NULL), because the device may do
 * no DMA now, that holds for all that was not copied yet, and what was reaches the guest with the next shadow_give().
 * SHADOW_INTERRUPT and SHADOW_ROOM or 0, or an error of the guest's queue.
 */
int shadow_restart(struct shadow *shadow, struct vq *vq, struct viommu_section *section);

/*
 * Forget all requests and clear their bytes; the rings begin at 0. The back end must not be using them if the next one
 * is to work.
 */
void shadow_reset(struct shadow *shadow);

#endif
