/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages about the device itself: its status, configuration space and MTU. Errors: the message is refused. */
#ifndef LIB_VHOST_USER_BACK_DEVICE_H
#define LIB_VHOST_USER_BACK_DEVICE_H

#include "lib/vhost_user/back/task.h"

struct viommu_backend;

int vbe_device_reset(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_device_set_status(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_device_get_status(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_device_set_mtu(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_device_get_config(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
int vbe_device_set_config(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);

#endif
