/* SPDX-License-Identifier: BSD-2-Clause */
/* Headers, features, commands and filters of the network device, without a device. */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "tests/support/test.h"
#include "vmm/net/command.h"
#include "vmm/net/filter.h"
#include "vmm/net/header.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

enum { LEN = 3000, PAIRS = 4 };

static const uint64_t everything = ~0ull;

/* A TCP segment of 1448 bytes a piece, with its checksum to be filled in. */
static struct virtio_net_hdr_mrg_rxbuf tso(void)
{
	return (struct virtio_net_hdr_mrg_rxbuf){
		.hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			.hdr_len = htole16(66),
			.gso_size = htole16(1448),
			.csum_start = htole16(34),
			.csum_offset = htole16(16)},
		.num_buffers = htole16(7),
	};
}

static void test_driver_header_good(void **state)
{
	struct virtio_net_hdr_mrg_rxbuf header = tso();

	(void)state;
	assert_true(net_header_from_driver(&header, LEN, everything));
	assert_int_equal(header.hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(le16toh(header.hdr.gso_size), 1448);
	assert_int_equal(header.num_buffers, 0);
	header.hdr.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	assert_true(net_header_from_driver(&header, LEN, everything));
	assert_false(net_header_from_driver(&header, LEN, everything & ~BIT(HOST_ECN)));
	header = (struct virtio_net_hdr_mrg_rxbuf){0};
	assert_true(net_header_from_driver(&header, LEN, 0));
}

static void test_driver_header_not_negotiated(void **state)
{
	static const struct {
		uint8_t type;
		uint64_t feature;
	} types[] = {
		{VIRTIO_NET_HDR_GSO_TCPV4, BIT(HOST_TSO4)},
		{VIRTIO_NET_HDR_GSO_TCPV6, BIT(HOST_TSO6)},
		{VIRTIO_NET_HDR_GSO_UDP, BIT(HOST_UFO)},
		{VIRTIO_NET_HDR_GSO_UDP_L4, BIT(HOST_USO)},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct virtio_net_hdr_mrg_rxbuf header = tso();

		header.hdr.gso_type = types[i].type;
		assert_true(net_header_from_driver(&header, LEN, types[i].feature | BIT(CSUM)));
		assert_false(net_header_from_driver(&header, LEN, everything & ~types[i].feature));
		assert_false(net_header_from_driver(&header, LEN, types[i].feature));
	}
}

static void test_driver_header_hostile(void **state)
{
	struct virtio_net_hdr_mrg_rxbuf header;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		unsigned bare = type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
		bool tcp = bare == VIRTIO_NET_HDR_GSO_TCPV4 || bare == VIRTIO_NET_HDR_GSO_TCPV6;
		bool udp = bare == VIRTIO_NET_HDR_GSO_UDP || bare == VIRTIO_NET_HDR_GSO_UDP_L4;

		header = tso();
		header.hdr.gso_type = (uint8_t)type;
		assert_int_equal(net_header_from_driver(&header, LEN, everything),
				 type == VIRTIO_NET_HDR_GSO_NONE || tcp || (udp && type == bare));
	}
	header = tso();
	header.hdr.gso_size = 0;
	assert_false(net_header_from_driver(&header, LEN, everything));
	header = tso();
	header.hdr.flags = 0; /* segments without a checksum */
	assert_false(net_header_from_driver(&header, LEN, everything));
	header = tso();
	header.hdr.csum_start = htole16(LEN - 17);
	assert_false(net_header_from_driver(&header, LEN, everything));
	header.hdr.csum_start = htole16(LEN - 18);
	assert_true(net_header_from_driver(&header, LEN, everything));
	header.hdr.csum_start = header.hdr.csum_offset = 0xffff;
	assert_false(net_header_from_driver(&header, LEN, everything));
}

