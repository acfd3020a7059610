/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Offloads of the network device (virtio 1.2, sections 5.1.3.1 and 5.1.6): which features go together, what they ask of
 * a tap, and what a frame's header may say. No state, no guest memory: headers are copies.
 */
#ifndef VMM_NET_HEADER_H
#define VMM_NET_HEADER_H

#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

/* Of Linux 6.2; older headers lack them. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO 56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* The offloads that a tap with these TUN_F_... can serve, both directions, as feature bits. */
uint64_t net_offload_features(unsigned tap);

/* The offloads of the receiving side, which the driver can switch while it runs (section 5.1.6.5.7). */
uint64_t net_guest_offloads(uint64_t features);

/* Without the features whose required ones (section 5.1.3.1) are missing. */
uint64_t net_settled(uint64_t features);

/* What to ask a tap for, TUN_F_..., so that its frames need no more than the driver accepted. */
unsigned net_tap_offloads(uint64_t features);

/*
 * A header that the driver wrote for a frame of `len` bytes (section 5.1.6.2). Bits that mean nothing are cleared,
 * hints are limited. False: it asks for what was not negotiated or cannot be; the frame is to be dropped.
 */
bool net_header_from_driver(struct virtio_net_hdr_mrg_rxbuf *header, uint64_t len, uint64_t features);

/*
 * A header that a tap wrote (section 5.1.6.4). False: the frame is not for a driver with these features; one that was
 * queued before they changed, say.
 */
bool net_header_from_tap(struct virtio_net_hdr_mrg_rxbuf *header, uint64_t len, uint64_t features, unsigned mtu);

#endif
