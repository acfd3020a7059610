/* SPDX-License-Identifier: BSD-2-Clause */
/* The network device's insides: net.c is the device, net_rx.c and net_tx.c are its two directions. I/O thread only. */
#ifndef VMM_VIRTIO_NET_H
#define VMM_VIRTIO_NET_H

#include <sys/uio.h>

#include "vmm/virtio/tap.h"
#include "vmm/virtio/virtio.h"

enum { NET_RX = 0, NET_TX = 1, NET_QUEUES = 2 };
enum { NET_QUEUE_SIZE = 256, NET_BURST = 64, NET_FRAME_MAX = 65535 + 18, NET_SPANS = 64 };

struct virtio_net {
	struct virtio_dev dev;
	int tap_fd;
	bool tap_gone;
	uint8_t mac[6];
	struct loop_watch tap_watch;
	uint32_t tap_events; /* what tap_watch waits for now */
	struct loop_work rx_work, tx_work;
	/* Scratch of one packet. */
	struct vq_chain chain;
	struct viommu_span spans[NET_SPANS];
	struct iovec iov[NET_SPANS + 2];
};

/* What a burst ended with, other than an error. */
enum net_end {
	NET_EMPTY, /* the driver's ring has nothing more: it will kick */
	NET_TAP,   /* the tap has nothing, or takes nothing: wait for it */
	NET_MORE,  /* the burst was long enough */
};

/* One burst in a section. An enum net_end; -errno: the ring is broken. */
int net_rx_burst(struct virtio_net *net, struct viommu_section *section);
int net_tx_burst(struct virtio_net *net, struct viommu_section *section);

/* A ring has nothing more: ask for kicks, and look again, for some chains may have come meanwhile. As a burst's end. */
int net_ring_empty(struct vq *vq, struct viommu_section *section);

/* The tap gave an error that is not about one packet. */
void net_tap_lost(struct virtio_net *net, int error);

#endif
