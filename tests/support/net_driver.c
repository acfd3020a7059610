/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/net_driver.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/pci_bar.h"
#include "vmm/kvm/kvm.h"
#include "vmm/virtio/internal.h"

struct fake_tap fake_tap;

int tap_open(const char *name, unsigned queues, int *fds)
{
	(void)name;
	for (unsigned i = 0; i < queues; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
		fds[i] = fake_tap.own[i] = pair[0];
		fake_tap.peer[i] = pair[1];
		fake_tap.attached[i] = true;
	}
	return 0;
}

void tap_close(const int *fds, unsigned queues)
{
	while (queues-- > 0)
		close(fds[queues]);
}

unsigned tap_offloads(int fd)
{
	(void)fd;
	return TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO;
}

int tap_set_offloads(int fd, unsigned offloads)
{
	(void)fd;
	fake_tap.offloads = offloads;
	return 0;
}

int tap_attach(int fd, bool attach)
{
	for (unsigned i = 0; i < NET_MAX_PAIRS; i++)
		if (fake_tap.own[i] == fd)
			fake_tap.attached[i] = attach;
	return 0;
}

unsigned tap_mtu(const char *name)
{
	(void)name;
	return fake_tap.mtu;
}

int kvm_ioeventfd(struct kvm *kvm, uint64_t address, unsigned len, int fd, bool add)
{
	(void)kvm, (void)address, (void)len, (void)fd, (void)add;
	return -ENOSYS;
}

static void note_fault(void *opaque, const struct viommu_fault *fault)
{
	struct net_fixture *f = opaque;

	(void)fault;
	f->faults++;
}

int net_setup(void **state)
{
	struct net_fixture *f = calloc(1, sizeof(*f));
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .fault = note_fault, .opaque = f};

	fake_tap = (struct fake_tap){.mtu = 1500};
	f->ram = aligned_alloc(4096, RAM_SIZE);
	memset(f->ram, 0, RAM_SIZE);
	assert_int_equal(viommu_create(&config, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, RAM_SIZE, f->ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 0x18, "0000:00:03.0", &f->endpoint), 0);
	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(loop_create(&f->loop), 0);
	*state = f;
	return 0;
}

int net_teardown(void **state)
{
	struct net_fixture *f = *state;

	if (f->pci) {
		for (unsigned i = 0; f->net && i < f->net->card.pair_count; i++)
			close(fake_tap.peer[i]);
		f->pci->ops->destroy(f->pci);
	}
	loop_destroy(f->loop);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), 0);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f);
	return 0;
}

uint64_t net_reg(struct net_fixture *f, uint64_t offset, unsigned size)
{
	return bar_get(f->pci, offset, size);
}

uint8_t net_status(struct net_fixture *f)
{
	return (uint8_t)net_reg(f, VIRTIO_COMMON + VIRTIO_PCI_COMMON_STATUS, 1);
}

static void set_status(struct net_fixture *f, uint8_t status)
{
	bar_set(f->pci, VIRTIO_COMMON + VIRTIO_PCI_COMMON_STATUS, 1, status);
}

/* The loop ends when it gets round to this, which it does after everything that waits now. */
static void stop_cb(void *opaque)
{
	loop_stop(opaque);
}

void net_settle(struct net_fixture *f)
{
	struct loop_work stop = {.run = stop_cb, .opaque = f->loop};

	/* Work posts work, and a round looks at file descriptors once. */
	for (unsigned i = 0; i < 8; i++) {
		loop_post(f->loop, &stop);
		assert_int_equal(loop_run(f->loop), 0);
	}
}

static uint64_t ring(unsigned queue)
{
	return RINGS + (uint64_t)queue * BAR_QUEUE_BYTES;
}

void net_set_queue(struct net_fixture *f, unsigned queue)
{
	bar_set_queue(f->pci, queue, ring(queue));
	f->used[queue] = 0;
}

static void run_device(struct net_fixture *f)
{
	for (unsigned i = 0; i < net_reg(f, VIRTIO_PCI_COMMON_NUMQ, 2); i++)
		net_set_queue(f, i);
	set_status(f, VIRTIO_CONFIG_S_DRIVER_OK);
}

void net_begin_device(struct net_fixture *f, uint64_t wanted)
{
	const uint64_t needed = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM;

	set_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	assert_true(bar_accept(f->pci, bar_offered(f->pci) & (wanted | needed) & ~f->without));
	run_device(f);
}