static void test_driver_header_cleaned(void **state)
{
	struct virtio_net_hdr_mrg_rxbuf header = tso();

	(void)state;
	header.hdr.flags = 0xff;
	header.hdr.hdr_len = 0xffff;
	assert_true(net_header_from_driver(&header, LEN, everything));
	assert_int_equal(header.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(le16toh(header.hdr.hdr_len), LEN);
	header.hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	header.hdr.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	assert_true(net_header_from_driver(&header, LEN, 0));
	assert_int_equal(header.hdr.flags, 0);
	assert_int_equal(header.hdr.csum_start | header.hdr.csum_offset | header.hdr.gso_size, 0);
}

static void test_tap_header(void **state)
{
	struct virtio_net_hdr_mrg_rxbuf header = tso();

	(void)state;
	assert_true(net_header_from_tap(&header, 60000, everything, 1500));
	assert_false(net_header_from_tap(&header, LEN, everything & ~BIT(GUEST_TSO4), 1500));
	assert_false(net_header_from_tap(&header, LEN, everything & ~BIT(GUEST_CSUM), 1500));
	header = (struct virtio_net_hdr_mrg_rxbuf){.hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	assert_true(net_header_from_tap(&header, 1518, everything, 1500));
	assert_int_equal(header.hdr.flags, VIRTIO_NET_HDR_F_DATA_VALID);
	assert_true(net_header_from_tap(&header, 1518, 0, 1500));
	assert_int_equal(header.hdr.flags, 0);
	assert_false(net_header_from_tap(&header, 1519, BIT(MTU), 1500));
	assert_true(net_header_from_tap(&header, 1519, 0, 1500));
}

static void test_features_settled(void **state)
{
	(void)state;
	assert_int_equal(net_settled(everything), everything);
	assert_int_equal(net_settled(BIT(GUEST_TSO4) | BIT(GUEST_ECN) | BIT(HOST_TSO6) | BIT(HOST_ECN)), 0);
	assert_int_equal(net_settled(BIT(GUEST_ECN) | BIT(GUEST_CSUM)), BIT(GUEST_CSUM));
	assert_int_equal(net_settled(BIT(MQ) | BIT(CTRL_RX) | BIT(CTRL_RX_EXTRA) | BIT(MRG_RXBUF)), BIT(MRG_RXBUF));
	assert_int_equal(net_tap_offloads(everything),
			 TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO | TUN_F_USO4 | TUN_F_USO6);
	assert_int_equal(net_tap_offloads(BIT(GUEST_CSUM) | BIT(GUEST_USO4)), TUN_F_CSUM);
	assert_int_equal(net_tap_offloads(BIT(GUEST_TSO4)), 0);
	assert_int_equal(net_guest_offloads(net_offload_features(0)), 0);
}

static int decode(const void *bytes, size_t len, uint64_t features, struct net_command *out)
{
	return net_command_decode(bytes, len, features, PAIRS, out);
}

static void test_commands(void **state)
{
	struct net_command command;

	(void)state;
	assert_int_equal(decode("\0\1\1", 3, BIT(CTRL_RX), &command), 0);
	assert_int_equal(command.kind, NET_SET_MODE);
	assert_int_equal(command.mode.index, VIRTIO_NET_CTRL_RX_ALLMULTI);
	assert_true(command.mode.on);
	assert_int_equal(decode("\0\2\1", 3, BIT(CTRL_RX), &command), -EINVAL);
	assert_int_equal(decode("\0\5\0", 3, BIT(CTRL_RX_EXTRA), &command), 0);
	assert_int_equal(decode("\1\1\x52\0\0\0\0\1", 8, BIT(CTRL_MAC_ADDR), &command), 0);
	assert_int_equal(command.kind, NET_SET_MAC);
	assert_int_equal(command.mac[5], 1);
	assert_int_equal(decode("\2\0\xff\x0f", 4, BIT(CTRL_VLAN), &command), 0);
	assert_int_equal(command.vlan.id, 4095);
	assert_true(command.vlan.pass);
	assert_int_equal(decode("\4\0\4\0", 4, BIT(MQ), &command), 0);
	assert_int_equal(command.pairs, PAIRS);
	assert_int_equal(decode("\5\0\2\0\0\0\0\0\0\0", 10, BIT(CTRL_GUEST_OFFLOADS) | BIT(GUEST_CSUM), &command), 0);
	assert_int_equal(command.offloads, BIT(GUEST_CSUM));
	assert_int_equal(decode("\1\0\1\0\0\0abcdef\2\0\0\0ghijklmnopqr", 28, BIT(CTRL_RX), &command), 0);
	assert_int_equal(command.macs.unicasts, 1);
	assert_int_equal(command.macs.multicasts, 2);
	assert_memory_equal(command.macs.multicast, "ghijkl", MAC_SIZE);
}

static void test_commands_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"", 0},
		{"\0", 1},
		{"\0\0", 2},
		{"\0\0\2", 3},
		{"\0\0\1\1", 4},
		{"\0\6\1", 3},
		{"\3\0\1", 3},
		{"\xff\xff\1", 3},
		{"\1\2", 2},
		{"\1\0", 2},
		{"\1\0\0\0\0\0", 6},
		{"\1\0\1\0\0\0abcde\0\0\0\0", 15},
		{"\1\0\xff\xff\xff\xff\0\0\0\0", 10},
		{"\1\0\xab\xaa\xaa\x2a\0\0\0\0", 10},
		{"\1\0\0\0\0\0\1\0\0\0abcdefg", 17},
		{"\1\1\x52\0\0\0\0", 7},
		{"\1\1\x53\0\0\0\0\1", 8},
		{"\1\1\0\0\0\0\0\0", 8},
		{"\2\0\0\x10", 4},
		{"\2\2\1\0", 4},
		{"\2\0\1", 3},
		{"\4\0\0\0", 4},
		{"\4\0\5\0", 4},
		{"\4\1\1\0", 4},
		{"\4\0\1\0\0", 5},
		{"\5\0\1\0\0\0\0\0\0\0", 10},
		{"\5\1\2\0\0\0\0\0\0\0", 10},
		{"\5\0\2\0\0\0\0\0\0", 9},
	};
	struct net_command command;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(decode(bad[i].bytes, bad[i].len, everything, &command), -EINVAL);
	/* What was not negotiated is no command. */
	for (unsigned class = 0; class < 6; class ++) {
		const uint8_t bytes[10] = {(uint8_t)class, 0, 1};

		for (size_t len = 0; len <= sizeof(bytes); len++)
			assert_int_equal(decode(bytes, len, 0, &command), -EINVAL);
	}
}

