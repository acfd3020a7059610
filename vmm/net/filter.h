/* SPDX-License-Identifier: BSD-2-Clause */
/* Which frames a driver wants (virtio 1.2, sections 5.1.6.5.1 to 5.1.6.5.3). A tap delivers all. */
#ifndef VMM_NET_FILTER_H
#define VMM_NET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAC_SIZE = 6, NET_FILTER_MACS = 64, NET_VLANS = 4096 };

/* Addresses of one kind. More than fit: every address of that kind passes. */
struct net_mac_list {
	unsigned count;
	bool all;
	uint8_t macs[NET_FILTER_MACS][MAC_SIZE];
};

struct net_filter {
	/* By number of the command, VIRTIO_NET_CTRL_RX_...: promiscuous, all or no multicast, unicast, broadcast. */
	bool modes[6];
	struct net_mac_list unicast, multicast;
	bool vlans_chosen; /* VLAN filtering was negotiated: only these pass */
	uint64_t vlans[NET_VLANS / 64];
};

/* As after a reset: everything passes until the driver says otherwise. */
void net_filter_init(struct net_filter *filter, bool by_vlan);

void net_filter_set_macs(struct net_mac_list *list, const uint8_t *macs, size_t count);
void net_filter_set_vlan(struct net_filter *filter, uint16_t id, bool pass);

/* Bytes of a frame that net_filter_passes() looks at. */
enum { NET_FILTER_BYTES = 16 };

/* True if a frame that begins with these bytes, `len` of them, is for a driver whose own address is `mac`. */
bool net_filter_passes(const struct net_filter *filter, const uint8_t *mac, const uint8_t *frame, size_t len);

#endif