void net_start_device(struct net_fixture *f, uint64_t wanted)
{
	f->pci->endpoint = f->endpoint;
	pci_config_write(f->pci, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	memset(f->ram + RINGS, 0, BUFFERS - RINGS);
	net_begin_device(f, wanted);
	net_settle(f);
}

void net_boot(struct net_fixture *f, unsigned pairs, uint64_t features)
{
	const struct virtio_env env = {.loop = f->loop, .poll = f->poll};
	const uint8_t mac[] = {0x52, 0x54, 0, 0, 0, 1};

	if (!f->pci) {
		assert_int_equal(virtio_net_create(&env, "tap", pairs, mac, &f->pci), 0);
		f->net = (struct virtio_net *)((char *)f->pci - offsetof(struct virtio_net, dev.pci));
		memcpy(f->tap, fake_tap.peer, sizeof(f->tap));
	}
	net_start_device(f, features);
}

void net_device_reset(struct net_fixture *f)
{
	set_status(f, 0);
	net_settle(f);
	assert_int_equal(net_status(f), 0);
}

void net_queue_reset_and_enable(struct net_fixture *f, unsigned queue)
{
	bar_set(f->pci, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	bar_set(f->pci, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	net_settle(f);
	assert_int_equal(net_reg(f, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	assert_int_equal(net_reg(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	memset(f->ram + ring(queue), 0, BAR_QUEUE_BYTES);
	net_set_queue(f, queue);
	net_settle(f);
}

struct vring net_ring(struct net_fixture *f, unsigned queue)
{
	uint8_t *at = f->ram + ring(queue);

	return (struct vring){.num = BAR_QUEUE_SIZE,
			      .desc = (void *)at,
			      .avail = (void *)(at + BAR_AVAIL_AT),
			      .used = (void *)(at + BAR_USED_AT)};
}

/* Descriptors are used in the ring's order and their chains end before they come round again. */
static uint16_t put_desc(struct vring *vring, struct vring_desc desc)
{
	uint16_t index = 0;

	while (vring->desc[index].len)
		assert_true(++index < BAR_QUEUE_SIZE);
	vring->desc[index] = desc;
	return index;
}

static void publish(struct vring *vring, uint16_t head)
{
	vring->avail->ring[vring->avail->idx % BAR_QUEUE_SIZE] = head;
	__atomic_store_n(&vring->avail->idx, (uint16_t)(vring->avail->idx + 1), __ATOMIC_RELEASE);
}

void net_add(struct net_fixture *f, unsigned queue, uint64_t address, uint32_t len, bool writable)
{
	struct vring vring = net_ring(f, queue);

	publish(&vring, put_desc(&vring, (struct vring_desc){address, len, writable ? VRING_DESC_F_WRITE : 0, 0}));
}

void net_add_command(struct net_fixture *f, unsigned queue, const void *bytes, uint32_t len, uint32_t room)
{
	struct vring vring = net_ring(f, queue);
	uint16_t head = put_desc(&vring, (struct vring_desc){BUFFERS, len, 0, 0});

	memcpy(f->ram + BUFFERS, bytes, len);
	if (room) {
		vring.desc[head].flags = VRING_DESC_F_NEXT;
		f->ram[BUFFERS + BUFFER_SIZE] = 0xaa;
		vring.desc[head].next =
			put_desc(&vring, (struct vring_desc){BUFFERS + BUFFER_SIZE, room, VRING_DESC_F_WRITE, 0});
	}
	publish(&vring, head);
}

void net_kick_queue(struct net_fixture *f, unsigned queue)
{
	bar_set(f->pci, VIRTIO_NOTIFY + queue * VIRTIO_NOTIFY_MULTIPLIER, 2, queue);
	net_settle(f);
}

bool net_is_used(const struct net_fixture *f, unsigned queue)
{
	const struct vring_used *used = (const void *)(f->ram + ring(queue) + BAR_USED_AT);

	return __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) != f->used[queue];
}

bool net_used(struct net_fixture *f, unsigned queue, uint32_t *len, uint64_t *address)
{
	struct vring vring = net_ring(f, queue);
	struct vring_used_elem *elem = &vring.used->ring[f->used[queue] % BAR_QUEUE_SIZE];

	if (vring.used->idx == f->used[queue])
		return false;
	f->used[queue]++;
	assert_true(elem->id < BAR_QUEUE_SIZE);
	*len = elem->len;
	*address = vring.desc[elem->id].addr;
	if (vring.desc[elem->id].flags & VRING_DESC_F_NEXT)
		vring.desc[vring.desc[elem->id].next].len = 0;
	vring.desc[elem->id].len = 0;
	return true;
}

uint8_t net_byte(size_t index, uint8_t seed)
{
	return (uint8_t)(index * 7 + (index >> 8) + seed);
}

void net_frame_comes(struct net_fixture *f, unsigned pair, const struct virtio_net_hdr *header, size_t len,
		     uint8_t seed)
{
	static uint8_t frame[TAP_HEADER_SIZE + NET_FRAME_MAX];

	memset(frame, 0, TAP_HEADER_SIZE);
	if (header)
		memcpy(frame, header, sizeof(*header));
	for (size_t i = 0; i < len; i++)
		frame[TAP_HEADER_SIZE + i] = net_byte(i, seed);
	assert_int_equal(send(f->tap[pair], frame, TAP_HEADER_SIZE + len, 0), TAP_HEADER_SIZE + len);
	net_settle(f);
}