static const uint8_t own[] = {0x52, 0x54, 0, 0, 0, 1};

static bool passes(const struct net_filter *filter, const char *frame)
{
	return net_filter_passes(filter, own, (const uint8_t *)frame, NET_FILTER_BYTES);
}

static void test_filter(void **state)
{
	static const char mine[] = "\x52\x54\0\0\0\1abcdef\x08\0\0\0", other[] = "\x52\x54\0\0\0\2abcdef\x08\0\0\0";
	static const char group[] = "\x33\x33\0\0\0\1abcdef\x08\0\0\0", all[] = "\xff\xff\xff\xff\xff\xff"
										"abcdef\x08\0\0\0";
	struct net_filter filter;

	(void)state;
	net_filter_init(&filter, false);
	assert_true(passes(&filter, other) && passes(&filter, group) && passes(&filter, all));
	filter.modes[VIRTIO_NET_CTRL_RX_PROMISC] = false;
	assert_true(passes(&filter, mine) && passes(&filter, all));
	assert_false(passes(&filter, other) || passes(&filter, group));
	net_filter_set_macs(&filter.unicast, (const uint8_t *)other, 1);
	net_filter_set_macs(&filter.multicast, (const uint8_t *)group, 1);
	assert_true(passes(&filter, other) && passes(&filter, group));
	filter.modes[VIRTIO_NET_CTRL_RX_NOMULTI] = filter.modes[VIRTIO_NET_CTRL_RX_NOBCAST] = true;
	filter.modes[VIRTIO_NET_CTRL_RX_NOUNI] = true;
	assert_false(passes(&filter, mine) || passes(&filter, group) || passes(&filter, all));
	net_filter_init(&filter, false);
	filter.modes[VIRTIO_NET_CTRL_RX_PROMISC] = false;
	filter.modes[VIRTIO_NET_CTRL_RX_ALLMULTI] = true;
	assert_true(passes(&filter, group) && !passes(&filter, other));
	filter.modes[VIRTIO_NET_CTRL_RX_ALLUNI] = true;
	assert_true(passes(&filter, other));
}

static void test_filter_full(void **state)
{
	static const uint8_t many[(NET_FILTER_MACS + 1) * MAC_SIZE];
	struct net_mac_list list;

	(void)state;
	net_filter_set_macs(&list, many, NET_FILTER_MACS);
	assert_false(list.all);
	assert_int_equal(list.count, NET_FILTER_MACS);
	net_filter_set_macs(&list, many, NET_FILTER_MACS + 1);
	assert_true(list.all);
}

static void test_filter_vlan(void **state)
{
	char frame[] = "\x52\x54\0\0\0\1abcdef\x81\0\xe0\x05";
	struct net_filter filter;

	(void)state;
	net_filter_init(&filter, true);
	assert_true(passes(&filter, frame));
	filter.modes[VIRTIO_NET_CTRL_RX_PROMISC] = false;
	assert_false(passes(&filter, frame));
	net_filter_set_vlan(&filter, 5, true);
	assert_true(passes(&filter, frame));
	net_filter_set_vlan(&filter, 5, false);
	assert_false(passes(&filter, frame));
	frame[15] = 0;
	assert_true(passes(&filter, frame)); /* a priority, no VLAN */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_driver_header_good),
		cmocka_unit_test(test_driver_header_not_negotiated),
		cmocka_unit_test(test_driver_header_hostile),
		cmocka_unit_test(test_driver_header_cleaned),
		cmocka_unit_test(test_tap_header),
		cmocka_unit_test(test_features_settled),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_commands_refused),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_filter_full),
		cmocka_unit_test(test_filter_vlan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
