/* SPDX-License-Identifier: BSD-2-Clause */
/* The network device's insides: net.c is the device, over its queue pairs and its control queue. */
#ifndef VMM_VIRTIO_NET_H
#define VMM_VIRTIO_NET_H

#include "vmm/net/card.h"
#include "vmm/virtio/net_control.h"
#include "vmm/virtio/virtio.h"

struct virtio_net {
	struct virtio_dev dev;
	struct net_card card; /* its MAC is written with pci.lock held, too */
	uint8_t home_mac[MAC_SIZE];
	struct net_control control;
	struct net_pair pairs[];
};

#endif
