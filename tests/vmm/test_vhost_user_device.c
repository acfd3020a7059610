/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network card and disk whose queues a back end serves, between a driver that writes their registers and a back end in
 * a thread of its own, which listens at a socket: connected, started, lost, back again, reset.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/lingering.h"
#include "tests/support/pci_bar.h"
#include "tests/support/vhu_front.h"
#include "vmm/kvm/kvm.h"
#include "vmm/vhost_user/device.h"
#include "vmm/virtio/internal.h"

enum { RING = 0x10000, PATIENCE_S = 60 };

struct world {
	struct front *front; /* context, endpoint and memory; its own front end is not used */
	struct loop *loop;
	struct pci_dev *pci;
	char folder[32], path[64];
	int listener;
	pthread_t thread;
	_Atomic bool stop;
	/* The back end's, and this guards them. */
	pthread_mutex_t lock;
	struct back back;
	uint64_t features, protocol; /* that it offers */
	bool kill;                   /* it shall go */
	int kick, call;              /* of ring 0, or -1 */
	unsigned enables, stops, connections;
};

int kvm_ioeventfd(struct kvm *kvm, uint64_t address, unsigned len, int fd, bool add)
{
	(void)kvm, (void)address, (void)len, (void)fd, (void)add;
	return -ENOSYS;
}

static void keep_fd(struct channel_message *message, int *place)
{
	if (message->u64 & (VHU_VRING_NO_FD | VHU_VRING_INDEX_MASK) || !message->fd_count)
		return;
	if (*place >= 0)
		close(*place);
	*place = message->fds[--message->fd_count];
}

static bool watch_requests(struct back *back, struct channel_message *message)
{
	struct world *w = back->opaque;

	if (message->header.request == VHU_SET_VRING_KICK)
		keep_fd(message, &w->kick);
	if (message->header.request == VHU_SET_VRING_CALL)
		keep_fd(message, &w->call);
	w->enables += message->header.request == VHU_SET_VRING_ENABLE;
	w->stops += message->header.request == VHU_GET_VRING_BASE;
	return false;
}

static void take_connection(struct world *w)
{
	int fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	w->back = (struct back){
		.features = w->features,
		.protocol = w->protocol,
		.queues = 4,
		.hook = watch_requests,
		.opaque = w,
	};
	channel_init(&w->back.channel, fd, NULL);
	w->back.open = true;
	w->connections++;
}

