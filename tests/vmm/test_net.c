/* SPDX-License-Identifier: BSD-2-Clause */
/* The network device: receiving into several buffers, hostile headers, the control queue, queue pairs. */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/net_driver.h"
#include "tests/support/pci_bar.h"
#include "vmm/virtio/internal.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

enum { RX = 0, TX = 1, CONTROL = 2, SMALL = 1024 };

static const uint64_t everything = ~0ull;

static uint64_t buffer(unsigned index)
{
	return BUFFERS + (uint64_t)index * BUFFER_SIZE;
}

static void add_buffers(struct net_fixture *f, unsigned first, unsigned count, uint32_t size)
{
	for (unsigned i = 0; i < count; i++)
		net_add(f, RX, buffer(first + i), size, true);
	net_kick_queue(f, RX);
}

/* One frame in as many buffers as its header says, all but the last one full. Returns how many. */
static unsigned expect_frame(struct net_fixture *f, size_t len, uint8_t seed)
{
	size_t done = 0;
	unsigned count = 0, told = 0;

	do {
		uint32_t used;
		uint64_t address;
		size_t skip = count ? 0 : TAP_HEADER_SIZE;

		assert_true(net_used(f, RX, &used, &address));
		if (!count)
			told = le16toh(((struct virtio_net_hdr_v1 *)(f->ram + address))->num_buffers);
		assert_true(used > skip && used - skip <= len - done);
		for (size_t i = skip; i < used; i++)
			assert_int_equal(f->ram[address + i], net_byte(done + i - skip, seed));
		done += used - skip;
		count++;
	} while (done < len);
	assert_int_equal(told, count);
	return count;
}

static void expect_nothing(struct net_fixture *f, unsigned queue)
{
	uint32_t used;
	uint64_t address;

	assert_false(net_used(f, queue, &used, &address));
}

static void test_merged(void **state)
{
	struct net_fixture *f = *state;

	net_boot(f, 1, everything & ~BIT(MTU));
	add_buffers(f, 0, 20, SMALL);
	net_frame_comes(f, 0, NULL, SMALL - TAP_HEADER_SIZE, 1);
	assert_int_equal(expect_frame(f, SMALL - TAP_HEADER_SIZE, 1), 1);
	net_frame_comes(f, 0, NULL, SMALL - TAP_HEADER_SIZE + 1, 2);
	assert_int_equal(expect_frame(f, SMALL - TAP_HEADER_SIZE + 1, 2), 2);
	/* First with what was left over, then straight into the buffers, then with too many taken. */
	for (uint8_t seed = 3; seed < 5; seed++) {
		net_frame_comes(f, 0, NULL, 5000, seed);
		assert_int_equal(expect_frame(f, 5000, seed), 5);
	}
	net_frame_comes(f, 0, NULL, 60, 6);
	assert_int_equal(expect_frame(f, 60, 6), 1);
	expect_nothing(f, RX);
	/* Nothing was lost: the six that are left hold this. */
	net_frame_comes(f, 0, NULL, 6 * SMALL - TAP_HEADER_SIZE, 7);
	assert_int_equal(expect_frame(f, 6 * SMALL - TAP_HEADER_SIZE, 7), 6);
}

/* A frame for which there are too few buffers waits, and takes none; those behind it keep their order. */
static void test_merged_late(void **state)
{
	struct net_fixture *f = *state;

	net_boot(f, 1, everything & ~BIT(MTU));
	add_buffers(f, 0, 2, SMALL);
	net_frame_comes(f, 0, NULL, 4000, 1);
	net_frame_comes(f, 0, NULL, 100, 2);
	expect_nothing(f, RX);
	add_buffers(f, 2, 1, SMALL);
	expect_nothing(f, RX);
	add_buffers(f, 3, 2, SMALL);
	assert_int_equal(expect_frame(f, 4000, 1), 4);
	assert_int_equal(expect_frame(f, 100, 2), 1);
	expect_nothing(f, RX);
}

