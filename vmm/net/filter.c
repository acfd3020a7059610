/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/net/filter.h"

#include <linux/virtio_net.h>
#include <string.h>

enum { TYPE_OFFSET = 12, TAG_OFFSET = 14, TYPE_VLAN = 0x8100, VLAN_MASK = 0x0fff };

void net_filter_init(struct net_filter *filter, bool by_vlan)
{
	*filter = (struct net_filter){.vlans_chosen = by_vlan};
	filter->modes[VIRTIO_NET_CTRL_RX_PROMISC] = true;
}

void net_filter_set_macs(struct net_mac_list *list, const uint8_t *macs, size_t count)
{
	list->all = count > NET_FILTER_MACS;
	list->count = list->all ? 0 : (unsigned)count;
	memcpy(list->macs, macs, (size_t)list->count * MAC_SIZE);
}

void net_filter_set_vlan(struct net_filter *filter, uint16_t id, bool pass)
{
	uint64_t bit = 1ull << id % 64;

	if (pass)
		filter->vlans[id / 64] |= bit;
	else
		filter->vlans[id / 64] &= ~bit;
}

static bool listed(const struct net_mac_list *list, const uint8_t *mac)
{
	for (unsigned i = 0; i < list->count; i++)
		if (!memcmp(list->macs[i], mac, MAC_SIZE))
			return true;
	return list->all;
}

/* Tag 0 is a priority without a VLAN. */
static bool vlan_passes(const struct net_filter *filter, const uint8_t *frame, size_t len)
{
	unsigned id;

	if (!filter->vlans_chosen || len < NET_FILTER_BYTES || frame[TYPE_OFFSET] << 8 != (TYPE_VLAN & 0xff00) ||
	    frame[TYPE_OFFSET + 1] != (TYPE_VLAN & 0xff))
		return true;
	id = ((unsigned)frame[TAG_OFFSET] << 8 | frame[TAG_OFFSET + 1]) & VLAN_MASK;
	return !id || filter->vlans[id / 64] >> id % 64 & 1;
}

static bool multicast_passes(const struct net_filter *filter, const uint8_t *to)
{
	static const uint8_t broadcast[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (!memcmp(to, broadcast, MAC_SIZE))
		return !filter->modes[VIRTIO_NET_CTRL_RX_NOBCAST];
	if (filter->modes[VIRTIO_NET_CTRL_RX_NOMULTI])
		return false;
	return filter->modes[VIRTIO_NET_CTRL_RX_ALLMULTI] || listed(&filter->multicast, to);
}

static bool unicast_passes(const struct net_filter *filter, const uint8_t *mac, const uint8_t *to)
{
	if (filter->modes[VIRTIO_NET_CTRL_RX_NOUNI])
		return false;
	return filter->modes[VIRTIO_NET_CTRL_RX_ALLUNI] || !memcmp(to, mac, MAC_SIZE) || listed(&filter->unicast, to);
}

bool net_filter_passes(const struct net_filter *filter, const uint8_t *mac, const uint8_t *frame, size_t len)
{
	if (filter->modes[VIRTIO_NET_CTRL_RX_PROMISC])
		return true;
	if (len < MAC_SIZE || !vlan_passes(filter, frame, len))
		return false;
	return frame[0] & 1 ? multicast_passes(filter, frame) : unicast_passes(filter, mac, frame);
}
