/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user front end that tests play, in front of a back end of the library: socket and memory are real, the device
 * is a record of what it was told. One thread: what is sent is served by the next front_serve().
 */
#ifndef TESTS_SUPPORT_FRONT_H
#define TESTS_SUPPORT_FRONT_H

#include <viommu/viommu.h>

#include "lib/vhost_user/wire/channel.h"

enum { FRONT_QUEUES = 4, FRONT_PAGE = 4096, FRONT_PAGES = 64, FRONT_SIZE = FRONT_PAGES * FRONT_PAGE };

#define FRONT_GPA 0x100000ull
#define FRONT_USER 0x7f0000000000ull
#define FRONT_PLATFORM (1ull << 33 | 1ull << 32 | 1ull << 30)

struct front_queue {
	struct viommu_backend_ring ring;
	bool running, late; /* late: the test says when it has stopped */
	unsigned starts, stops;
	uint16_t next; /* reported when it stops */
};

struct front {
	int fd, back_fd; /* its ends of the two channels; back_fd is -1 without one */
	int memory_fd;
	uint8_t *memory;
	struct viommu_backend *backend;
	struct front_queue queues[FRONT_QUEUES];
	unsigned retries;
	unsigned miss_ms, deadline_ms; /* of viommu_backend_config */
	bool shared_table;             /* likewise */
	uint64_t features;
	uint8_t config[64];
	char line[256]; /* that was logged last */
	unsigned lines; /* that were logged */
	int served;     /* what the last serve returned */
	/* Where the back end is somebody else's: what front_serve() does. */
	void (*serve)(struct front *front);
};

/* Memory, and a socket whose other end is for a back end of the caller's, with `serve` to be set. */
int front_connect(struct front *front);
void front_disconnect(struct front *front);

/* A connection with nothing said yet. @miss_ms: viommu_backend_config.miss_ms */
void front_open(struct front *front, unsigned miss_ms);
/* One of a peer's. */
void front_open_of(struct front *front, unsigned miss_ms, struct viommu_backend_peer *peer);
/* Only the back end, over a connected socket, which becomes its own. */
int front_create(struct front *front, int fd, struct viommu_backend_peer *peer);
void front_close(struct front *front);

/* Features, protocol features, back-end channel, memory table; behind an IOMMU unless features say otherwise. */
void front_setup(struct front *front, uint64_t features);

/* Serve until there is nothing to do; front->served. */
void front_serve(struct front *front);

/* Send a message as it is. */
void front_send(struct front *front, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
		const int *fds, unsigned count);

/* Is there an answer? Then which. */
bool front_answer(struct front *front, struct channel_message *message);

/* Send, serve, and the answer's u64, which has to come. */
uint64_t front_ask(struct front *front, uint32_t request, const void *payload, uint32_t size, const int *fds,
		   unsigned count);

/* What the back end sends: false where there is nothing. */
bool front_hear(struct front *front, struct vhu_iotlb *iotlb);
void front_reply(struct front *front, uint64_t value);

uint64_t front_update(struct front *front, uint64_t iova, uint64_t user, uint64_t size, uint8_t access);
uint64_t front_invalidate(struct front *front, uint64_t iova, uint64_t size);

struct vhu_region front_region(void);
uint64_t front_memory_table(struct front *front, const struct vhu_region *regions, unsigned count);

/* One access in a burst of its own: what viommu_dma_translate() says; *host: where. */
int front_touch(struct front *front, uint64_t iova, unsigned access, void **host);

/* Set a queue of 8 entries up, its ring at `at`, with a kick descriptor. */
void front_start_queue(struct front *front, unsigned queue, uint64_t at);

#endif
