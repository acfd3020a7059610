/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vhost-net of the kernel with a transmit queue of which each frame lies in a page of its own, and a tap that nobody
 * listens to. What is measured is a frame, kernel and all: with its translation there, with a miss for it, and with as
 * many translations as the kernel keeps; and the same without an IOMMU, where the kernel has a table of all memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <net/if.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <viommu/vhost.h>

#include "bench/iotlb_guest.h"
#include "bench/iotlb_vhost.h"
#include "vmm/util/log.h"

enum {
	RING_SIZE = 256,
	FEW = 16,
	KEPT = 2000,
	BURSTS = 200,
	HEADER_SIZE = 12,
	FRAME_SIZE = 60,
	TRANSMIT = 1,
	LIMIT_US = 60000000
};

/* An EtherType for experiments (IEEE 802): no stack takes such a frame. */
enum { ETHERTYPE_AT = HEADER_SIZE + 12, ETHERTYPE = 0x88b5 };

#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)
#define PLATFORM (1ull << VIRTIO_F_ACCESS_PLATFORM)

struct vhost_bench {
	bool plain; /* without an IOMMU */
	struct iotlb_guest guest;
	struct viommu_vhost *vhost;
	int fd, tap, kick, call;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t first, pages; /* frames go round these */
};

/* Is there a vhost-net here, and may we make a tap? */
static bool open_kernel(struct vhost_bench *b)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int header = HEADER_SIZE, link;

	b->fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (b->fd < 0) {
		vmm_log("bench: no figures of vhost-net: /dev/vhost-net: %s", strerror(errno));
		return false;
	}
	b->tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (b->tap < 0 || ioctl(b->tap, TUNSETIFF, &request) || ioctl(b->tap, TUNSETVNETHDRSZ, &header)) {
		vmm_log("bench: no figures of vhost-net: a tap of its own: %s", strerror(errno));
		if (b->tap >= 0)
			close(b->tap);
		close(b->fd);
		return false;
	}
	link = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	request.ifr_flags = IFF_UP;
	if (link < 0 || ioctl(link, SIOCSIFFLAGS, &request))
		bench_fail(-errno);
	close(link);
	return true;
}

static void must_ioctl(int fd, unsigned long request, const void *argument)
{
	if (ioctl(fd, request, argument))
		bench_fail(-errno);
}

/* All of memory, or nothing. */
static void set_memory(struct vhost_bench *b)
{
	_Alignas(struct vhost_memory)
		uint8_t bytes[sizeof(struct vhost_memory) + sizeof(struct vhost_memory_region)] = {0};
	struct vhost_memory *table = (struct vhost_memory *)bytes;

	table->nregions = b->plain;
	table->regions[0] = (struct vhost_memory_region){
		.memory_size = BENCH_MEMORY,
		.userspace_addr = (uintptr_t)b->guest.memory,
	};
	must_ioctl(b->fd, VHOST_SET_MEM_TABLE, table);
}

/* The ring as the kernel is to find it. */
static uint64_t ring_address(const struct vhost_bench *b)
{
	return b->plain ? (uintptr_t)b->guest.memory : GUEST_RING;
}

static void start_iotlb(struct vhost_bench *b)
{
	if (b->plain)
		return;
	viommu_vhost_restart(b->vhost);
	bench_must(viommu_vhost_push(b->vhost, (struct viommu_iova){ring_address(b) + 2 * BENCH_PAGE}, BENCH_PAGE,
				     VIOMMU_WRITE, false));
}

static void start_queue(struct vhost_bench *b)
{
	const uint64_t features = VERSION_1 | (b->plain ? 0 : PLATFORM);
	const struct vhost_vring_state size = {.index = TRANSMIT, .num = RING_SIZE}, base = {.index = TRANSMIT};
	const struct vhost_vring_addr where = {
		.index = TRANSMIT,
		.desc_user_addr = ring_address(b),
		.avail_user_addr = ring_address(b) + BENCH_PAGE,
		.used_user_addr = ring_address(b) + 2 * BENCH_PAGE,
	};
	const struct vhost_vring_file kick = {.index = TRANSMIT, .fd = b->kick},
				      call = {.index = TRANSMIT, .fd = b->call},
				      tap = {.index = TRANSMIT, .fd = b->tap};

	must_ioctl(b->fd, VHOST_SET_FEATURES, &features);
	set_memory(b);
	must_ioctl(b->fd, VHOST_SET_VRING_NUM, &size);
	must_ioctl(b->fd, VHOST_SET_VRING_BASE, &base);
	must_ioctl(b->fd, VHOST_SET_VRING_ADDR, &where);
	must_ioctl(b->fd, VHOST_SET_VRING_KICK, &kick);
	must_ioctl(b->fd, VHOST_SET_VRING_CALL, &call);
	start_iotlb(b);
	must_ioctl(b->fd, VHOST_NET_SET_BACKEND, &tap);
}

