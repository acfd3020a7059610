/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands of the network device's control queue (virtio 1.2, section 5.1.6.5), decoded from a copy of their bytes. */
#ifndef VMM_NET_COMMAND_H
#define VMM_NET_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum net_command_kind {
	NET_SET_MODE,     /* how frames are filtered */
	NET_SET_MACS,     /* which addresses pass */
	NET_SET_MAC,      /* its own */
	NET_SET_VLAN,     /* whether a VLAN passes */
	NET_SET_PAIRS,    /* queue pairs in use */
	NET_SET_OFFLOADS, /* offloads of the receiving side */
};

struct net_command {
	enum net_command_kind kind;
	union {
		struct {
			uint8_t index; /* VIRTIO_NET_CTRL_RX_... */
			bool on;
		} mode;
		struct {
			const uint8_t *unicast, *multicast; /* in the bytes that were decoded */
			uint32_t unicasts, multicasts;
		} macs;
		const uint8_t *mac;
		struct {
			uint16_t id;
			bool pass;
		} vlan;
		uint16_t pairs;
		uint64_t offloads; /* feature bits */
	};
};

/* `pairs`: how many the device has. -EINVAL: not a command that a driver with these features may give; no effects. */
int net_command_decode(const uint8_t *bytes, size_t len, uint64_t features, unsigned pairs, struct net_command *out);

#endif
