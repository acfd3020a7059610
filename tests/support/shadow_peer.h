/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A back end for tests of the shadow queue, which knows only what a real one is told: the region and ring addresses. It
 * maps the memory for itself. With it comes the guest's queue in front (ring_driver.h).
 */
#ifndef TESTS_SUPPORT_SHADOW_PEER_H
#define TESTS_SUPPORT_SHADOW_PEER_H

#include "tests/support/ring_driver.h"
#include "vmm/isolate/shadow.h"

enum { PEER_BYTES = 0x10000 };

struct peer {
	struct ring *ring;
	struct bounce bounce;
	struct shadow shadow;
	uint16_t size;
	uint8_t *memory; /* the back end's own mapping */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail, next_used, guest_used;
	/* The request that was taken last. */
	uint16_t head;
	unsigned descs;
	uint32_t readable, writable;
	uint8_t sent[PEER_BYTES];
};

struct peer *peer_create(uint16_t guest_size, uint16_t shadow_size, unsigned pages, struct shadow_config config);
void peer_destroy(struct peer *peer);

/* A new process takes over: its indices begin at 0. */
void peer_begin(struct peer *peer);

/* Take the next request. False: there is none. */
bool peer_take(struct peer *peer);

/* Write these bytes to the writable part of a request, and put it into the used ring; peer_publish() shows it. */
void peer_use(struct peer *peer, uint16_t head, const void *data, uint32_t len);
void peer_publish(struct peer *peer);

/* Only the entry, as it is. */
void peer_claim(struct peer *peer, uint32_t id, uint32_t len);

/* Does the memory contain these bytes anywhere? */
bool peer_finds(const struct peer *peer, const void *bytes, size_t len);

/* The engine's calls, until there is nothing more to do. All flags that came, or an error. */
int peer_do_take(struct peer *peer);
int peer_do_give(struct peer *peer);

/*
 * The guest offers a chain that begins with descriptor `head`: `readable` bytes from one IOVA, in segments of `piece`,
 * then the writable ones. Returns how many descriptors it has.
 */
unsigned guest_offer(struct peer *peer, uint16_t head, uint64_t from, uint32_t readable, uint64_t to, uint32_t writable,
		     uint32_t piece);

/* Take a used entry of the guest's ring. False: there is none. */
bool guest_used(struct peer *peer, struct vring_used_elem *elem);

/* Bytes of guest memory, page by page. */
void guest_write(struct peer *peer, uint64_t iova, const void *bytes, size_t len);
void guest_read(struct peer *peer, uint64_t iova, void *bytes, size_t len);

#endif