/* A frame that waits is forgotten with its device; the buffers that it had are free again. */
static void test_late_forgotten(void **state)
{
	struct net_fixture *f = *state;

	net_boot(f, 1, everything & ~BIT(MTU));
	add_buffers(f, 0, 2, SMALL);
	net_frame_comes(f, 0, NULL, 4000, 1);
	expect_nothing(f, RX);
	net_device_reset(f);
	net_boot(f, 1, everything & ~BIT(MTU));
	add_buffers(f, 0, 2, SMALL);
	expect_nothing(f, RX);
	net_frame_comes(f, 0, NULL, 4000, 2);
	net_pair_forget_frame(&f->net->pairs[0]);
	net_kick_queue(f, RX);
	net_frame_comes(f, 0, NULL, 100, 3);
	assert_int_equal(expect_frame(f, 100, 3), 1);
	net_frame_comes(f, 0, NULL, 200, 4);
	assert_int_equal(expect_frame(f, 200, 4), 1);
}

/* A buffer that a waiting frame comes to cannot be reached: all go back, and the next frame finds others. */
static void test_late_unreachable(void **state)
{
	struct net_fixture *f = *state;
	uint32_t used;
	uint64_t address;

	net_boot(f, 1, everything & ~BIT(MTU));
	add_buffers(f, 0, 2, SMALL);
	net_frame_comes(f, 0, NULL, 4000, 1);
	net_add(f, RX, RAM_SIZE, SMALL, true);
	net_kick_queue(f, RX);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(net_used(f, RX, &used, &address));
		assert_int_equal(used, 0);
	}
	assert_true(f->faults > 0);
	add_buffers(f, 0, 2, SMALL);
	net_frame_comes(f, 0, NULL, 100, 2);
	assert_int_equal(expect_frame(f, 100, 2), 1);
}

/* The device is cut off from memory while a frame waits: the places that were found before are not used again. */
static void test_late_cut_off(void **state)
{
	struct net_fixture *f = *state;
	uint8_t before[SMALL];

	net_boot(f, 1, everything & ~BIT(MTU));
	add_buffers(f, 0, 2, SMALL);
	net_frame_comes(f, 0, NULL, 4000, 1);
	net_add(f, RX, buffer(2), BUFFER_SIZE, true);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	memcpy(before, f->ram + buffer(0), sizeof(before));
	net_kick_queue(f, RX);
	assert_true(net_status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_memory_equal(before, f->ram + buffer(0), sizeof(before));
}

/* Which all buffers of a full ring cannot hold is dropped, or it would be in the way for ever. */
static void test_merged_too_large(void **state)
{
	struct net_fixture *f = *state;

	net_boot(f, 1, everything & ~BIT(MTU));
	for (unsigned i = 0; i < 64; i++)
		net_add(f, RX, BUFFERS + i * 64ull, 64, true);
	net_kick_queue(f, RX);
	net_frame_comes(f, 0, NULL, 5000, 1);
	net_frame_comes(f, 0, NULL, 200, 2);
	assert_int_equal(expect_frame(f, 200, 2), 4);
}

static void test_merged_unreachable(void **state)
{
	struct net_fixture *f = *state;
	uint32_t used;
	uint64_t address;

	net_boot(f, 1, everything & ~BIT(MTU));
	net_add(f, RX, buffer(0), SMALL, true);
	net_add(f, RX, RAM_SIZE, SMALL, true);
	net_add(f, RX, buffer(1), SMALL, true);
	net_kick_queue(f, RX);
	net_frame_comes(f, 0, NULL, 1500, 1);
	assert_true(f->faults > 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(net_used(f, RX, &used, &address));
		assert_int_equal(used, 0);
	}
	net_frame_comes(f, 0, NULL, 1000, 2);
	assert_int_equal(expect_frame(f, 1000, 2), 1);
	net_add(f, RX, RAM_SIZE, SMALL, true);
	net_add(f, RX, buffer(2), SMALL, true);
	net_kick_queue(f, RX);
	net_frame_comes(f, 0, NULL, 60, 3);
	assert_true(net_used(f, RX, &used, &address));
	assert_int_equal(used, 0);
	assert_int_equal(expect_frame(f, 60, 3), 1);
}

static void test_single_buffers(void **state)
{
	struct net_fixture *f = *state;
	struct virtio_net_hdr segments = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = htole16(1448)};

	net_boot(f, 1, everything & ~(BIT(MRG_RXBUF) | BIT(MTU)));
	add_buffers(f, 0, 2, SMALL);
	net_frame_comes(f, 0, NULL, SMALL, 1); /* does not fit */
	expect_nothing(f, RX);
	add_buffers(f, 2, 1, BUFFER_SIZE);
	net_frame_comes(f, 0, NULL, 60, 2);
	assert_int_equal(expect_frame(f, 60, 2), 1);
	net_frame_comes(f, 0, NULL, 60, 3);
	assert_int_equal(expect_frame(f, 60, 3), 1);
	net_frame_comes(f, 0, &segments, 60000, 4);
	assert_int_equal(expect_frame(f, 60000, 4), 1);
}

