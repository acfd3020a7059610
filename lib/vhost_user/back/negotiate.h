/* SPDX-License-Identifier: BSD-2-Clause */
/* What both ends can do: features of the device and of the protocol. */
#ifndef LIB_VHOST_USER_BACK_NEGOTIATE_H
#define LIB_VHOST_USER_BACK_NEGOTIATE_H

#include "lib/vhost_user/back/task.h"

struct viommu_backend;

#define VBE_F_ACCESS_PLATFORM (1ull << 33)

struct vbe_negotiated {
	uint64_t features; /* the driver's */
	bool complete;     /* they are there, and the embedder knows them */
	uint64_t protocol;
};

/* Of messages. Errors: the message is refused. */
int vbe_negotiate_get(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_negotiate_set(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_negotiate_get_protocol(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_negotiate_set_protocol(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);

#endif
