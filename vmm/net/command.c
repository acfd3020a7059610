/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/net/command.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "vmm/net/filter.h"
#include "vmm/net/header.h"

/* What follows class and command, and what the driver has negotiated. */
struct body {
	const uint8_t *bytes;
	size_t len;
	uint8_t command;
	uint64_t features;
	unsigned pairs;
};

static bool command_accepted(const struct body *body, unsigned feature)
{
	return body->features >> feature & 1;
}

static int decode_mode(const struct body *body, struct net_command *out)
{
	unsigned feature =
		body->command <= VIRTIO_NET_CTRL_RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA;

	if (body->command > VIRTIO_NET_CTRL_RX_NOBCAST || !command_accepted(body, feature) || body->len != 1 ||
	    body->bytes[0] > 1)
		return -EINVAL;
	out->kind = NET_SET_MODE;
	out->mode.index = body->command;
	out->mode.on = body->bytes[0];
	return 0;
}

/* A count, and that many addresses. Takes them from the body. */
static int take_macs(struct body *body, const uint8_t **macs, uint32_t *count)
{
	uint32_t le;

	if (body->len < sizeof(le))
		return -EINVAL;
	memcpy(&le, body->bytes, sizeof(le));
	*count = le32toh(le);
	*macs = body->bytes + sizeof(le);
	body->len -= sizeof(le);
	if (*count > body->len / MAC_SIZE)
		return -EINVAL;
	body->bytes = *macs + (size_t)*count * MAC_SIZE;
	body->len -= (size_t)*count * MAC_SIZE;
	return 0;
}

static int decode_macs(const struct body *body, struct net_command *out)
{
	struct body rest = *body;

	if (!command_accepted(body, VIRTIO_NET_F_CTRL_RX) ||
	    take_macs(&rest, &out->macs.unicast, &out->macs.unicasts) ||
	    take_macs(&rest, &out->macs.multicast, &out->macs.multicasts) || rest.len)
		return -EINVAL;
	out->kind = NET_SET_MACS;
	return 0;
}

static int decode_own_mac(const struct body *body, struct net_command *out)
{
	static const uint8_t zero[MAC_SIZE];

	if (!command_accepted(body, VIRTIO_NET_F_CTRL_MAC_ADDR) || body->len != MAC_SIZE || body->bytes[0] & 1 ||
	    !memcmp(body->bytes, zero, MAC_SIZE))
		return -EINVAL;
	out->kind = NET_SET_MAC;
	out->mac = body->bytes;
	return 0;
}

static int decode_mac(const struct body *body, struct net_command *out)
{
	switch (body->command) {
	case VIRTIO_NET_CTRL_MAC_TABLE_SET:
		return decode_macs(body, out);
	case VIRTIO_NET_CTRL_MAC_ADDR_SET:
		return decode_own_mac(body, out);
	default:
		return -EINVAL;
	}
}

static int take16(const struct body *body, uint16_t *value)
{
	if (body->len != sizeof(*value))
		return -EINVAL;
	memcpy(value, body->bytes, sizeof(*value));
	*value = le16toh(*value);
	return 0;
}

static int decode_vlan(const struct body *body, struct net_command *out)
{
	if (!command_accepted(body, VIRTIO_NET_F_CTRL_VLAN) || body->command > VIRTIO_NET_CTRL_VLAN_DEL ||
	    take16(body, &out->vlan.id) || out->vlan.id >= NET_VLANS)
		return -EINVAL;
	out->kind = NET_SET_VLAN;
	out->vlan.pass = body->command == VIRTIO_NET_CTRL_VLAN_ADD;
	return 0;
}

static int decode_pairs(const struct body *body, struct net_command *out)
{
	if (!command_accepted(body, VIRTIO_NET_F_MQ) || body->command != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    take16(body, &out->pairs) || !out->pairs || out->pairs > body->pairs)
		return -EINVAL;
	out->kind = NET_SET_PAIRS;
	return 0;
}

static int decode_offloads(const struct body *body, struct net_command *out)
{
	uint64_t value;

	if (!command_accepted(body, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    body->command != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || body->len != sizeof(value))
		return -EINVAL;
	memcpy(&value, body->bytes, sizeof(value));
	out->kind = NET_SET_OFFLOADS;
	out->offloads = le64toh(value);
	return out->offloads & ~net_guest_offloads(body->features) ? -EINVAL : 0;
}

int net_command_decode(const uint8_t *bytes, size_t len, uint64_t features, unsigned pairs, struct net_command *out)
{
	const struct virtio_net_ctrl_hdr *header = (const struct virtio_net_ctrl_hdr *)bytes;
	struct body body;

	if (len < sizeof(*header))
		return -EINVAL;
	body = (struct body){bytes + sizeof(*header), len - sizeof(*header), header->cmd, features, pairs};
	switch (header->class) {
	case VIRTIO_NET_CTRL_RX:
		return decode_mode(&body, out);
	case VIRTIO_NET_CTRL_MAC:
		return decode_mac(&body, out);
	case VIRTIO_NET_CTRL_VLAN:
		return decode_vlan(&body, out);
	case VIRTIO_NET_CTRL_MQ:
		return decode_pairs(&body, out);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return decode_offloads(&body, out);
	default:
		return -EINVAL;
	}
}
