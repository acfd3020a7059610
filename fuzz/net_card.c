/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a driver writes to a network card besides frames: commands of the control queue, which make a filter, and
 * headers in front of frames; and headers and frames that come from the other side. Nothing is accepted that was not
 * negotiated. And names that a user gives for its tap.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <net/if.h>

#include "fuzz/fuzz.h"
#include "fuzz/quiet.h"
#include "vmm/net/command.h"
#include "vmm/net/filter.h"
#include "vmm/net/header.h"
#include "vmm/net/tap.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

enum { PAIRS = 4, COMMAND_MAX = 512, NAME_MAX_LEN = 20, NAMES = 252 };

static void apply(struct net_filter *filter, const struct net_command *command)
{
	switch (command->kind) {
	case NET_SET_MODE:
		CHECK(command->mode.index <= VIRTIO_NET_CTRL_RX_NOBCAST, "mode %u", command->mode.index);
		filter->modes[command->mode.index] = command->mode.on;
		break;
	case NET_SET_MACS:
		net_filter_set_macs(&filter->unicast, command->macs.unicast, command->macs.unicasts);
		net_filter_set_macs(&filter->multicast, command->macs.multicast, command->macs.multicasts);
		break;
	case NET_SET_VLAN:
		CHECK(command->vlan.id < NET_VLANS, "VLAN %u", command->vlan.id);
		net_filter_set_vlan(filter, command->vlan.id, command->vlan.pass);
		break;
	default:
		break;
	}
}

/* Class of the command, and the feature that it needs. */
static void check_negotiated(const struct net_command *command, uint64_t features)
{
	static const uint64_t needed[] = {
		[NET_SET_MODE] = BIT(CTRL_RX) | BIT(CTRL_RX_EXTRA),
		[NET_SET_MACS] = BIT(CTRL_RX),
		[NET_SET_MAC] = BIT(CTRL_MAC_ADDR),
		[NET_SET_VLAN] = BIT(CTRL_VLAN),
		[NET_SET_PAIRS] = BIT(MQ),
		[NET_SET_OFFLOADS] = BIT(CTRL_GUEST_OFFLOADS),
	};

	CHECK(needed[command->kind] & features, "kind %d", command->kind);
	if (command->kind == NET_SET_PAIRS)
		CHECK(command->pairs && command->pairs <= PAIRS, "%u", command->pairs);
	if (command->kind == NET_SET_OFFLOADS)
		CHECK(!(command->offloads & ~features), "0x%llx", (unsigned long long)command->offloads);
	if (command->kind == NET_SET_MAC)
		CHECK(!(command->mac[0] & 1), "%02x", command->mac[0]);
}

/* A copy of its own size, so that a byte too far is seen. */
static void give_command(struct tape *tape, uint64_t features, struct net_filter *filter)
{
	const size_t len = tape_u16(tape) % COMMAND_MAX;
	uint8_t *bytes = malloc(len ? len : 1);
	struct net_command command;

	tape_copy(tape, bytes, len);

	const int err = net_command_decode(bytes, len, features, PAIRS, &command);

	CHECK(!err || err == -EINVAL, "error %d", err);
	if (!err) {
		check_negotiated(&command, features);
		apply(filter, &command);
	}
	free(bytes);
}

static void give_frame(struct tape *tape, const struct net_filter *filter)
{
	static const uint8_t mac[MAC_SIZE] = {0x52, 0x54};
	const size_t len = tape_below(tape, 64);
	uint8_t *frame = malloc(len ? len : 1);

	tape_copy(tape, frame, len);

	const bool passes = net_filter_passes(filter, mac, frame, len),
		   open = filter->modes[VIRTIO_NET_CTRL_RX_PROMISC];
	const bool tagged = len >= NET_FILTER_BYTES && frame[12] == 0x81 && !frame[13];
	const bool own = len >= MAC_SIZE && !memcmp(frame, mac, MAC_SIZE);

	CHECK(passes || !open, "not everything passes");
	CHECK(open || len >= MAC_SIZE || !passes, "%zu bytes pass", len);
	if (own && !open && !(tagged && filter->vlans_chosen))
		CHECK(passes == !filter->modes[VIRTIO_NET_CTRL_RX_NOUNI], "its own address");
	if (passes && !open && !own && !(frame[0] & 1) && !filter->unicast.count && !filter->unicast.all)
		CHECK(filter->modes[VIRTIO_NET_CTRL_RX_ALLUNI], "another's address");
	free(frame);
}

