/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network card whose driver writes anything: the transport's registers, all of its rings, buffers and commands, while
 * frames of any content come from the tap. Memory that is not mapped for the card is neither changed nor sent, and what
 * can be read in the registers is what there is.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <sys/socket.h>

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
	RING = 0x4000
};

static uint8_t secret[SECRET_SIZE]; /* what the hidden memory is full of */

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
	take_frames(f);
	check_hidden(f);
	return 0;
}
