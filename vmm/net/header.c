/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/net/header.h"

#include <endian.h>
#include <stddef.h>

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

/* An Ethernet header with a VLAN tag: what a frame has above the MTU. */
enum { LINK_HEADER = 18 };

#define GUEST_OFFLOADS                                                                                                 \
	(BIT(GUEST_CSUM) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6) | BIT(GUEST_ECN) | BIT(GUEST_UFO) | BIT(GUEST_USO4) |     \
	 BIT(GUEST_USO6))

uint64_t net_offload_features(unsigned tap)
{
	/* What taps take does not depend on TUNSETOFFLOAD; but for USO, all kernels take all of it. */
	uint64_t features = BIT(CSUM) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(HOST_UFO);

	if (tap & TUN_F_CSUM)
		features |= BIT(GUEST_CSUM);
	if (tap & TUN_F_TSO4)
		features |= BIT(GUEST_TSO4);
	if (tap & TUN_F_TSO6)
		features |= BIT(GUEST_TSO6);
	if (tap & TUN_F_TSO_ECN)
		features |= BIT(GUEST_ECN);
	if (tap & TUN_F_UFO)
		features |= BIT(GUEST_UFO);
	if (tap & TUN_F_USO4)
		features |= BIT(GUEST_USO4) | BIT(GUEST_USO6) | BIT(HOST_USO);
	return features;
}

uint64_t net_guest_offloads(uint64_t features)
{
	return features & GUEST_OFFLOADS;
}

uint64_t net_settled(uint64_t features)
{
	static const struct {
		uint64_t features, any_of;
	} needs[] = {
		{BIT(GUEST_TSO4) | BIT(GUEST_TSO6) | BIT(GUEST_UFO) | BIT(GUEST_USO4) | BIT(GUEST_USO6),
		 BIT(GUEST_CSUM)},
		{BIT(GUEST_ECN), BIT(GUEST_TSO4) | BIT(GUEST_TSO6)},
		{BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_UFO) | BIT(HOST_USO), BIT(CSUM)},
		{BIT(HOST_ECN), BIT(HOST_TSO4) | BIT(HOST_TSO6)},
		{BIT(CTRL_RX) | BIT(CTRL_VLAN) | BIT(MQ) | BIT(CTRL_MAC_ADDR) | BIT(CTRL_GUEST_OFFLOADS), BIT(CTRL_VQ)},
		{BIT(CTRL_RX_EXTRA), BIT(CTRL_RX)},
	};

	/* Each row needs only what rows above it have settled. */
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if (!(features & needs[i].any_of))
			features &= ~needs[i].features;
	return features;
}

unsigned net_tap_offloads(uint64_t features)
{
	unsigned tap = 0;

	features = net_settled(features);
	if (features & BIT(GUEST_CSUM))
		tap |= TUN_F_CSUM;
	if (features & BIT(GUEST_TSO4))
		tap |= TUN_F_TSO4;
	if (features & BIT(GUEST_TSO6))
		tap |= TUN_F_TSO6;
	if (features & BIT(GUEST_ECN))
		tap |= TUN_F_TSO_ECN;
	if (features & BIT(GUEST_UFO))
		tap |= TUN_F_UFO;
	/* The kernel has it for both protocols, or for none. */
	if ((features & BIT(GUEST_USO4)) && (features & BIT(GUEST_USO6)))
		tap |= TUN_F_USO4 | TUN_F_USO6;
	return tap;
}

/* Which of these features a segmentation type needs; 0: there is no such type. */
static uint64_t feature_of(uint8_t gso_type, bool from_driver)
{
	switch (gso_type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return from_driver ? BIT(HOST_TSO4) : BIT(GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return from_driver ? BIT(HOST_TSO6) : BIT(GUEST_TSO6);
	case VIRTIO_NET_HDR_GSO_UDP:
		return from_driver ? BIT(HOST_UFO) : BIT(GUEST_UFO);
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return from_driver ? BIT(HOST_USO) : BIT(GUEST_USO4) | BIT(GUEST_USO6);
	default:
		return 0;
	}
}

/* Segmentation: a type that was accepted, with segments of some size and a checksum to fill in for each. */
static bool segments_acceptable(const struct virtio_net_hdr_v1 *header, uint64_t features, bool from_driver)
{
	uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if (!(feature_of(type, from_driver) & features) || !header->gso_size)
		return false;
	if (header->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		return (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6) &&
		       features & (from_driver ? BIT(HOST_ECN) : BIT(GUEST_ECN));
	return true;
}

static bool checksum_acceptable(const struct virtio_net_hdr_v1 *header, uint64_t len, bool accepted)
{
	uint64_t start = le16toh(header->csum_start), offset = le16toh(header->csum_offset);

	return accepted && start + offset + sizeof(uint16_t) <= len;
}

bool net_header_from_driver(struct virtio_net_hdr_mrg_rxbuf *header, uint64_t len, uint64_t features)
{
	struct virtio_net_hdr_v1 *v1 = (struct virtio_net_hdr_v1 *)header;

	/*
	 * Section 5.1.6.2.2: the device ignores flags that it does not recognise; others are for the other direction.
	 */
	v1->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	v1->num_buffers = 0;
	if (v1->flags ? !checksum_acceptable(v1, len, features & BIT(CSUM)) : v1->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return false;
	if (!segments_acceptable(v1, features, true))
		return false;
	if (v1->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		v1->gso_size = 0;
	if (!v1->flags)
		v1->csum_start = v1->csum_offset = 0;
	/* A hint, which the kernel would take at its word. */
	if (le16toh(v1->hdr_len) > len)
		v1->hdr_len = htole16((uint16_t)len);
	return true;
}

bool net_header_from_tap(struct virtio_net_hdr_mrg_rxbuf *header, uint64_t len, uint64_t features, unsigned mtu)
{
	struct virtio_net_hdr_v1 *v1 = (struct virtio_net_hdr_v1 *)header;

	v1->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	if (!(features & BIT(GUEST_CSUM)))
		v1->flags &= (uint8_t)~VIRTIO_NET_HDR_F_DATA_VALID;
	if ((v1->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !checksum_acceptable(v1, len, features & BIT(GUEST_CSUM)))
		return false;
	if (!segments_acceptable(v1, features, false))
		return false;
	/*
	 * Section 5.1.4.1: nothing larger than the MTU that the driver was told, but what it puts together from
	 * segments.
	 */
	return !(features & BIT(MTU)) || v1->gso_type != VIRTIO_NET_HDR_GSO_NONE || len <= (uint64_t)mtu + LINK_HEADER;
}
