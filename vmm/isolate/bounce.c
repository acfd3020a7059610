/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/isolate/bounce.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>
#include <unistd.h>

/* Bytes of whole pages. The 2 bytes behind each ring are its event field, section 2.7.10. */
static uint64_t round_up(uint64_t bytes)
{
	return (bytes + BOUNCE_PAGE - 1) & ~(uint64_t)(BOUNCE_PAGE - 1);
}

struct bounce_queue bounce_queue(const struct bounce *bounce, unsigned queue)
{
	const uint64_t size = bounce->queue_size;
	const uint64_t avail = round_up(size * sizeof(struct vring_desc));
	const uint64_t used = avail + round_up(sizeof(struct vring_avail) + 2 * size + 2);
	const uint64_t pages = used + round_up(sizeof(struct vring_used) + 8 * size + 2);
	const uint64_t at = queue * (pages + (uint64_t)bounce->pages * BOUNCE_PAGE);

	return (struct bounce_queue){at, at + avail, at + used, at + pages};
}

struct bounce_region bounce_region(const struct bounce *bounce)
{
	return (struct bounce_region){bounce->fd, BOUNCE_BASE, bounce->size};
}

int bounce_init(struct bounce *bounce, unsigned queues, uint16_t queue_size, unsigned pages)
{
	int ret;

	*bounce = (struct bounce){.fd = -1, .queues = queues, .queue_size = queue_size, .pages = pages};
	if (!queues || queues > BOUNCE_MAX_QUEUES || !queue_size || queue_size > BOUNCE_MAX_SIZE ||
	    (queue_size & (queue_size - 1)) || !pages || pages > BOUNCE_MAX_PAGES)
		return -EINVAL;
	bounce->size = bounce_queue(bounce, queues).desc;
	bounce->fd = memfd_create("viommu-bounce", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (bounce->fd < 0)
		return -errno;
	/* Nobody can shrink the file, which would end this process by SIGBUS, grow it, or forbid us to write to it. */
	if (ftruncate(bounce->fd, (off_t)bounce->size) ||
	    fcntl(bounce->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		ret = -errno;
		goto err_close;
	}
	bounce->host = mmap(NULL, bounce->size, PROT_READ | PROT_WRITE, MAP_SHARED, bounce->fd, 0);
	if (bounce->host == MAP_FAILED) {
		ret = -errno;
		goto err_close;
	}
	return 0;
err_close:
	close(bounce->fd);
	*bounce = (struct bounce){.fd = -1};
	return ret;
}

void bounce_fini(struct bounce *bounce)
{
	if (bounce->host)
		munmap(bounce->host, bounce->size);
	if (bounce->fd >= 0)
		close(bounce->fd);
	*bounce = (struct bounce){.fd = -1};
}