/* Frames that the tap queued before the driver's features were known. */
static void test_receive_not_negotiated(void **state)
{
	struct net_fixture *f = *state;
	const struct virtio_net_hdr segments = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = htole16(1448)};

	net_boot(f, 1, BIT(MRG_RXBUF) | BIT(MTU));
	assert_int_equal(fake_tap.offloads, 0);
	add_buffers(f, 0, 8, SMALL);
	net_frame_comes(f, 0, &segments, 3000, 1);
	net_frame_comes(f, 0, NULL, 1519, 2); /* above the MTU */
	net_frame_comes(f, 0, NULL, 1518, 3);
	assert_int_equal(expect_frame(f, 1518, 3), 2);
	expect_nothing(f, RX);
}

/* Does the tap get a frame with this header? */
static bool sent(struct net_fixture *f, const struct virtio_net_hdr *header, uint32_t len)
{
	static uint8_t frame[TAP_HEADER_SIZE + NET_FRAME_MAX + 1];
	struct virtio_net_hdr_mrg_rxbuf copy = {.hdr = *header};
	uint32_t used;
	uint64_t address;
	ssize_t n;

	memcpy(f->ram + BUFFERS, &copy, sizeof(copy));
	for (uint32_t i = sizeof(copy); i < len; i++)
		f->ram[BUFFERS + i] = net_byte(i - sizeof(copy), 9);
	net_add(f, TX, BUFFERS, len, false);
	net_kick_queue(f, TX);
	assert_true(net_used(f, TX, &used, &address));
	assert_int_equal(used, 0);
	n = recv(f->tap[0], frame, sizeof(frame), 0);
	if (n < 0)
		return false;
	assert_int_equal(n, len);
	for (uint32_t i = sizeof(copy); i < len; i++)
		assert_int_equal(frame[i], net_byte(i - sizeof(copy), 9));
	return true;
}

