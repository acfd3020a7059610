/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Split virtqueues, device side (virtio 1.2, section 2.7). Addresses are aligned as section 2.7 asks for (the
 * caller checks that when it enables the queue), so no field straddles a page. Every address in them is an IOVA and is
 * translated inside the section that the caller opened. Descriptors are copied once, then checked. One thread at a
 * time.
 */
#ifndef VMM_VQ_QUEUE_H
#define VMM_VQ_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include <viommu/viommu.h>

/* A ring of the largest size lies in so many pages at most: five, two, and four. */
enum { VQ_MAX_SIZE = 1024, VQ_MAX_SEGMENTS = 256, VQ_PIECES = 11 };

/* A piece of the ring in this process, valid in the section in which it was found. */
struct vq_piece {
	uint64_t iova, len;
	uint8_t *host;
	unsigned access;
};

struct vq {
	uint16_t size;
	bool enabled;
	uint64_t desc, avail, used; /* IOVAs */
	uint16_t next_avail, next_used;
	uint16_t signalled_used; /* next_used when vq_wants_interrupt() looked last */
	bool indirect;           /* negotiated: VIRTIO_F_RING_INDIRECT_DESC */
	bool event_idx;          /* negotiated: VIRTIO_F_RING_EVENT_IDX */
	bool kicks_refused;      /* by vq_ask_kicks() */
	bool event_written;      /* avail_event has been */
	uint16_t used_flags;     /* what we wrote last into the used ring's flags, without events */
	uint16_t avail_event;    /* and with them, into its event field */
	bool adopt;              /* next_used is in the ring: another back end used it before */
	bool adopted;            /* and may not have told the driver of all that was given back */
	/* Between vq_resolve() and vq_release(). */
	unsigned piece_count;
	struct vq_piece pieces[VQ_PIECES];
};

/* One buffer of a chain. */
struct vq_segment {
	struct viommu_iova iova;
	uint32_t len;
};

/*
 * A chain that the driver made available. Readable segments come first; those without a byte are left out. Chains in
 * the queue's table are as long as the queue at most, and no longer than VQ_MAX_SEGMENTS descriptors; with an indirect
 * table these are the limit whatever the queue's size is.
 */
struct vq_chain {
	uint16_t head;
	unsigned readable, writable; /* how many segments */
	uint64_t readable_bytes, writable_bytes;
	struct vq_segment segments[VQ_MAX_SEGMENTS];
};

/*
 * Find all of the ring at the start of a section; until vq_release() its fields need no further translation, which for
 * that cannot fail in the middle. For devices whose translations may come late (viommu/vhost_user_back.h); others need
 * not. 0, or as viommu_dma_translate(): nothing is resolved, but all that is missing has been asked for.
 */
int vq_resolve(struct vq *vq, struct viommu_section *section);
void vq_release(struct vq *vq);

/*
 * Take the next chain. 1: taken; 0: the ring is empty; -EFAULT, -EACCES: a ring address is not reachable (the fault is
 * reported); -EINVAL: the driver broke the rules (loop, bad index, readable after writable, too long, a buffer that
 * wraps, bad indirect table). After an error the queue cannot go on: virtio_fail(). With events (section 2.7.9) the
 * driver notifies once after each 0, unless kicks are refused: pop until then, or come back by yourself. -EAGAIN
 * (nothing is taken): as viommu_dma_translate().
 */
int vq_pop(struct vq *vq, struct viommu_section *section, struct vq_chain *chain);

/* Take the next chain, of which vq_waiting() has told. 0, or an error as above. */
int vq_take(struct vq *vq, struct viommu_section *section, struct vq_chain *chain);

/* Undo the last vq_pop(), which gave a chain that has not been pushed: the next one gives it again. */
void vq_unpop(struct vq *vq);

/* Go past a chain without looking at it; vq_unpop() goes back. */
void vq_skip(struct vq *vq);

/* How many chains wait; negative errno as above. */
int vq_waiting(struct vq *vq, struct viommu_section *section);

/* A chain that is given back, and how many bytes were written to it. */
struct vq_used {
	uint16_t head;
	uint32_t written;
};

/* Give a chain back with what was written, or several that the driver sees all at once. 0 or an error as above. */
int vq_push(struct vq *vq, struct viommu_section *section, uint16_t head, uint32_t written);
int vq_push_all(struct vq *vq, struct viommu_section *section, const struct vq_used *used, unsigned count);

/*
 * 1 if the driver wants an interrupt for what was pushed since the last call (65 535 entries at most), 0, or an error.
 * 1 at first where another back end used the ring before.
 */
int vq_wants_interrupt(struct vq *vq, struct viommu_section *section);

/*
 * Ask the driver to notify, or not to, when it makes chains available; it may do so all the same. After asking for
 * notifications look once more whether chains wait. 0 or an error.
 */
int vq_ask_kicks(struct vq *vq, struct viommu_section *section, bool wanted);

/* The ring looks empty: ask for notifications, and look once more. How many chains wait, or an error. */
int vq_idle(struct vq *vq, struct viommu_section *section);

/*
 * True if the ring, or a chain that the driver waits for, needs an address that may not be accessed so. For queues that
 * the kernel or another process serves, in the order of the available ring. Nothing is written, and no fault is
 * reported where the section is quiet.
 */
bool vq_miss_is_fault(const struct vq *vq, struct viommu_section *section, struct viommu_iova iova, unsigned access);

/* Copy from the readable, or to the writable part of a chain, from byte `offset` of that part. 0 or an error. */
int vq_copy_in(struct viommu_section *section, const struct vq_chain *chain, uint64_t offset, void *buffer, size_t len);
int vq_copy_out(struct viommu_section *section, const struct vq_chain *chain, uint64_t offset, const void *buffer,
		size_t len);

/*
 * Translate `len` bytes from `offset` of the readable (or writable) part into pieces of this process.
 * Returns how many spans were filled; -E2BIG: they are not enough; otherwise as viommu_dma_translate().
 */
int vq_translate(struct viommu_section *section, const struct vq_chain *chain, bool writable, uint64_t offset,
		 uint64_t len, struct viommu_span *spans, unsigned max);

/* The same, but what does not fit into `max` spans is left out: *done bytes were translated. */
int vq_translate_part(struct viommu_section *section, const struct vq_chain *chain, bool writable, uint64_t offset,
		      uint64_t len, struct viommu_span *spans, unsigned max, uint64_t *done);

#endif