static void make_frames(struct vhost_bench *b)
{
	b->desc = (struct vring_desc *)b->guest.memory;
	b->avail = (struct vring_avail *)(b->guest.memory + BENCH_PAGE);
	b->used = (struct vring_used *)(b->guest.memory + 2 * BENCH_PAGE);
	/* The first pages of memory are the ring's; frames that lie there are as good as any. */
	for (uint64_t page = 3; page < BENCH_MEMORY / BENCH_PAGE; page++) {
		b->guest.memory[page * BENCH_PAGE + ETHERTYPE_AT] = ETHERTYPE >> 8;
		b->guest.memory[page * BENCH_PAGE + ETHERTYPE_AT + 1] = ETHERTYPE & 0xff;
	}
}

static bool make(struct vhost_bench *b)
{
	struct viommu_vhost_config config;

	if (!open_kernel(b))
		return false;
	iotlb_guest_make(&b->guest, GUEST_TELLS);
	make_frames(b);
	b->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->kick < 0 || b->call < 0 || ioctl(b->fd, VHOST_SET_OWNER, NULL))
		bench_fail(-errno);
	config = (struct viommu_vhost_config){.size = sizeof(struct viommu_vhost_config), .fd = b->fd};
	if (!b->plain)
		bench_must(viommu_vhost_create(b->guest.endpoint, &config, &b->vhost));
	start_queue(b);
	return true;
}

static void end(struct vhost_bench *b)
{
	const struct vhost_vring_file none = {.index = TRANSMIT, .fd = -1};

	must_ioctl(b->fd, VHOST_NET_SET_BACKEND, &none);
	viommu_vhost_destroy(b->vhost);
	close(b->fd);
	close(b->tap);
	close(b->kick);
	close(b->call);
	iotlb_guest_end(&b->guest);
}

static void serve(struct vhost_bench *b)
{
	unsigned access;
	bool refused = false;
	int err = viommu_vhost_serve(b->vhost, &access, &refused);

	if (err || refused)
		bench_fail(err ? err : -EFAULT);
}

/*
 * Bursts of frames that go round `pages` from `first` on, until the kernel has sent them all. Microseconds per frame.
 */
static double send_frames(struct vhost_bench *b, unsigned bursts)
{
	double start = iotlb_now_us();
	uint16_t next = b->avail->idx;

	for (unsigned burst = 0; burst < bursts; burst++) {
		for (unsigned i = 0; i < RING_SIZE; i++) {
			uint64_t page = b->first + (burst * RING_SIZE + i) % b->pages;

			b->desc[i] = (struct vring_desc){.addr = b->plain ? bench_gpa(page) : page * BENCH_PAGE,
							 .len = HEADER_SIZE + FRAME_SIZE};
			b->avail->ring[i] = (uint16_t)i;
		}
		next = (uint16_t)(next + RING_SIZE);
		atomic_store_explicit((_Atomic uint16_t *)&b->avail->idx, next, memory_order_release);
		if (eventfd_write(b->kick, 1))
			bench_fail(-errno);
		while (atomic_load_explicit((_Atomic uint16_t *)&b->used->idx, memory_order_acquire) != next) {
			struct pollfd miss = {.fd = b->fd, .events = POLLIN};

			if (!b->plain && poll(&miss, 1, 0) > 0)
				serve(b);
			else if (iotlb_now_us() - start > LIMIT_US)
				bench_fail(-ETIMEDOUT);
		}
	}
	return (iotlb_now_us() - start) / (bursts * RING_SIZE);
}

static double hit_round(void *opaque)
{
	struct vhost_bench *b = opaque;

	b->first = 0;
	b->pages = FEW;
	return send_frames(b, BURSTS);
}

/* The pages after the few, so many that each is met once. */
static double miss(struct vhost_bench *b)
{
	b->first = FEW;
	b->pages = KEPT / RING_SIZE * RING_SIZE;
	return send_frames(b, KEPT / RING_SIZE);
}

static void report(struct vhost_bench *few, struct vhost_bench *many, struct vhost_bench *plain)
{
	const double hit = bench_median(hit_round, few);

	bench_report("iotlb", "vhost-net-frame", hit, "us", BENCH_NO_GOAL);
	bench_report("iotlb", "vhost-net-frame-plain", bench_median(hit_round, plain), "us", BENCH_NO_GOAL);
	bench_report("iotlb", "vhost-net-hit", bench_ratio(hit_round, few, plain), "x", BENCH_NO_GOAL);
	bench_report("iotlb", "vhost-net-miss", miss(many) - hit, "us", BENCH_NO_GOAL);
	bench_report("iotlb", "vhost-net-frame-stale", bench_ratio(hit_round, many, few), "x", BENCH_AT_MOST(1.1));
}

void bench_iotlb_vhost(void)
{
	struct vhost_bench benches[] = {{.plain = false}, {.plain = false}, {.plain = true}};
	unsigned made = 0;

	while (made < 3 && make(&benches[made]))
		made++;
	if (made == 3)
		report(&benches[0], &benches[1], &benches[2]);
	while (made)
		end(&benches[--made]);
}
