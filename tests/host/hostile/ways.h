/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways in which a hostile back end goes wrong once rings are on, a connection each. */
#ifndef TESTS_HOST_HOSTILE_WAYS_H
#define TESTS_HOST_HOSTILE_WAYS_H

#include "tests/host/hostile/peer.h"

struct way {
	const char *name;
	/* Each message; true: it was dealt with. May be NULL: as it should be. */
	bool (*answer)(struct peer *peer, struct channel_message *message);
	/* Again and again, about a thousand times a second. May be NULL. */
	void (*act)(struct peer *peer);
	unsigned ms;   /* for how long, before the connection is closed */
	bool isolated; /* only where it has no memory of the guest's: it writes over all that it has */
};

extern const struct way ways[];
extern const unsigned way_count;

#endif