static void check_header(const struct virtio_net_hdr_v1 *header, uint64_t len, uint64_t checksum, uint64_t segments)
{
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		CHECK(checksum && header->csum_start + header->csum_offset + 2ull <= len, "checksum");
	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		CHECK(segments && header->gso_size, "segments");
}

/* What passed passes again, unchanged: the kernel, or another monitor, may look at it in the same way. */
static void give_header(struct tape *tape, uint64_t features)
{
	const bool from_driver = tape_u8(tape) & 1;
	const uint64_t len = tape_u16(tape);
	const unsigned mtu = 1500;
	struct virtio_net_hdr_mrg_rxbuf header, again;

	tape_copy(tape, &header, sizeof(header));
	if (from_driver ? !net_header_from_driver(&header, len, features)
			: !net_header_from_tap(&header, len, features, mtu))
		return;
	again = header;
	CHECK(from_driver ? net_header_from_driver(&again, len, features)
			  : net_header_from_tap(&again, len, features, mtu),
	      "not twice");
	CHECK(!memcmp(&again, &header, sizeof(header)), "changed");
	const uint64_t host = BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_UFO) | BIT(HOST_USO);

	check_header((const void *)&header, len, features & (from_driver ? BIT(CSUM) : BIT(GUEST_CSUM)),
		     features & (from_driver ? host : net_guest_offloads(features)));
	if (from_driver)
		CHECK(header.hdr.hdr_len <= len, "hint %u of %u", header.hdr.hdr_len, (unsigned)len);
}

/* As the kernel's dev_valid_name(). */
static bool name_is_valid(const char *name)
{
	static const char never[] = "/: \t\n\v\f\r";
	const size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (strchr(never, name[i]))
			return false;
	return len && len < IFNAMSIZ && strcmp(name, ".") && strcmp(name, "..");
}

/* A name for a tap: of none there is, nor comes to be; or of an interface that is no tap. One line says so. */
static void give_name(struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	const unsigned lines = quiet_lines, queues = 1 + (kind >> 1 & 1);
	char name[NAME_MAX_LEN + 1] = "lo";
	int fds[2];

	if (kind & 1) {
		const size_t len = tape_below(tape, NAME_MAX_LEN + 1);

		tape_copy(tape, name, len);
		name[len] = 0;
	}
	const bool real = !strcmp(name, "lo");

	/* Interfaces of this host are left alone. */
	if (!real && if_nametoindex(name))
		return;
	const int err = tap_open(name, queues, fds);

	CHECK(err < 0 && quiet_lines == lines + 1, "%d, %u lines", err, quiet_lines - lines);
	CHECK(real || err == (name_is_valid(name) ? -ENODEV : -EILSEQ), "%d", err);
	CHECK(real || !if_nametoindex(name), "an interface has been made");
	if (strlen(name) < IFNAMSIZ)
		CHECK(real || !tap_mtu(name), "an MTU of no interface");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	const uint64_t features = net_settled(tape_u64(&tape));
	struct net_filter filter;

	net_filter_init(&filter, features & BIT(CTRL_VLAN));
	while (tape.left) {
		const uint8_t choice = tape_u8(&tape);

		if (choice >= NAMES) {
			give_name(&tape);
			continue;
		}
		switch (choice % 3) {
		case 0:
			give_command(&tape, features, &filter);
			break;
		case 1:
			give_frame(&tape, &filter);
			break;
		default:
			give_header(&tape, features);
		}
	}
	return 0;
}
