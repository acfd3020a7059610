/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network card whose driver writes anything: the transport's registers, all of its rings, buffers and commands, while
 * frames of any content come from the tap. Memory that is not mapped for the card is neither changed nor sent, and what
 * can be read in the registers is what there is.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "tests/support/net_driver.h"
#include "vmm/virtio/internal.h"

enum {
	PAIRS = 2,
	QUEUES = 2 * PAIRS + 1,
	MAPPED = RAM_SIZE - 0x10000,
	BUFFERS_SIZE = 0x40000,
	STEPS = 200,
	FRAME = 128,
	RING = 0x4000,
	COMMAND_AT = BUFFERS + 0x20000, /* a command of the control queue, and its answer */
	ANSWER_AT = COMMAND_AT + 0x100,
	COMMAND_MAX = 64,
	NO_ANSWER = 0xaa
};

static uint8_t secret[SECRET_SIZE]; /* what the hidden memory is full of */

/* The kernel says that there is no such interface any more. */
static bool deleted;

int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;

	va_start(args, request);
	void *argument = va_arg(args, void *);

	va_end(args);
	if (request != TUNGETIFF)
		return __real_ioctl(fd, request, argument);
	errno = EBADFD;
	return deleted ? -1 : 0;
}

static void complete(struct net_fixture *f)
{
	viommu_inval_begin(f->inval);
	CHECK(!viommu_inval_poll(f->inval), "pending");
}

/* Not all of memory, as net_driver.c has it, but what lies below MAPPED. */
static struct net_fixture *create(void)
{
	struct viommu_domain *domain;
	struct net_fixture *f;
	void *state;

	signal(SIGPIPE, SIG_IGN); /* of the socket that stands for a tap */
	net_setup(&state);
	f = state;
	CHECK(!viommu_domain_create(f->v, 1, &domain), "no domain");
	CHECK(!viommu_attach(f->endpoint, domain, f->inval), "not attached");
	complete(f);
	CHECK(!viommu_map(domain, (struct viommu_iova){0}, (struct viommu_iova){MAPPED - 1}, (struct viommu_gpa){0}, 3),
	      "not mapped");
	return f;
}

static void check_hidden(const struct net_fixture *f)
{
	const uint8_t *hidden = f->ram + MAPPED;

	CHECK(!memcmp(hidden, secret, sizeof(secret)) &&
		      !memcmp(hidden, hidden + sizeof(secret), RAM_SIZE - MAPPED - sizeof(secret)),
	      "memory that is not mapped has changed");
}

static void write_register(struct net_fixture *f, struct tape *tape)
{
	static const uint16_t areas[] = {VIRTIO_COMMON, VIRTIO_COMMON, VIRTIO_ISR, VIRTIO_DEVICE, VIRTIO_NOTIFY};
	const uint8_t kind = tape_u8(tape);
	const uint64_t offset = areas[kind % 5] + tape_below(tape, 0x48);
	const unsigned size = 1u << (kind >> 5 & 3);

	if (offset % size)
		return;
	mutex_take(&f->pci->lock);
	pci_bar_write(f->pci, VIRTIO_BAR, offset, kind & 0x80 ? tape_u64(tape) : tape_u16(tape), size);
	pci_bar_read(f->pci, VIRTIO_BAR, offset, size);
	mutex_drop(&f->pci->lock);
}

/* A descriptor where the driver of the tests puts its rings. */
static void write_desc(struct net_fixture *f, struct tape *tape)
{
	const unsigned queue = tape_below(tape, QUEUES), index = tape_below(tape, 64);
	const uint8_t kind = tape_u8(tape);
	const struct vring_desc desc = {kind & 0x80 ? tape_u64(tape) : BUFFERS + tape_u16(tape) * 4ull,
					kind & 0x40 ? tape_u32(tape) : tape_u8(tape) + 12u, kind & 7,
					(uint16_t)tape_below(tape, 65)};

	memcpy(f->ram + RINGS + queue * RING + index * sizeof(desc), &desc, sizeof(desc));
}

