/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A back end at a socket, as the devices see it: connected when the machine is made, and again and again after it was
 * lost. Runs on the event loop; the operator gets a line for each loss and for each return.
 */
#ifndef VMM_VHOST_USER_SESSION_H
#define VMM_VHOST_USER_SESSION_H

#include <viommu/viommu.h>

#include "vmm/util/loop.h"

struct vhost_user_session_ops {
	void (*started)(void *opaque); /* the rings are the back end's: at first, and after each return */
	void (*stopped)(void *opaque);
	void (*config_changed)(void *opaque); /* may be NULL */
	void (*lost)(void *opaque);
	/* It was lost, and cannot go on where it was: the driver has to reset the device. */
	void (*broken)(void *opaque, const char *why);
	/* As that of struct viommu_vhu_ops; may be NULL. */
	bool (*wants)(void *opaque, struct viommu_iova iova, unsigned access);
};

struct vhost_user_session {
	const char *what, *path; /* "net" or "disk", and the socket: for lines, and to connect */
	struct viommu_vhu *front;
	struct loop *loop;
	struct loop_watch watch;
	int retry_fd; /* a timer; -1: none */
	struct loop_watch retry_watch;
	bool retrying, down; /* down: its loss was told, its return was not */
	const struct vhost_user_session_ops *ops;
	void *opaque;
	char why[160]; /* told last */
};

/* Before there is a machine: 0 if there is a socket; else -errno after a line. */
int vhost_user_session_check(const char *what, const char *path);

/*
 * Connect and negotiate, in bounded time, before the guest runs. `config` without ops; session->what, path, loop, ops
 * and opaque are set. -errno after a line; then there is nothing to fini.
 */
int vhost_user_session_init(struct vhost_user_session *session, const struct viommu_vhu_config *config);
void vhost_user_session_fini(struct vhost_user_session *session);

/* Have no more of this back end: as if it had been lost. */
void vhost_user_session_cut(struct vhost_user_session *session, const char *why);

#endif
