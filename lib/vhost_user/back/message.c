/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front end's messages. A message whose size or descriptors are not what the specification says ends the
 * connection; one that asks for what cannot be is refused, where it wants an answer, and counted.
 */
#include <errno.h>
#include <string.h>

#include "lib/vhost_user/back/internal.h"

#define ACCESS_PLATFORM (1ull << 33)
#define LOG_ALL (1ull << VHU_F_LOG_ALL)

static uint64_t offered(const struct viommu_backend *backend)
{
	uint64_t log = backend->config.dirty_log ? LOG_ALL : 0;

	return backend->config.features | 1ull << VHU_F_PROTOCOL_FEATURES | log;
}

static uint64_t protocol_offered(const struct viommu_backend *backend)
{
	const struct viommu_backend_ops *ops = backend->config.ops;
	uint64_t features = 1ull << VHU_PROTOCOL_F_MQ | 1ull << VHU_PROTOCOL_F_REPLY_ACK |
			    1ull << VHU_PROTOCOL_F_BACKEND_REQ | 1ull << VHU_PROTOCOL_F_RESET_DEVICE |
			    1ull << VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS | 1ull << VHU_PROTOCOL_F_STATUS;

	if (backend->config.dirty_log)
		features |= 1ull << VHU_PROTOCOL_F_LOG_SHMFD;
	if (backend->config.shared_table)
		features |= 1ull << VHU_PROTOCOL_F_SHARED_TABLE;
	if (ops->config_get)
		features |= 1ull << VHU_PROTOCOL_F_CONFIG;
	if (ops->set_mtu)
		features |= 1ull << VHU_PROTOCOL_F_MTU;
	return features;
}

/* Behind an IOMMU, or not. */
static int place_endpoint(struct viommu_backend *backend, struct vbe_task *task)
{
	int err = vbe_task_inval(task);

	if (err)
		return err;
	return backend->features & ACCESS_PLATFORM ? viommu_attach(backend->endpoint, backend->domain, task->inval)
						   : viommu_bypass(backend->endpoint, task->inval);
}

static void refresh_all(struct viommu_backend *backend)
{
	for (unsigned i = 0; i < backend->config.queues; i++)
		vbe_queue_refresh(backend, i);
}

/* While queues run: migration begins at any time. */
static int switch_log(struct viommu_backend *backend, uint64_t features, struct vbe_task *task)
{
	const uint64_t changed = backend->features ^ features;

	backend->features = features;
	return changed & LOG_ALL ? vbe_log_switch(backend, features, task) : 0;
}

/* The embedder hears of them while no queue runs. */
static int set_features(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	int err;

	if (message->u64 & ~offered(backend))
		return -EINVAL;
	if (backend->has_features && !((backend->features ^ message->u64) & ~LOG_ALL))
		return switch_log(backend, message->u64, task);
	backend->has_features = false;
	refresh_all(backend);
	if (vbe_queues_run(backend)) {
		backend->has_features = true;
		refresh_all(backend);
		return -EBUSY;
	}
	err = switch_log(backend, message->u64, task);
	if (!err)
		err = place_endpoint(backend, task);
	if (err)
		return err;
	backend->has_features = true;
	if (backend->config.ops->features)
		backend->config.ops->features(backend->config.opaque, backend->features & ~LOG_ALL);
	vbe_queues_change(backend);
	return 0;
}

static int get_features(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_task_answer(task, offered(backend));
	return 0;
}

static int get_protocol(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_task_answer(task, protocol_offered(backend));
	return 0;
}

static int set_protocol(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)task;
	if (message->u64 & ~protocol_offered(backend))
		return -EINVAL;
	lock_take(&backend->lock);
	backend->protocol_features = message->u64;
	lock_drop(&backend->lock);
	return 0;
}

static int get_queue_number(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_task_answer(task, backend->config.queue_number);
	return 0;
}

static int get_memory_slots(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)backend;
	(void)message;
	vbe_task_answer(task, VBE_REGIONS);
	return 0;
}