/* A chain of one or two buffers, or a command of the control queue with room for its answer. */
static void offer_chain(struct net_fixture *f, struct tape *tape)
{
	const unsigned queue = tape_below(tape, QUEUES), shape = tape_u8(tape);
	const bool command = queue == QUEUES - 1;
	struct vring_desc *desc = (void *)(f->ram + RINGS + queue * RING);
	struct vring_avail *avail = (void *)(f->ram + RINGS + queue * RING + 0x1000);
	const uint16_t flags = !command && queue % 2 == 0 ? VRING_DESC_F_WRITE : 0;

	tape_copy(tape, f->ram + BUFFERS, 32);
	desc[0] = (struct vring_desc){BUFFERS, command ? 2 + shape % 32 : 12 + shape * 8u,
				      (uint16_t)(flags | VRING_DESC_F_NEXT), 1};
	desc[1] = (struct vring_desc){BUFFERS + 0x10000, command ? 1 : 1 + shape * 100u,
				      (uint16_t)(flags | (command ? VRING_DESC_F_WRITE : 0)), 0};
	avail->ring[avail->idx++ % 64] = 0;
	net_kick_queue(f, queue);
}

static void offer(struct net_fixture *f, struct tape *tape)
{
	const unsigned queue = tape_below(tape, QUEUES), head = tape_below(tape, 65);
	struct vring_avail *avail = (void *)(f->ram + RINGS + queue * RING + 0x1000);

	avail->ring[avail->idx % 64] = (uint16_t)head;
	avail->idx++;
	net_kick_queue(f, queue);
}

/* A command that is right, or nearly: its header, and as many bytes as it should have. */
static size_t draw_command(uint8_t *bytes, struct tape *tape)
{
	static const struct virtio_net_ctrl_hdr headers[] = {
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC},
		{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET},
		{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET},
		{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD},
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET},
		{VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET},
	};
	static const uint8_t sizes[] = {1, 2 * sizeof(uint32_t), 6, 2, 2, 8};
	const uint8_t kind = tape_u8(tape), which = kind % 6, macs = kind >> 3 & 1;
	size_t len = sizeof(headers[0]) + sizes[which];

	memcpy(bytes, &headers[which], sizeof(headers[0]));
	bytes[1] = (uint8_t)(bytes[1] + (kind >> 6 & 1));
	tape_copy(tape, bytes + sizeof(headers[0]), COMMAND_MAX - sizeof(headers[0]));
	if (headers[which].class == VIRTIO_NET_CTRL_MQ)
		memcpy(bytes + 2, &(uint16_t){bytes[2] % (PAIRS + 2u)}, 2);
	else if (headers[which].class == VIRTIO_NET_CTRL_VLAN)
		bytes[3] &= 0x1f;
	if (which == 1) {
		/* Two lists: count, addresses. */
		memcpy(bytes + 2, &(uint32_t){macs}, 4);
		memcpy(bytes + 6 + 6 * macs, &(uint32_t){0}, 4);
		len += 6 * macs;
	}
	return kind & 0x80 ? len - 1 : len;
}

static void check_answer(struct net_fixture *f, const uint8_t *bytes)
{
	const struct virtio_net_ctrl_hdr *header = (const struct virtio_net_ctrl_hdr *)bytes;
	const uint8_t answer = f->ram[ANSWER_AT];

	CHECK(answer == VIRTIO_NET_OK || answer == VIRTIO_NET_ERR || answer == NO_ANSWER, "answer %u", answer);
	if (answer != VIRTIO_NET_OK)
		return;
	if (header->class == VIRTIO_NET_CTRL_MAC && header->cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET)
		for (unsigned i = 0; i < 6; i++)
			CHECK(net_reg(f, VIRTIO_DEVICE + i, 1) == bytes[2 + i], "byte %u of the address", i);
	if (header->class == VIRTIO_NET_CTRL_MQ)
		for (unsigned i = 1; i < PAIRS; i++)
			CHECK(fake_tap.attached[i] == (i < bytes[2]), "pair %u", i);
}

static void send_command(struct net_fixture *f, struct tape *tape)
{
	const unsigned queue = QUEUES - 1;
	struct vring_desc *desc = (void *)(f->ram + RINGS + queue * RING);
	struct vring_avail *avail = (void *)(f->ram + RINGS + queue * RING + 0x1000);
	uint8_t bytes[COMMAND_MAX];
	const size_t len = draw_command(bytes, tape);

	memcpy(f->ram + COMMAND_AT, bytes, sizeof(bytes));
	f->ram[ANSWER_AT] = NO_ANSWER;
	desc[0] = (struct vring_desc){COMMAND_AT, (uint32_t)len, VRING_DESC_F_NEXT, 1};
	desc[1] = (struct vring_desc){ANSWER_AT, 1, VRING_DESC_F_WRITE, 0};
	avail->ring[avail->idx++ % 64] = 0;
	net_kick_queue(f, queue);
	check_answer(f, bytes);
}

