/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user back end: an entropy device, whose one queue gets buffers and gives them back full of random bytes. It
 * serves one connection, and says at its end what it has done. What the front end's IOMMU does not let it reach it
 * asks for, and comes back to when that was answered.
 *
 *	cc backend.c $(pkg-config --cflags --libs viommu) -o backend; ./backend SOCKET
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <viommu/viommu.h>

struct rng {
	struct viommu_backend *back;
	struct viommu_backend_ring ring;
	bool running;
	uint16_t next;             /* the available entry to take */
	unsigned buffers, refused; /* given back; of those: without a byte */
};

/* The ring, and what it points to, is in the front end's memory: valid inside a section only. */
static void *find(struct viommu_section *section, uint64_t iova, uint64_t len, unsigned access)
{
	struct viommu_span span;

	if (viommu_dma_translate(section, (struct viommu_iova){iova}, len, access, &span) || span.len < len)
		return NULL;
	return span.host;
}

/* Fill one buffer, as far as it lies in one piece. How many bytes; -EAGAIN: `retry` comes. */
static int fill(struct viommu_section *section, const struct vring_desc *desc)
{
	struct viommu_span span;
	const struct viommu_iova iova = {le64toh(desc->addr)};
	int err = viommu_dma_translate(section, iova, le32toh(desc->len), VIOMMU_WRITE, &span);

	if (err)
		return err == -EAGAIN ? err : 0;
	return (int)getrandom(span.host, span.len > 256 ? 256 : span.len, 0);
}

static void work(struct rng *rng, struct viommu_section *section)
{
	const uint16_t size = rng->ring.size;
	struct vring_desc *descs = find(section, rng->ring.desc.value, sizeof(*descs) * size, VIOMMU_READ);
	struct vring_avail *avail = find(section, rng->ring.avail.value, sizeof(*avail) + 2u * size, VIOMMU_READ);
	struct vring_used *used =
		find(section, rng->ring.used.value, sizeof(*used) + sizeof(*used->ring) * size, VIOMMU_WRITE);
	const unsigned before = rng->buffers;

	if (!descs || !avail || !used)
		return;
	/* Acquire: what the driver wrote before it moved the index. Release: what we wrote before we move ours. */
	while (rng->next != le16toh(atomic_load_explicit((_Atomic uint16_t *)&avail->idx, memory_order_acquire))) {
		const uint16_t head = le16toh(avail->ring[rng->next % size]);
		const struct vring_desc desc = descs[head % size];
		const int done = fill(section, &desc);

		if (done == -EAGAIN)
			break;
		used->ring[rng->next % size] = (struct vring_used_elem){htole32(head), htole32(done < 0 ? 0 : done)};
		rng->next++;
		rng->buffers++;
		rng->refused += done <= 0;
		atomic_store_explicit((_Atomic uint16_t *)&used->idx, htole16(rng->next), memory_order_release);
	}
	if (rng->buffers != before)
		viommu_backend_interrupt(rng->back, 0);
}

/* A burst. It is the answer to a kick, and to `retry`. */
static void burst(void *opaque)
{
	struct rng *rng = opaque;
	struct viommu_section section;

	if (!rng->running || viommu_backend_begin(rng->back, &section))
		return;
	work(rng, &section);
	viommu_backend_end(rng->back, &section);
}

static int start(void *opaque, unsigned queue, const struct viommu_backend_ring *ring)
{
	struct rng *rng = opaque;

	(void)queue;
	rng->ring = *ring;
	rng->next = ring->base;
	rng->running = true;
	return 0;
}

static void stop(void *opaque, unsigned queue)
{
	struct rng *rng = opaque;

	rng->running = false;
	viommu_backend_stopped(rng->back, queue, rng->next);
}

static const struct viommu_backend_ops ops = {
	.size = sizeof(struct viommu_backend_ops), .start = start, .stop = stop, .retry = burst};

static int serve(int fd)
{
	struct rng rng = {.running = false};
	const struct viommu_backend_config config = {
		.size = sizeof(struct viommu_backend_config),
		.ops = &ops,
		.opaque = &rng,
		.features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM,
		.queues = 1,
	};
	int err = viommu_backend_create(fd, &config, &rng.back);

	while (!err) {
		struct pollfd fds[] = {{viommu_backend_fd(rng.back), POLLIN, 0},
				       {rng.running ? rng.ring.kick_fd : -1, POLLIN, 0}};

		poll(fds, 2, -1);
		if (fds[1].revents && !viommu_event_take(fds[1].fd))
			burst(&rng);
		err = viommu_backend_serve(rng.back);
	}
	viommu_backend_destroy(rng.back);
	printf("%u buffers, %u of them refused\n", rng.buffers, rng.refused);
	return err;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 2 || fd < 0 || snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[1]) < 1 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		return EXIT_FAILURE;
	return serve(accept4(fd, NULL, NULL, SOCK_CLOEXEC)) == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE;
}