/* They tell nothing that would concern us. */
static int set_owner(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)backend;
	(void)message;
	(void)task;
	return 0;
}

static int reset_device(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_queues_reset(backend, task);
	backend->status = 0;
	return 0;
}

static int set_status(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	if (message->u64 > UINT8_MAX)
		return -EINVAL;
	if (!message->u64)
		return reset_device(backend, message, task);
	backend->status = (uint8_t)message->u64;
	return 0;
}

static int get_status(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_task_answer(task, backend->status);
	return 0;
}

static int set_mtu(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)task;
	return backend->config.ops->set_mtu ? backend->config.ops->set_mtu(backend->config.opaque, message->u64)
					    : -EINVAL;
}

static int set_back(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	int fd = message->fds[0];

	(void)task;
	message->fd_count = 0;
	return vbe_back_set(backend, fd);
}

static bool config_acceptable(const struct channel_message *message)
{
	const struct vhu_config *config = &message->config;

	return config->size && config->size <= VHU_CONFIG_MAX && config->offset <= VHU_CONFIG_MAX - config->size &&
	       message->header.size == sizeof(*config) + config->size;
}

/* "A size of 0 in the reply says that there was an error." */
static int get_config(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
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

static int set_config(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	const struct viommu_backend_ops *ops = backend->config.ops;
	const struct vhu_config config = message->config;

	(void)task;
	if (!ops->config_set || !config_acceptable(message))
		return -EINVAL;
	return ops->config_set(backend->config.opaque, config.offset, message->payload + sizeof(config), config.size);
}

enum { ANY_FDS = 1, ALWAYS_ANSWERED = 2, LONGER = 4 };

/* Exact sizes; `fds` is their number where the flags do not say that the handler looks. */
static const struct handler {
	uint32_t request;
	int (*handle)(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
	uint32_t size;
	unsigned fds, flags;
} handlers[] = {
	{VHU_GET_FEATURES, get_features, 0, 0, 0},
	{VHU_SET_FEATURES, set_features, sizeof(uint64_t), 0, 0},
	{VHU_SET_OWNER, set_owner, 0, 0, 0},
	{VHU_RESET_OWNER, set_owner, 0, 0, 0},
	{VHU_SET_MEM_TABLE, vbe_memory_set, offsetof(struct vhu_memory, regions), 0, ANY_FDS | LONGER},
	{VHU_SET_LOG_BASE, vbe_log_base, sizeof(struct vhu_log), 1, ALWAYS_ANSWERED},
	{VHU_SET_LOG_FD, vbe_log_event, 0, 1, 0},
	{VHU_SET_VRING_NUM, vbe_queue_message, sizeof(struct vhu_vring_state), 0, 0},
	{VHU_SET_VRING_ADDR, vbe_queue_message, sizeof(struct vhu_vring_addr), 0, 0},
	{VHU_SET_VRING_BASE, vbe_queue_message, sizeof(struct vhu_vring_state), 0, 0},
	{VHU_GET_VRING_BASE, vbe_queue_message, sizeof(struct vhu_vring_state), 0, ALWAYS_ANSWERED},
	{VHU_SET_VRING_KICK, vbe_queue_fd, sizeof(uint64_t), 0, ANY_FDS},
	{VHU_SET_VRING_CALL, vbe_queue_fd, sizeof(uint64_t), 0, ANY_FDS},
	{VHU_SET_VRING_ERR, vbe_queue_fd, sizeof(uint64_t), 0, ANY_FDS},
	{VHU_GET_PROTOCOL_FEATURES, get_protocol, 0, 0, 0},
	{VHU_SET_PROTOCOL_FEATURES, set_protocol, sizeof(uint64_t), 0, 0},
	{VHU_GET_QUEUE_NUM, get_queue_number, 0, 0, 0},
	{VHU_SET_VRING_ENABLE, vbe_queue_message, sizeof(struct vhu_vring_state), 0, 0},
	{VHU_NET_SET_MTU, set_mtu, sizeof(uint64_t), 0, 0},
	{VHU_SET_BACKEND_REQ_FD, set_back, 0, 1, 0},
	{VHU_IOTLB_MSG, vbe_iotlb, sizeof(struct vhu_iotlb), 0, ALWAYS_ANSWERED},
	{VHU_GET_CONFIG, get_config, sizeof(struct vhu_config), 0, LONGER},
	{VHU_SET_CONFIG, set_config, sizeof(struct vhu_config), 0, LONGER},
	{VHU_RESET_DEVICE, reset_device, 0, 0, 0},
	{VHU_GET_MAX_MEM_SLOTS, get_memory_slots, 0, 0, 0},
	{VHU_ADD_MEM_REG, vbe_memory_add, sizeof(struct vhu_single_region), 1, 0},
	{VHU_REM_MEM_REG, vbe_memory_remove, sizeof(struct vhu_single_region), 0, ANY_FDS},
	{VHU_SET_STATUS, set_status, sizeof(uint64_t), 0, 0},
	{VHU_GET_STATUS, get_status, 0, 0, 0},
	{VHU_SET_SHARED_TABLE, vbe_shared_set, sizeof(struct vhu_shared_table), 0, ANY_FDS | ALWAYS_ANSWERED},
};

static const struct handler *find_handler(uint32_t request)
{
	for (unsigned i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (handlers[i].request == request)
			return &handlers[i];
	return NULL;
}

static bool memory_sized(const struct channel_message *message)
{
	uint32_t count = message->memory.count;

	/* Front ends send as many regions as there are, or the whole array. */
	return count <= VHU_REGIONS_MAX &&
	       message->header.size >= offsetof(struct vhu_memory, regions) + count * sizeof(struct vhu_region) &&
	       message->header.size <= sizeof(struct vhu_memory);
}

static bool well_formed(const struct handler *handler, const struct channel_message *message)
{
	uint32_t size = message->header.size;

	if (message->header.flags & VHU_REPLY)
		return false;
	if (handler->request == VHU_SET_MEM_TABLE && !memory_sized(message))
		return false;
	if (handler->flags & LONGER ? size < handler->size : size != handler->size)
		return false;
	if (handler->request == VHU_REM_MEM_REG)
		return message->fd_count <= 1; /* older front ends send one */
	return handler->flags & ANY_FDS || message->fd_count == handler->fds;
}

static void refuse(struct viommu_backend *backend, uint32_t request, int err)
{
	lock_take(&backend->lock);
	backend->stats.refused++;
	lock_drop(&backend->lock);
	if (!backend->said_refused) /* the first one says what is wrong; a peer could fill the log with others */
		vbe_log(&backend->log, "message %u refused: %s", request, strerror(-err));
	backend->said_refused = true;
}

static bool wants_answer(const struct viommu_backend *backend, const struct channel_message *message,
			 const struct handler *handler)
{
	if (handler && handler->flags & ALWAYS_ANSWERED)
		return true;
	return message->header.flags & VHU_NEED_REPLY && backend->protocol_features >> VHU_PROTOCOL_F_REPLY_ACK & 1;
}

static int handle(struct viommu_backend *backend, struct channel_message *message, const struct handler *handler)
{
	struct vbe_task *task;
	int err = vbe_task_create(&backend->tasks, message, &task);

	if (err)
		return err;
	err = handler ? handler->handle(backend, message, task) : -ENOTSUP;
	if (err)
		refuse(backend, message->header.request, err);
	/* What has an answer of its own has no other. */
	if (!task->answer && wants_answer(backend, message, handler))
		vbe_task_answer(task, err ? 1 : 0);
	vbe_task_begin(task);
	return err == -EPROTO || err == -ENOMEM ? err : vbe_tasks_progress(&backend->tasks);
}

int vbe_message(struct viommu_backend *backend, struct channel_message *message)
{
	const struct handler *handler = find_handler(message->header.request);

	if (handler && !well_formed(handler, message)) {
		vbe_log(&backend->log, "message %u has %u bytes and %u file descriptors, which is wrong",
			message->header.request, message->header.size, message->fd_count);
		return -EPROTO;
	}
	return handle(backend, message, handler);
}
