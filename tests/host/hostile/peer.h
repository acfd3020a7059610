/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user back end for tests that wants more than it was given: it keeps each descriptor that it ever gets, maps
 * what it can, and otherwise answers as it should (tests/support/vhu_back.h). Without an IOMMU, or with one that lets
 * everything through, it also serves rings, by telling that all is done.
 */
#ifndef TESTS_HOST_HOSTILE_PEER_H
#define TESTS_HOST_HOSTILE_PEER_H

#include "tests/support/vhu_back.h"

enum { PEER_KEPT = 256, PEER_NO_RING = -1 };

struct peer_ring {
	int kick, call, err; /* PEER_NO_RING: none yet */
	bool on;
	uint16_t seen;
};

struct peer {
	struct back back; /* its hook is the user's */
	int kept[PEER_KEPT];
	unsigned kept_count;
	struct peer_ring rings[VHU_TEST_RINGS];
	uint8_t *regions[VHU_REGIONS_MAX];
	int epochs; /* the shared table's second file, or -1 */
};

/* Over a connected socket, which is its own now; `features` are offered. */
void peer_init(struct peer *peer, int fd, uint64_t features, uint64_t protocol);
/* Closes all, but for what it keeps. */
void peer_fini(struct peer *peer);

/* Look at a message, before it is answered: descriptors in it are kept. */
void peer_note(struct peer *peer, const struct channel_message *message);

/* Is a ring on? */
bool peer_running(const struct peer *peer);

/* Everything that waits in the rings is done, it says, and as many bytes are written as fit into the field. */
void peer_serve_rings(struct peer *peer);

/* How often `pattern` lies in what the descriptors lead to, all of it; what there was to read, in bytes. */
unsigned peer_search(const struct peer *peer, const char *pattern, uint64_t *bytes);

#endif