static void reset_queue(struct net_fixture *f, struct tape *tape)
{
	const unsigned queue = tape_below(tape, QUEUES);

	if (virtio_negotiated(&f->net->dev, VIRTIO_F_RING_RESET))
		net_queue_reset_and_enable(f, queue);
}

/* The interface goes: its other end is closed, or the kernel's news say that it was deleted. */
static void lose_tap(struct net_fixture *f, struct tape *tape)
{
	const struct tap_watch *watch = &f->net->card.tap_watch;

	if (f->net->card.tap_gone)
		return;
	deleted = tape_u8(tape) & 1;
	if (deleted && watch->watch.fd >= 0) {
		watch->watch.ready(watch->watch.opaque, EPOLLIN);
	} else {
		close(f->tap[0]);
		f->tap[0] = -1;
		net_settle(f);
	}
	deleted = false;
	CHECK(f->net->card.tap_gone, "nobody has noticed");
}

/* The device with the interface that is gone; net_boot() makes another. */
static void drop_device(struct net_fixture *f)
{
	for (unsigned i = 0; i < PAIRS; i++)
		if (f->tap[i] >= 0)
			close(f->tap[i]);
	f->pci->ops->destroy(f->pci);
	f->pci = NULL;
	f->net = NULL;
}

static void write_memory(struct net_fixture *f, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	const uint32_t at = kind & 1 ? BUFFERS + tape_u16(tape) * 4u : RINGS + tape_u32(tape) % (QUEUES * RING);

	tape_copy(tape, f->ram + at, kind & 2 ? 16 : 8);
}

static void send_frame(struct net_fixture *f, struct tape *tape)
{
	uint8_t frame[FRAME];
	const size_t len = tape_below(tape, FRAME);

	tape_copy(tape, frame, len);
	if (len && send(f->tap[tape_u8(tape) % PAIRS], frame, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
	net_settle(f);
}

static void take_frames(struct net_fixture *f)
{
	static uint8_t frame[1 << 17];

	for (unsigned i = 0; i < PAIRS; i++) {
		ssize_t got;

		if (f->tap[i] < 0)
			continue;

		while ((got = recv(f->tap[i], frame, sizeof(frame), MSG_DONTWAIT)) > 0)
			CHECK(!memmem(frame, (size_t)got, secret, sizeof(secret)), "hidden memory is sent");
	}
}

static void check_registers(struct net_fixture *f)
{
	const uint64_t size = net_reg(f, VIRTIO_COMMON + VIRTIO_PCI_COMMON_Q_SIZE, 2);
	const uint8_t known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK |
			      VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;

	CHECK(!(net_status(f) & ~known), "status 0x%x", net_status(f));
	CHECK(net_reg(f, VIRTIO_COMMON + VIRTIO_PCI_COMMON_NUMQ, 2) == QUEUES, "queues");
	CHECK(size <= VQ_MAX_SIZE && !(size & (size - 1)), "a queue of %u", (unsigned)size);
}

static void step(struct net_fixture *f, struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);

	if (choice < 50)
		offer_chain(f, tape);
	else if (choice < 80)
		write_desc(f, tape);
	else if (choice < 140)
		offer(f, tape);
	else if (choice < 170)
		write_memory(f, tape);
	else if (choice < 200)
		send_frame(f, tape);
	else if (choice < 235)
		write_register(f, tape);
	else if (choice < 240)
		pci_config_write(f->pci, PCI_COMMAND, choice & 1 ? PCI_COMMAND_MASTER : 0, 2);
	else if (choice < 246)
		send_command(f, tape);
	else if (choice < 249)
		reset_queue(f, tape);
	else if (choice < 250)
		lose_tap(f, tape);
	else
		net_settle(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct net_fixture *f;
	struct tape tape = {bytes, size};

	if (!f)
		f = create();
	make_secret(&tape, secret);
	for (unsigned at = MAPPED; at < RAM_SIZE; at += sizeof(secret))
		memcpy(f->ram + at, secret, sizeof(secret));
	memset(f->ram + BUFFERS, 0, BUFFERS_SIZE);
	net_boot(f, PAIRS, ~tape_u64(&tape) & ~(1ull << VIRTIO_F_RING_PACKED));
	for (unsigned i = 0; tape.left && i < STEPS; i++) {
		step(f, &tape);
		take_frames(f);
	}
	check_registers(f);
	pci_config_write(f->pci, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	net_device_reset(f);
	for (unsigned i = 1; i < PAIRS; i++)
		CHECK(!fake_tap.attached[i], "pair %u is in use after the reset", i);
	take_frames(f);
	check_hidden(f);
	if (f->net->card.tap_gone)
		drop_device(f);
	return 0;
}