static void test_transmit(void **state)
{
	struct net_fixture *f = *state;
	struct virtio_net_hdr header = {0};
	struct virtio_net_hdr segments = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					  .gso_size = htole16(1448),
					  .hdr_len = 0xffff};
	int size = 1 << 20;

	net_boot(f, 1, everything);
	setsockopt(fake_tap.own[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_true(sent(f, &header, 100));
	assert_true(sent(f, &segments, TAP_HEADER_SIZE + NET_FRAME_MAX));
	assert_false(sent(f, &header, TAP_HEADER_SIZE + NET_FRAME_MAX + 1));
	for (uint32_t len = 1; len <= TAP_HEADER_SIZE; len++)
		assert_false(sent(f, &header, len));
	segments.csum_start = 0xffff;
	assert_false(sent(f, &segments, 3000));
	net_device_reset(f);
	net_boot(f, 1, BIT(CSUM));
	segments.csum_start = 0;
	assert_false(sent(f, &segments, 3000));
	segments.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	assert_true(sent(f, &segments, 1500));
	assert_false(net_status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static unsigned count_used(struct net_fixture *f, unsigned queue)
{
	unsigned count = 0;
	uint32_t used;
	uint64_t address;

	while (net_used(f, queue, &used, &address))
		count++;
	return count;
}

/* Frames wait for a full tap, and the driver is not to notify. Who would tell of them, if the tap goes away? */
static void test_transmit_tap_lost(void **state)
{
	struct net_fixture *f = *state;
	enum { FRAMES = 32, LEN = 60000 };
	unsigned sent_before;

	net_boot(f, 1, everything);
	for (unsigned i = 0; i < FRAMES; i++) {
		memset(f->ram + buffer(i), 0, TAP_HEADER_SIZE);
		net_add(f, TX, buffer(i), LEN, false);
	}
	net_kick_queue(f, TX);
	sent_before = count_used(f, TX);
	assert_in_range(sent_before, 1, FRAMES - 1);
	net_tap_lost(&f->net->card, EIO);
	net_settle(f);
	assert_int_equal(sent_before + count_used(f, TX), FRAMES);
}

/* Queues that wait, one for buffers and one for a full tap, are reset; nothing of before is left, and both go on. */
static void test_queue_reset(void **state)
{
	struct net_fixture *f = *state;
	static uint8_t frame[TAP_HEADER_SIZE + NET_FRAME_MAX];
	enum { FRAMES = 32, LEN = 60000 };

	net_boot(f, 1, everything & ~BIT(MTU));
	add_buffers(f, 0, 2, SMALL);
	net_frame_comes(f, 0, NULL, 4000, 1);
	net_queue_reset_and_enable(f, RX);
	add_buffers(f, 0, 4, SMALL);
	expect_nothing(f, RX);
	net_frame_comes(f, 0, NULL, 3000, 2);
	assert_int_equal(expect_frame(f, 3000, 2), 3);
	for (unsigned i = 0; i < FRAMES; i++) {
		memset(f->ram + buffer(i), 0, TAP_HEADER_SIZE);
		net_add(f, TX, buffer(i), LEN, false);
	}
	net_kick_queue(f, TX);
	assert_in_range(count_used(f, TX), 1, FRAMES - 1);
	net_queue_reset_and_enable(f, TX);
	while (recv(f->tap[0], frame, sizeof(frame), 0) == LEN)
		;
	net_settle(f);
	assert_int_equal(recv(f->tap[0], frame, sizeof(frame), 0), -1);
	net_add(f, TX, buffer(0), 100, false);
	net_kick_queue(f, TX);
	assert_int_equal(recv(f->tap[0], frame, sizeof(frame), 0), 100);
	assert_int_equal(count_used(f, TX), 1);
	assert_false(net_status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* The answer to a command: VIRTIO_NET_OK or _ERR. */
static uint8_t command(struct net_fixture *f, unsigned queue, const char *bytes, uint32_t len)
{
	uint32_t used;
	uint64_t address;

	net_add_command(f, queue, bytes, len, 1);
	net_kick_queue(f, queue);
	assert_true(net_used(f, queue, &used, &address));
	assert_int_equal(used, 1);
	return f->ram[BUFFERS + BUFFER_SIZE];
}

static void test_control(void **state)
{
	struct net_fixture *f = *state;
	static char longest[NET_COMMAND_BYTES + 1];

	net_boot(f, 1, everything);
	assert_int_equal(fake_tap.offloads, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO);
	assert_int_equal(command(f, CONTROL, "\5\0\2\0\0\0\0\0\0\0", 10), VIRTIO_NET_OK);
	assert_int_equal(fake_tap.offloads, TUN_F_CSUM);
	assert_int_equal(command(f, CONTROL, "\5\0\0\0\0\0\0\0\0\x80", 10), VIRTIO_NET_ERR);
	assert_int_equal(fake_tap.offloads, TUN_F_CSUM);
	assert_int_equal(command(f, CONTROL, "\1\1\x52\0\0\0\0\7", 8), VIRTIO_NET_OK);
	assert_int_equal(net_reg(f, VIRTIO_DEVICE + 5, 1), 7);
	assert_int_equal(command(f, CONTROL, "\0\0\0", 3), VIRTIO_NET_OK);
	assert_int_equal(command(f, CONTROL, "\0", 1), VIRTIO_NET_ERR);
	assert_int_equal(command(f, CONTROL, "\4\0\1\0", 4), VIRTIO_NET_ERR); /* no MQ with one pair */
	assert_int_equal(command(f, CONTROL, longest, sizeof(longest)), VIRTIO_NET_ERR);
	/* Not promiscuous any more: what is not for us does not come. */
	add_buffers(f, 0, 4, BUFFER_SIZE);
	net_frame_comes(f, 0, NULL, 60, 2);
	expect_nothing(f, RX);
	net_device_reset(f);
	net_boot(f, 1, everything);
	assert_int_equal(net_reg(f, VIRTIO_DEVICE + 5, 1), 1);
	net_add_command(f, CONTROL, "\0\0\0", 3, 0);
	net_kick_queue(f, CONTROL);
	assert_true(net_status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void expect_attached(unsigned count)
{
	for (unsigned i = 0; i < NET_MAX_PAIRS; i++)
		assert_int_equal(fake_tap.attached[i], i < count);
}

static void test_pairs(void **state)
{
	struct net_fixture *f = *state;
	uint8_t frame[100];

	net_boot(f, 4, everything);
	assert_int_equal(net_reg(f, VIRTIO_DEVICE + 8, 2), 4);
	expect_attached(1);
	net_add(f, 2, buffer(4), BUFFER_SIZE, true); /* receiveq2, before it is in use */
	net_kick_queue(f, 2);
	assert_int_equal(command(f, 8, "\4\0\3\0", 4), VIRTIO_NET_OK);
	expect_attached(3);
	net_frame_comes(f, 1, NULL, 60, 1);
	assert_int_equal(f->ram[buffer(4) + TAP_HEADER_SIZE + 5], net_byte(5, 1));
	assert_int_equal(command(f, 8, "\4\0\1\0", 4), VIRTIO_NET_OK);
	expect_attached(1);
	/* What the driver left in another pair goes out by the first one. */
	memset(f->ram + buffer(2), 0, sizeof(frame));
	net_add(f, 3, buffer(2), sizeof(frame), false);
	net_kick_queue(f, 3);
	assert_int_equal(recv(f->tap[1], frame, sizeof(frame), 0), -1);
	assert_int_equal(recv(f->tap[0], frame, sizeof(frame), 0), sizeof(frame));
	assert_int_equal(command(f, 8, "\4\0\4\0", 4), VIRTIO_NET_OK);
	expect_attached(4);
	net_device_reset(f);
	expect_attached(1);
	/* A driver without MQ finds the control queue where a device with one pair has it. */
	net_boot(f, 4, everything & ~BIT(MQ));
	assert_int_equal(command(f, CONTROL, "\0\0\1", 3), VIRTIO_NET_OK);
	assert_int_equal(command(f, CONTROL, "\4\0\2\0", 4), VIRTIO_NET_ERR);
	expect_attached(1);
}

/* A driver that knows no ACCESS_PLATFORM works where no IOMMU is in front of the device, and only there. */
static void test_platform(void **state)
{
	const uint64_t version = 1ull << VIRTIO_F_VERSION_1, platform = 1ull << VIRTIO_F_ACCESS_PLATFORM;
	struct net_fixture *f = *state;
	uint32_t used;
	uint64_t address;

	net_boot(f, 1, 0);
	for (unsigned behind = 0; behind < 2; behind++) {
		f->pci->behind = behind;
		net_device_reset(f);
		assert_int_equal(bar_accept(f->pci, version), !behind);
		net_device_reset(f);
		assert_true(bar_accept(f->pci, version | platform));
		net_device_reset(f);
		assert_false(bar_accept(f->pci, platform));
		net_device_reset(f);
		assert_false(bar_accept(f->pci, 0));
	}
	f->pci->behind = false;
	f->without = platform;
	net_device_reset(f);
	net_boot(f, 1, 0);
	memset(f->ram + BUFFERS, 0, SMALL);
	net_add(f, TX, BUFFERS, SMALL, false);
	net_kick_queue(f, TX);
	assert_true(net_used(f, TX, &used, &address));
	assert_int_equal(address, BUFFERS);
}

static unsigned count_lines(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	unsigned count = 0;
	char byte;

	while (poll(&poll_fd, 1, 0) == 1 && read(fd, &byte, 1) == 1)
		count += byte == '\n';
	return count;
}

/* A guest that restarts has its devices made anew, and the limit of their lines must not be. */
static void test_lines_of_guests_one_after_the_other(void **state)
{
	const time_t begin = time(NULL);
	int lines[2], saved = dup(STDERR_FILENO);
	unsigned said;

	assert_int_equal(pipe(lines), 0);
	dup2(lines[1], STDERR_FILENO);
	for (unsigned i = 0; i < 200; i++) {
		struct net_fixture *f = *state;

		net_boot(f, 1, everything);
		virtio_fail(&f->net->dev, "broken by a test");
		net_teardown(state);
		net_setup(state);
	}
	net_boot(*state, 1, everything);
	dup2(saved, STDERR_FILENO);
	said = count_lines(lines[0]);
	close(lines[0]);
	close(lines[1]);
	close(saved);
	/* Ten in five seconds. */
	assert_in_range(said, 1, 10 * (2 + (uint64_t)(time(NULL) - begin) / 5));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, net_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_merged),
		TEST(test_merged_late),
		TEST(test_late_forgotten),
		TEST(test_late_unreachable),
		TEST(test_late_cut_off),
		TEST(test_merged_too_large),
		TEST(test_merged_unreachable),
		TEST(test_single_buffers),
		TEST(test_receive_not_negotiated),
		TEST(test_transmit),
		TEST(test_platform),
		TEST(test_transmit_tap_lost),
		TEST(test_queue_reset),
		TEST(test_control),
		TEST(test_lines_of_guests_one_after_the_other),
		TEST(test_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
