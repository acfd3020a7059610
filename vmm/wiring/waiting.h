/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An IOMMU that no driver of the guest takes: its devices wait, or are not confined, and nothing in the guest need say
 * so. The operator is told in one line, some time after the guest has begun, or at its end where that comes first.
 */
#ifndef VMM_WIRING_WAITING_H
#define VMM_WIRING_WAITING_H

#include <stdbool.h>

struct loop;
struct waiting;

struct waiting_config {
	struct loop *loop;
	unsigned after_ms;
	/* True: the guest has taken it, at some time. Loop thread, or when the loop does not run. */
	bool (*taken)(const void *opaque);
	const void *opaque;
	unsigned devices; /* behind it */
	/* What is said of one device and of several, behind their number. */
	const char *one, *several;
};

/*
 * The guest begins. Loop thread, or when the loop does not run, as all of these. -ENOMEM, or -errno of timerfd and
 * epoll.
 */
int waiting_create(const struct waiting_config *config, struct waiting **out);

/* It has ended: what was not told yet is told now. */
void waiting_end(struct waiting *waiting);

/* NULL is allowed. */
void waiting_destroy(struct waiting *waiting);

#endif
