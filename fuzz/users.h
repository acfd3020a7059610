/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that use pages on threads of their own, while the target's thread gives them pages and takes them away. A
 * page that was taken away is the guest's: it writes a stamp over all of it, without a lock, so that ThreadSanitizer
 * sees a device that is late, and the stamp shows one that wrote. How threads meet is not in the input, so a finding
 * may take several runs of it; what must not happen must not happen in any.
 */
#ifndef FUZZ_USERS_H
#define FUZZ_USERS_H

#include <pthread.h>
#include <stdatomic.h>

#include <viommu/viommu.h>

#include "fuzz/fuzz.h"

enum { USERS = 2, USERS_PAGES = 8, USERS_PAGE = 4096, USERS_SCRIPT = 6 };

struct user {
	struct users *users;
	struct viommu_endpoint *endpoint;
	uint8_t *memory; /* of its pages; page N is I/O page N */
	uint8_t script[USERS_SCRIPT];
	bool given[USERS_PAGES];
	uint8_t stamp[USERS_PAGES];
	pthread_t thread;
};

struct users {
	struct user user[USERS];
	_Atomic bool stop;
	uint8_t last_stamp;
};

/* What each user does, again and again, is taken from the tape; no page is given. */
void users_start(struct users *users, struct tape *tape, struct viommu_endpoint *const *endpoints,
		 uint8_t *const *memory);

/* To be called before the page can be reached, and when it cannot be reached any more. */
void users_give(struct user *user, unsigned page);
void users_taken(struct user *user, unsigned page);
/* When none of its pages can be reached any more. */
void users_taken_all(struct user *user);

/* Begin this invalidation, wait until devices are done, and destroy it. */
void users_wait_for(struct viommu_inval *inval);

/* The threads end; pages that are the guest's are as it left them. */
void users_join(struct users *users);

#endif
