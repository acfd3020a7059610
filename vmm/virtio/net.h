/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network device's insides: net.c is the device over its queue pairs (net_card.h), net_control.c the control queue.
 */
#ifndef VMM_VIRTIO_NET_H
#define VMM_VIRTIO_NET_H

#include "vmm/net/card.h"
#include "vmm/virtio/virtio.h"

enum { NET_COMMAND_BYTES = 8192 };

struct virtio_net {
	struct virtio_dev dev;
	struct net_card card; /* its MAC is written with pci.lock held, too */
	uint8_t home_mac[MAC_SIZE];
	unsigned control_queue; /* its index */
	/* Scratch of one command. */
	struct vq_chain chain;
	uint8_t command[NET_COMMAND_BYTES];
	struct loop_work control_work;
	struct net_pair pairs[];
};

/* Serve the control queue. */
void net_control_kick(struct virtio_net *net);

#endif
