/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory that an isolated back end is given instead of the guest's: a sealed memfd of fixed size. Each queue has a
 * split virtqueue in it (virtio 1.2, section 2.7), whose three parts begin on pages of their own, and then a pool of
 * bounce pages.
 *
 * Towards the back end the memory is one region of a vhost-user memory table, and the addresses in rings and
 * descriptors are guest physical addresses in that region (VIRTIO_F_ACCESS_PLATFORM is not negotiated with it). The
 * region's user address may be the same number: it tells the back end nothing about this process.
 */
#ifndef VMM_ISOLATE_BOUNCE_H
#define VMM_ISOLATE_BOUNCE_H

#include <stdint.h>

enum { BOUNCE_PAGE = 4096, BOUNCE_MAX_SIZE = 1024, BOUNCE_MAX_PAGES = 0x4000, BOUNCE_MAX_QUEUES = 64 };

/* Where the region begins; not 0, which back ends may take for a missing address. */
#define BOUNCE_BASE 0x40000000ull

struct bounce {
	int fd;
	uint8_t *host;
	uint64_t size;
	unsigned queues;
	uint16_t queue_size;
	unsigned pages; /* of each pool */
};

/* The one entry of the memory table. The offset into the fd is 0, and the user address to be told is `gpa`. */
struct bounce_region {
	int fd; /* stays the bounce memory's */
	uint64_t gpa, size;
};

/* Where a queue's rings and pool begin, as offsets into the memory. */
struct bounce_queue {
	uint64_t desc, avail, used, pages;
};

/*
 * Make the memory, all of it zero. queue_size is a power of two up to BOUNCE_MAX_SIZE; `pages` is how many each queue's
 * pool has, up to BOUNCE_MAX_PAGES. 0; -EINVAL for other numbers, or as memfd_create(), ftruncate(), fcntl() and mmap()
 * say.
 */
int bounce_init(struct bounce *bounce, unsigned queues, uint16_t queue_size, unsigned pages);

/* Cannot fail. A back end that still has the memory keeps it, and nobody else uses it. */
void bounce_fini(struct bounce *bounce);

/* What to put into SET_MEM_TABLE. */
struct bounce_region bounce_region(const struct bounce *bounce);

/* Offsets of a queue's parts; BOUNCE_BASE added they are what to put into SET_VRING_ADDR. */
struct bounce_queue bounce_queue(const struct bounce *bounce, unsigned queue);

#endif
