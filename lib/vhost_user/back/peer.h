/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a front end could begin anew by connecting again, if it were not counted for all of its connections: descriptors
 * that are not closed yet, and lines for the operator.
 */
#ifndef LIB_VHOST_USER_BACK_PEER_H
#define LIB_VHOST_USER_BACK_PEER_H

#include <stdatomic.h>

#include <viommu/vhost_user_back.h>

struct reaper_account;

struct viommu_backend_peer {
	struct reaper_account *account; /* of descriptors that front ends send */
	_Atomic uint64_t period;        /* the stretch of time in which `lines` lines were written */
	_Atomic unsigned lines;
};

/* Where a connection's lines for the operator go. */
struct vbe_log {
	void (*write)(void *opaque, const char *line); /* NULL: nobody reads them */
	void *opaque;
	struct viommu_backend_peer *peer;
};

/* A line, if its peer has not caused too many in a short time. Any thread; several may get one or two more through. */
void vbe_log(const struct vbe_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
