/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/device.h"

#include <errno.h>

#include "lib/vhost_user/back/backend.h"

int vbe_device_reset(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_queues_reset(&backend->queues, task);
	backend->status = 0;
	return 0;
}

int vbe_device_set_status(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	if (message->u64 > UINT8_MAX)
		return -EINVAL;
	if (!message->u64)
		return vbe_device_reset(backend, message, task);
	backend->status = (uint8_t)message->u64;
	return 0;
}

int vbe_device_get_status(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_task_answer(task, backend->status);
	return 0;
}

int vbe_device_set_mtu(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	const struct viommu_backend_ops *ops = backend->config.ops;

	(void)task;
	return ops->set_mtu ? ops->set_mtu(backend->config.opaque, message->u64) : -EINVAL;
}

static bool config_acceptable(const struct channel_message *message)
{
	const struct vhu_config *config = &message->config;

	return config->size && config->size <= VHU_CONFIG_MAX && config->offset <= VHU_CONFIG_MAX - config->size &&
	       message->header.size == sizeof(*config) + config->size;
}

/* "A size of 0 in the reply says that there was an error." */
int vbe_device_get_config(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	const struct viommu_backend_ops *ops = backend->config.ops;
	const struct vhu_config config = message->config;

	task->answer = true;
	if (!ops->config_get || !config_acceptable(message) ||
	    ops->config_get(backend->config.opaque, config.offset, task->reply.payload + sizeof(config), config.size))
		return 0;
	task->reply.config = config;
	task->reply.header.size = message->header.size;
	return 0;
}

int vbe_device_set_config(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	const struct viommu_backend_ops *ops = backend->config.ops;
	const struct vhu_config config = message->config;

	(void)task;
	if (!ops->config_set || !config_acceptable(message))
		return -EINVAL;
	return ops->config_set(backend->config.opaque, config.offset, message->payload + sizeof(config), config.size);
}
