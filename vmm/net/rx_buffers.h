/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receive buffers that one frame goes to (virtio 1.2, section 5.1.6.3): chains taken from a ring, side by side.
 * What is not used goes back with net_rx_buffers_undo(). One frame at a time; its buffers may be taken in several
 * sections.
 */
#ifndef VMM_NET_RX_BUFFERS_H
#define VMM_NET_RX_BUFFERS_H

#include <linux/virtio_net.h>
#include <sys/uio.h>

#include "vmm/net/tap.h"
#include "vmm/vq/queue.h"

enum { NET_QUEUE_SIZE = 256, NET_SPANS = 256, NET_FRAME_MAX = 65535 + 18 };

struct net_rx_buffers {
	unsigned count; /* chains */
	struct vq_used used[NET_QUEUE_SIZE];
	uint32_t room[NET_QUEUE_SIZE]; /* bytes of the frame that each can take */
	uint64_t bytes;                /* and all of them */
	/* Where the header goes, and the frame, which begins at iov[1]; iov[0] and the last one are the reader's. */
	unsigned header_count, iov_count;
	struct viommu_span header[TAP_HEADER_SIZE];
	struct iovec iov[1 + NET_SPANS + 1];
	/* Scratch of one chain. */
	struct vq_chain chain;
	struct viommu_span spans[NET_SPANS];
};

void net_rx_buffers_init(struct net_rx_buffers *buffers);

enum net_taken {
	NET_TAKEN = 1,
	NET_NONE_LEFT = 0,   /* the ring is empty */
	NET_FULL = 2,        /* no more can be taken at a time */
	NET_UNREACHABLE = 3, /* taken, but the device may not write to it; the fault is reported */
	NET_LATER = 4,       /* not taken: it is not known yet where it lies, but asked for */
};

/* Take one more chain. enum net_taken; -errno: the ring is broken, or the driver. */
int net_rx_buffers_take(struct net_rx_buffers *buffers, struct vq *vq, struct viommu_section *section);

/*
 * A new section: places of the last one are void. The header's is found again, those of the frame are forgotten, the
 * chains stay taken. NET_TAKEN, NET_UNREACHABLE or NET_LATER.
 */
int net_rx_buffers_resume(struct net_rx_buffers *buffers, struct viommu_section *section);

/* Give the chains back to the ring as if they had not been taken, or to the driver without anything in them. */
void net_rx_buffers_undo(struct net_rx_buffers *buffers, struct vq *vq, unsigned count);
int net_rx_buffers_give_up(struct net_rx_buffers *buffers, struct vq *vq, struct viommu_section *section);

/* Give the driver a frame of `len` bytes, which is there already. The header is completed and written. */
int net_rx_buffers_deliver(struct net_rx_buffers *buffers, struct vq *vq, struct viommu_section *section,
			   struct virtio_net_hdr_mrg_rxbuf *header, uint64_t len);

/* Copy from, or (from byte `offset` on) to `count` buffers, as far as they go. */
size_t net_gather(const struct iovec *iov, unsigned count, void *buffer, size_t len);
void net_scatter(const struct iovec *iov, unsigned count, size_t offset, const void *buffer, size_t len);

#endif
