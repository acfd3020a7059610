/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network device's insides: net.c is the device, net_pairs.c its queue pairs, net_rx.c and net_tx.c the two
 * directions of one, net_control.c the control queue. I/O thread only, but for what says otherwise.
 */
#ifndef VMM_VIRTIO_NET_H
#define VMM_VIRTIO_NET_H

#include "vmm/virtio/net_filter.h"
#include "vmm/virtio/net_header.h"
#include "vmm/virtio/net_window.h"
#include "vmm/virtio/tap.h"
#include "vmm/virtio/virtio.h"

enum { NET_RX = 0, NET_TX = 1, NET_PAIR_QUEUES = 2, NET_MAX_PAIRS = 8 };
enum { NET_BURST = 64, NET_BURST_BYTES = 256 << 10, NET_COMMAND_BYTES = 8192 };

struct virtio_net;

/* A frame on its way from the tap. */
struct net_frame {
	struct virtio_net_hdr_mrg_rxbuf header;
	size_t len;
	size_t direct; /* how much of it is in the guest's buffers; the rest is in the pair's `spill`, at its offset */
	size_t first;  /* where in the frame the window's places begin */
	uint8_t start[NET_FILTER_BYTES]; /* our own copy */
	size_t start_len;
};

/* A receive and a transmit queue, and their queue of the tap. */
struct net_pair {
	struct virtio_net *net;
	unsigned index;
	int tap_fd;
	bool active;     /* attached to the tap and watched; the first one always is */
	uint32_t events; /* what watch waits for now */
	struct loop_watch watch;
	struct loop_work rx_work, tx_work;
	unsigned likely; /* how many chains the last frame took: the next one likely takes as many */
	bool late;       /* the frame waits for more buffers than the window has */
	struct net_frame frame;
	struct net_window window;
	/* What does not fit into the window. The last byte tells a frame that is too long. */
	uint8_t spill[NET_FRAME_MAX + 1];
};

struct virtio_net {
	struct virtio_dev dev;
	bool tap_gone;
	unsigned tap_features; /* TUN_F_... */
	unsigned mtu;          /* 0: not known */
	uint8_t home_mac[MAC_SIZE];
	uint8_t mac[MAC_SIZE];  /* written with pci.lock held, too */
	uint64_t features;      /* in use, while dev.running */
	uint64_t rx_features;   /* the same, with the offloads that are switched on now */
	unsigned control_queue; /* its index */
	struct net_filter filter;
	/* Scratch of one command. */
	struct vq_chain chain;
	uint8_t command[NET_COMMAND_BYTES];
	struct loop_work control_work;
	unsigned pair_count;
	struct net_pair pairs[];
};

/* What a burst ended with, other than an error. */
enum net_end {
	NET_EMPTY = 1, /* the driver's ring has nothing more: it will kick */
	NET_TAP,       /* the tap has nothing, or takes nothing: wait for it */
	NET_MORE,      /* the burst was long enough */
};

static inline unsigned net_queue(const struct net_pair *pair, unsigned direction)
{
	return NET_PAIR_QUEUES * pair->index + direction;
}

static inline struct vq *net_vq(struct net_pair *pair, unsigned direction)
{
	return &pair->net->dev.queues[net_queue(pair, direction)].vq;
}

/* One burst in a section. An enum net_end; -errno: the ring is broken. */
int net_rx_burst(struct net_pair *pair, struct viommu_section *section);
int net_tx_burst(struct net_pair *pair, struct viommu_section *section);

/* A ring has nothing more: ask for kicks, and look again, for some chains may have come meanwhile. As a burst's end. */
int net_ring_empty(struct vq *vq, struct viommu_section *section);

/* The tap gave an error that is not about one packet. */
void net_tap_lost(struct virtio_net *net, int error);

/* Open the tap for every pair, the first one active. 0, or -errno after a line in the log. */
int net_pairs_init(struct virtio_net *net, const char *tap);
void net_pairs_fini(struct virtio_net *net);

/* The first `count` pairs are in use from now on, the others are not: they receive nothing. -errno: some that should are not. */
int net_pairs_use(struct virtio_net *net, unsigned count);

/* Forget what waits for the loop, the tap, or buffers. */
void net_pairs_stop(struct virtio_net *net);

/* Forget the frame that waits for buffers; those that it has go back. */
void net_pair_forget_frame(struct net_pair *pair);

/* Chains wait in a queue of the pair. */
void net_pair_kick(struct net_pair *pair, unsigned direction);

/* Put offloads of the receiving side, a part of net->features, to use. -errno of the tap. */
int net_set_offloads(struct virtio_net *net, uint64_t offloads);

/* Serve the control queue. */
void net_control_kick(struct virtio_net *net);

#endif