static bool peer_gone(const struct back *back)
{
	char byte;

	return recv(back->channel.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void *back_main(void *opaque)
{
	struct world *w = opaque;
	const struct timespec pause = {.tv_nsec = 200000};

	while (!atomic_load(&w->stop)) {
		pthread_mutex_lock(&w->lock);
		if (!w->back.open)
			take_connection(w);
		back_serve(&w->back);
		if (w->back.open && (w->kill || peer_gone(&w->back)))
			back_close(&w->back);
		w->kill = false;
		pthread_mutex_unlock(&w->lock);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void listen_at(struct world *w)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
	w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(w->listener, 4), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	void *front;

	assert_int_equal(front_setup(&front), 0);
	w->front = front;
	assert_int_equal(loop_create(&w->loop), 0);
	snprintf(w->folder, sizeof(w->folder), "/tmp/viommu.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof(w->path), "%s/socket", w->folder);
	listen_at(w);
	pthread_mutex_init(&w->lock, NULL);
	w->features = w->protocol = UINT64_MAX;
	w->kick = w->call = -1;
	pthread_create(&w->thread, NULL, back_main, w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	void *front = w->front;

	if (w->pci)
		w->pci->ops->destroy(w->pci);
	atomic_store(&w->stop, true);
	pthread_join(w->thread, NULL);
	back_close(&w->back);
	if (w->kick >= 0)
		close(w->kick);
	if (w->call >= 0)
		close(w->call);
	close(w->listener);
	unlink(w->path);
	rmdir(w->folder);
	loop_destroy(w->loop);
	pthread_mutex_destroy(&w->lock);
	assert_int_equal(front_teardown(&front), 0);
	free(w);
	return 0;
}

static uint8_t status(struct world *w)
{
	return (uint8_t)bar_get(w->pci, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void stop_cb(void *opaque)
{
	loop_stop(opaque);
}

static void run_loop(struct world *w)
{
	struct loop_work stop = {.run = stop_cb, .opaque = w->loop};
	const struct timespec pause = {.tv_nsec = 200000};

	loop_post(w->loop, &stop);
	assert_int_equal(loop_run(w->loop), 0);
	nanosleep(&pause, NULL);
}

static unsigned counted(struct world *w, const unsigned *counter)
{
	pthread_mutex_lock(&w->lock);
	unsigned value = *counter;

	pthread_mutex_unlock(&w->lock);
	return value;
}

static void wait_for(struct world *w, const unsigned *counter, unsigned value)
{
	const time_t end = time(NULL) + PATIENCE_S;

	while (counted(w, counter) < value) {
		assert_true(time(NULL) < end);
		run_loop(w);
	}
	/* And what follows it. */
	for (unsigned i = 0; i < 20; i++)
		run_loop(w);
}

static void wait_for_status(struct world *w, uint8_t mask, uint8_t value)
{
	const time_t end = time(NULL) + PATIENCE_S;

	while ((status(w) & mask) != value) {
		assert_true(time(NULL) < end);
		run_loop(w);
	}
}

static int place(struct world *w, struct pci_dev *pci)
{
	w->pci = pci;
	pci->endpoint = w->front->endpoint;
	pci_config_write(pci, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	return pci->ops->placed(pci);
}

static int make_card_of(struct world *w, const struct vhost_user_config *config)
{
	const struct virtio_env env = {.loop = w->loop};
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct pci_dev *pci;

	assert_int_equal(vhost_user_net_create(&env, config, mac, &pci), 0);
	pci->behind = config->iommu;
	return place(w, pci);
}

static int make_card(struct world *w, unsigned pairs, bool isolate)
{
	return make_card_of(
		w, &(struct vhost_user_config){.socket = w->path, .iommu = true, .queues = pairs, .isolate = isolate});
}

static int make_net(struct world *w, unsigned pairs)
{
	return make_card(w, pairs, false);
}

static int make_disk(struct world *w)
{
	const struct virtio_env env = {.loop = w->loop};
	const struct vhost_user_config config = {.socket = w->path, .iommu = true, .queues = 1};
	struct pci_dev *pci;

	assert_int_equal(vhost_user_blk_create(&env, &config, &pci), 0);
	return place(w, pci);
}

static uint64_t ring(unsigned queue)
{
	return RING + (uint64_t)queue * BAR_QUEUE_BYTES;
}

/* The driver starts the device with some of what is offered. */
static void boot_with(struct world *w, uint64_t wanted)
{
	bar_set(w->pci, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	assert_true(bar_accept(w->pci, bar_offered(w->pci) & wanted));
	for (unsigned i = 0; i < bar_get(w->pci, VIRTIO_PCI_COMMON_NUMQ, 2); i++)
		bar_set_queue(w->pci, i, ring(i));
	bar_set(w->pci, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_DRIVER_OK);
}

static void boot(struct world *w)
{
	boot_with(w, UINT64_MAX);
}

static void map_rings(struct world *w)
{
	front_map(w->front, RING, 5 * BAR_QUEUE_BYTES, RING, 3);
}

static uint64_t drained(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void test_rings_are_handed_over(void **state)
{
	struct world *w = *state;

	map_rings(w);
	assert_int_equal(make_net(w, 1), 0);
	boot(w);
	wait_for(w, &w->enables, 2);
	pthread_mutex_lock(&w->lock);
	assert_true(w->back.acked_features >> VIRTIO_F_ACCESS_PLATFORM & 1);
	assert_int_equal(w->back.addrs[1].desc, ring(1));
	assert_int_equal(w->back.addrs[1].avail, ring(1) + BAR_AVAIL_AT);
	assert_int_equal(w->back.addrs[1].used, ring(1) + BAR_USED_AT);
	assert_int_equal(w->back.sizes[1], BAR_QUEUE_SIZE);
	/* It is kicked once, as something may wait already; then the driver's notifications arrive. */
	assert_int_equal(drained(w->kick), 1);
	bar_set(w->pci, VIRTIO_NOTIFY, 2, 0);
	assert_int_equal(drained(w->kick), 1);
	/* And its interrupts do, here by the ISR register. */
	assert_int_equal(bar_get(w->pci, VIRTIO_ISR, 1), 0);
	assert_int_equal(eventfd_write(w->call, 1), 0);
	pthread_mutex_unlock(&w->lock);
	run_loop(w);
	run_loop(w);
	assert_int_equal(bar_get(w->pci, VIRTIO_ISR, 1), 1);
}

/*
 * Where no IOMMU is in front of the card its driver needs no ACCESS_PLATFORM, and may have it all the same: addresses
 * are physical ones either way, and the back end has no device IOTLB.
 */
static void test_without_iommu_there_is_no_iotlb(void **state)
{
	const uint64_t platform = 1ull << VIRTIO_F_ACCESS_PLATFORM;
	struct world *w = *state;
	struct vhu_region region;

	assert_int_equal(viommu_bypass(w->front->endpoint, w->front->inval), 0);
	viommu_inval_begin(w->front->inval);
	assert_int_equal(viommu_inval_poll(w->front->inval), 0);
	assert_int_equal(make_card_of(w, &(struct vhost_user_config){.socket = w->path, .queues = 1}), 0);
	for (unsigned round = 0; round < 2; round++) {
		boot_with(w, round ? ~platform : UINT64_MAX);
		wait_for(w, &w->enables, 2 * (round + 1));
		pthread_mutex_lock(&w->lock);
		region = w->back.memory.regions[0];
		assert_false(w->back.acked_features & platform);
		assert_true(w->back.acked_features >> VIRTIO_F_VERSION_1 & 1);
		assert_int_equal(w->back.addrs[1].desc - region.user_address + region.guest_address, ring(1));
		pthread_mutex_unlock(&w->lock);
		bar_set(w->pci, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		wait_for_status(w, 0xff, 0);
	}
}

/* Features that the back end has not are not the device's; its own are not passed on. */
static void test_features_are_both_sides(void **state)
{
	struct world *w = *state;

	w->features =
		1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM | 1ull << VHU_F_PROTOCOL_FEATURES | 1;
	assert_int_equal(make_net(w, 2), 0);
	/* CSUM; MAC, STATUS, CTRL_VQ and MQ are the monitor's. */
	assert_int_equal(bar_offered(w->pci), 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM | 1 |
						      1 << 5 | 1 << 16 | 1 << 17 | 1 << 22);
}

static void test_goes_on_when_the_back_end_is_back(void **state)
{
	struct world *w = *state;

	map_rings(w);
	assert_int_equal(make_net(w, 1), 0);
	boot(w);
	wait_for(w, &w->enables, 2);
	for (unsigned round = 1; round <= 3; round++) {
		w->front->ram[ring(0) + BAR_USED_AT + 2] = (uint8_t)(7 * round);
		pthread_mutex_lock(&w->lock);
		w->kill = true;
		pthread_mutex_unlock(&w->lock);
		wait_for(w, &w->enables, 2 + 2 * round);
		pthread_mutex_lock(&w->lock);
		assert_int_equal(w->back.bases[0], 7 * round);
		pthread_mutex_unlock(&w->lock);
		/* The last one may have given something back and not have said so. */
		run_loop(w);
		assert_int_equal(bar_get(w->pci, VIRTIO_ISR, 1), 1);
		assert_false(status(w) & VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	assert_int_equal(counted(w, &w->connections), 4);
}

/* Answers to nothing, whose descriptors cannot be closed before the other ends are. */
static void leave_lingering(struct world *w, int others[2 * CHANNEL_FDS])
{
	struct channel_message message = {.header = {.request = VHU_GET_FEATURES, .flags = VHU_REPLY, .size = 8}};

	pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; i < 2; i++) {
		for (; message.fd_count < CHANNEL_FDS; message.fd_count++)
			message.fds[message.fd_count] = lingering(60, others++);
		assert_int_equal(channel_send(&w->back.channel, &message), 0);
		channel_close_fds(&message);
		message.fd_count = 0;
	}
	pthread_mutex_unlock(&w->lock);
}

/* So long it is not connected to again: a connection that ends at once is none that a back end could use. */
static void test_no_connection_while_descriptors_are_closed(void **state)
{
	struct world *w = *state;
	const struct timespec pause = {.tv_nsec = 10000000};
	int others[2 * CHANNEL_FDS];

	map_rings(w);
	assert_int_equal(make_net(w, 1), 0);
	boot(w);
	wait_for(w, &w->enables, 2);
	leave_lingering(w, others);
	for (unsigned i = 0; i < 50; i++) {
		run_loop(w);
		nanosleep(&pause, NULL);
	}
	assert_int_equal(counted(w, &w->connections), 1);
	for (unsigned i = 0; i < 2 * CHANNEL_FDS; i++)
		close(others[i]);
	wait_for(w, &w->enables, 4);
	assert_int_equal(counted(w, &w->connections), 2);
}

static void miss(struct world *w, uint64_t iova)
{
	pthread_mutex_lock(&w->lock);
	assert_true(w->back.requests_open);
	back_iotlb(&w->back, VHU_IOTLB_MISS, iova, VHU_ACCESS_WO, 0);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < 100; i++)
		run_loop(w);
}

static bool faulted(struct world *w, uint64_t iova)
{
	struct viommu_fault fault;

	if (viommu_fault_next(w->front->v, &fault))
		return false;
	assert_int_equal(fault.iova.value, iova);
	assert_int_equal(fault.access, VIOMMU_WRITE);
	return true;
}

/* A question that is read too late is none; what the driver has in the ring and has not mapped is one. */
static void test_only_what_a_ring_needs_is_a_fault(void **state)
{
	enum { NOWHERE = 0x40000000 };
	struct world *w = *state;
	uint8_t *ram = w->front->ram;
	struct vring_desc *desc = (void *)(ram + ring(0));
	struct vring_avail *avail = (void *)(ram + ring(0) + BAR_AVAIL_AT);
	struct vring_used *used = (void *)(ram + ring(0) + BAR_USED_AT);

	map_rings(w);
	assert_int_equal(make_net(w, 1), 0);
	boot(w);
	wait_for(w, &w->enables, 2);
	miss(w, NOWHERE);
	assert_false(faulted(w, NOWHERE));
	*desc = (struct vring_desc){.addr = NOWHERE, .len = 64, .flags = VRING_DESC_F_WRITE};
	__atomic_store_n(&avail->idx, 1, __ATOMIC_RELEASE);
	miss(w, NOWHERE + 8);
	assert_true(faulted(w, NOWHERE + 8));
	used->idx = 1;
	miss(w, NOWHERE);
	assert_false(faulted(w, NOWHERE));
	assert_false(status(w) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* The used ring of ring 0 in what an isolated back end was given. */
static void give_back_nonsense(struct world *w)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&w->lock);
	const struct vhu_region region = w->back.memory.regions[0];
	uint8_t *memory = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, w->back.memory_fds[0], 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	struct vring_used *used = (void *)(memory + (w->back.addrs[0].used - region.user_address));

	used->ring[0] = (struct vring_used_elem){.id = BAR_QUEUE_SIZE - 1};
	used->idx = 1;
	munmap(memory, region.size);
	assert_int_equal(write(w->call, &one, sizeof(one)), sizeof(one));
	pthread_mutex_unlock(&w->lock);
}

/* It is cut off, and may come again: to a driver that has reset the device. */
static void test_isolated_back_end_that_breaks_the_rules(void **state)
{
	struct world *w = *state;

	map_rings(w);
	assert_int_equal(make_card(w, 1, true), 0);
	boot(w);
	wait_for(w, &w->enables, 2);
	give_back_nonsense(w);
	wait_for_status(w, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_CONFIG_S_NEEDS_RESET);
	wait_for(w, &w->connections, 2);
	bar_set(w->pci, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	wait_for_status(w, 0xff, 0);
	boot(w);
	wait_for(w, &w->enables, 4);
	assert_false(status(w) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_reset_waits_for_the_back_end(void **state)
{
	struct world *w = *state;

	map_rings(w);
	assert_int_equal(make_net(w, 1), 0);
	boot(w);
	wait_for(w, &w->enables, 2);
	bar_set(w->pci, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_not_equal(status(w), 0);
	assert_int_equal(counted(w, &w->stops), 0);
	wait_for_status(w, 0xff, 0);
	assert_int_equal(counted(w, &w->stops), 2);
	boot(w);
	wait_for(w, &w->enables, 4);
	assert_int_equal(counted(w, &w->connections), 1);
}

static void test_reset_without_a_back_end(void **state)
{
	struct world *w = *state;

	map_rings(w);
	assert_int_equal(make_net(w, 1), 0);
	boot(w);
	wait_for(w, &w->enables, 2);
	pthread_mutex_lock(&w->lock);
	close(w->listener);
	unlink(w->path);
	w->kill = true;
	pthread_mutex_unlock(&w->lock);
	bar_set(w->pci, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	wait_for_status(w, 0xff, 0);
	boot(w); /* and waits */
	run_loop(w);
	assert_false(status(w) & VIRTIO_CONFIG_S_NEEDS_RESET);
	pthread_mutex_lock(&w->lock);
	listen_at(w);
	pthread_mutex_unlock(&w->lock);
	wait_for(w, &w->enables, 4);
}

static void test_drain_gets_the_back_end_out(void **state)
{
	struct world *w = *state;
	const time_t end = time(NULL) + PATIENCE_S;

	map_rings(w);
	assert_int_equal(make_net(w, 1), 0);
	boot(w);
	wait_for(w, &w->enables, 2);
	while (w->pci->ops->drain(w->pci, false))
		assert_true(time(NULL) < end);
	assert_int_equal(counted(w, &w->stops), 2);
}

static void test_nobody_at_the_socket(void **state)
{
	struct world *w = *state;

	pthread_mutex_lock(&w->lock);
	close(w->listener);
	pthread_mutex_unlock(&w->lock);
	assert_int_equal(vhost_user_session_check("net", w->path), 0); /* it is one, but */
	assert_int_equal(make_net(w, 1), -ECONNREFUSED);
	unlink(w->path);
	assert_int_equal(vhost_user_session_check("net", w->path), -EIO);
	pthread_mutex_lock(&w->lock);
	listen_at(w);
	pthread_mutex_unlock(&w->lock);
}

static void test_back_end_without_iotlb_is_refused(void **state)
{
	struct world *w = *state;

	w->features &= ~(1ull << VIRTIO_F_ACCESS_PLATFORM);
	assert_int_not_equal(make_net(w, 1), 0);
}

static void test_legacy_back_end_is_refused(void **state)
{
	struct world *w = *state;

	w->features &= ~(1ull << VIRTIO_F_VERSION_1);
	assert_int_equal(make_net(w, 1), -ENOTSUP);
}

/* What a disk was doing must not be done twice, nor be lost: without anybody who knows the driver has to begin anew. */
static void test_disk_with_requests_under_way(void **state)
{
	struct world *w = *state;

	w->protocol = ~(1ull << VHU_PROTOCOL_F_INFLIGHT_SHMFD);
	map_rings(w);
	assert_int_equal(make_disk(w), 0);
	boot(w);
	wait_for(w, &w->enables, 1);
	w->front->ram[ring(0) + BAR_AVAIL_AT + 2] = 1;
	pthread_mutex_lock(&w->lock);
	w->kill = true;
	pthread_mutex_unlock(&w->lock);
	wait_for_status(w, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_CONFIG_S_NEEDS_RESET);
	bar_set(w->pci, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	wait_for_status(w, 0xff, 0);
	w->front->ram[ring(0) + BAR_AVAIL_AT + 2] = 0;
	boot(w);
	wait_for(w, &w->enables, 2);
}

static void test_configuration_of_a_disk(void **state)
{
	struct world *w = *state;

	assert_int_equal(make_disk(w), 0);
	boot(w);
	assert_int_equal(bar_get(w->pci, VIRTIO_DEVICE, 8), 0);
	pthread_mutex_lock(&w->lock);
	w->back.space[1] = 1; /* 256 sectors */
	back_request(&w->back, VHU_BACKEND_CONFIG_CHANGE_MSG, 0, NULL, 0);
	pthread_mutex_unlock(&w->lock);
	const time_t end = time(NULL) + PATIENCE_S;

	while (bar_get(w->pci, VIRTIO_DEVICE, 8) != 256) {
		assert_true(time(NULL) < end);
		run_loop(w);
	}
	assert_int_equal(bar_get(w->pci, VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
	assert_int_equal(bar_get(w->pci, VIRTIO_ISR, 1), 2);
	bar_set(w->pci, VIRTIO_DEVICE + 32, 1, 1); /* the write cache */
	for (bool told = false; !told;) {
		assert_true(time(NULL) < end);
		run_loop(w);
		pthread_mutex_lock(&w->lock);
		told = w->back.space[32] == 1;
		pthread_mutex_unlock(&w->lock);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rings_are_handed_over),
		TEST(test_without_iommu_there_is_no_iotlb),
		TEST(test_features_are_both_sides),
		TEST(test_goes_on_when_the_back_end_is_back),
		TEST(test_no_connection_while_descriptors_are_closed),
		TEST(test_only_what_a_ring_needs_is_a_fault),
		TEST(test_isolated_back_end_that_breaks_the_rules),
		TEST(test_reset_waits_for_the_back_end),
		TEST(test_reset_without_a_back_end),
		TEST(test_drain_gets_the_back_end_out),
		TEST(test_nobody_at_the_socket),
		TEST(test_back_end_without_iotlb_is_refused),
		TEST(test_legacy_back_end_is_refused),
		TEST(test_disk_with_requests_under_way),
		TEST(test_configuration_of_a_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
