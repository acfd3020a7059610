/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front end that tests examples/backend.c: a queue of an entropy device behind an IOMMU, whose buffers are mapped
 * but for the last one. rng-front SOCKET; says what came back.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
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

#include <viommu/viommu.h>

enum { PAGE = 4096, RAM_SIZE = 16 * PAGE, ENTRIES = 8, BUFFERS = 4, BUFFER_SIZE = 64, PATIENCE_MS = 10000 };
/* Guest pages; IOVAs are as many plus IOVA. */
enum { DESC = 0, AVAIL = PAGE, USED = 2 * PAGE, DATA = 3 * PAGE, IOVA = 0x40000000 };

struct front {
	struct viommu_vhu *vhu;
	uint8_t *ram;
	bool started, lost;
};

static void nothing(void *opaque)
{
	(void)opaque;
}

static void started(void *opaque)
{
	struct front *front = opaque;

	front->started = true;
}

static void stopped(void *opaque, const uint16_t *bases, unsigned count)
{
	struct front *front = opaque;

	(void)count;
	printf("stopped at %u\n", bases[0]);
	front->started = false;
}

static void lost(void *opaque, const char *why)
{
	struct front *front = opaque;

	printf("lost: %s\n", why);
	front->lost = true;
}

static const struct viommu_vhu_ops ops = {
	.size = sizeof(struct viommu_vhu_ops), .ready = nothing, .started = started, .stopped = stopped, .lost = lost};

static uint16_t used_index(const struct front *front)
{
	const struct vring_used *used = (const void *)(front->ram + USED);

	return atomic_load_explicit((const _Atomic uint16_t *)&used->idx, memory_order_acquire);
}

/* Serve until `done` says so, or for too long. */
static bool serve_until(struct front *front, bool (*done)(const struct front *front))
{
	const time_t end = time(NULL) + PATIENCE_MS / 1000;

	while (!done(front) && !front->lost && time(NULL) < end) {
		struct pollfd fds[] = {{viommu_vhu_fd(front->vhu), POLLIN, 0}};

		poll(fds, 1, 10);
		viommu_vhu_serve(front->vhu);
	}
	return done(front);
}

static bool runs(const struct front *front)
{
	return front->started;
}

static bool stands(const struct front *front)
{
	return !front->started;
}

static bool all_used(const struct front *front)
{
	return used_index(front) == BUFFERS;
}

static void offer(struct front *front)
{
	struct vring_desc *desc = (void *)(front->ram + DESC);
	struct vring_avail *avail = (void *)(front->ram + AVAIL);

	for (unsigned i = 0; i < BUFFERS; i++) {
		desc[i] = (struct vring_desc){
			.addr = IOVA + DATA + i * PAGE, .len = BUFFER_SIZE, .flags = VRING_DESC_F_WRITE};
		avail->ring[i] = (uint16_t)i;
	}
	avail->idx = BUFFERS;
}

static void print_buffers(const struct front *front)
{
	const struct vring_used *used = (const void *)(front->ram + USED);
	static const uint8_t empty[BUFFER_SIZE];

	for (unsigned i = 0; i < BUFFERS; i++) {
		const uint8_t *data = front->ram + DATA + i * PAGE;

		printf("buffer %u: %u bytes, %s\n", used->ring[i].id, used->ring[i].len,
		       memcmp(data, empty, BUFFER_SIZE) ? "random" : "untouched");
	}
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	for (unsigned i = 0; i < PATIENCE_MS / 10; i++) {
		if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
			return fd;
		poll(NULL, 0, 10);
	}
	return -1;
}

static struct viommu_endpoint *make_guest(struct front *front, struct viommu *v)
{
	const int fd = memfd_create("ram", MFD_CLOEXEC);
	const struct viommu_iova first = {IOVA}, last = {IOVA + DATA + (BUFFERS - 1) * PAGE - 1};
	struct viommu_endpoint *endpoint;
	struct viommu_domain *domain;
	struct viommu_inval *inval;

	if (ftruncate(fd, RAM_SIZE))
		return NULL;
	front->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (front->ram == MAP_FAILED || viommu_mem_add(v, (struct viommu_gpa){0}, RAM_SIZE, front->ram, fd, 0) ||
	    viommu_endpoint_add(v, 8, "rng", &endpoint) || viommu_domain_create(v, 1, &domain) ||
	    viommu_inval_create(v, &inval) || viommu_attach(endpoint, domain, inval) ||
	    viommu_map(domain, first, last, (struct viommu_gpa){0}, VIOMMU_READ | VIOMMU_WRITE))
		return NULL;
	viommu_inval_begin(inval);
	return viommu_inval_poll(inval) ? NULL : endpoint;
}

int main(int argc, char **argv)
{
	const uint64_t features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM;
	const int kick = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const struct viommu_vhu_ring ring = {
		.size = ENTRIES,
		.desc = {IOVA + DESC},
		.driver = {IOVA + AVAIL},
		.device = {IOVA + USED},
		.kick = kick,
		.call = call,
		.err = -1,
		.enabled = true,
	};
	struct front front = {.started = false};
	struct viommu_vhu_config config = {.size = sizeof(struct viommu_vhu_config),
					   .iommu = true,
					   .features = 1ull << VIRTIO_F_VERSION_1,
					   .queues = 1,
					   .ops = &ops,
					   .opaque = &front};
	struct viommu_fault fault;
	struct viommu *v;
	eventfd_t calls;

	if (argc != 2 || viommu_create(NULL, &v) || !(config.endpoint = make_guest(&front, v)))
		return EXIT_FAILURE;
	offer(&front);
	if (viommu_vhu_create(&config, &front.vhu) || viommu_vhu_connect(front.vhu, connect_to(argv[1])) ||
	    viommu_vhu_start(front.vhu, features, &ring, 1) || !serve_until(&front, runs) ||
	    !serve_until(&front, all_used))
		return EXIT_FAILURE;
	print_buffers(&front);
	printf("interrupted: %s\n", eventfd_read(call, &calls) ? "no" : "yes");
	/* The back end says later, too, that it was refused: that is the same fault once more. */
	if (!viommu_fault_next(v, &fault))
		printf("fault: %#llx\n", (unsigned long long)fault.iova.value);
	viommu_vhu_stop(front.vhu);
	if (!serve_until(&front, stands))
		return EXIT_FAILURE;
	viommu_vhu_destroy(front.vhu);
	return EXIT_SUCCESS;
}
