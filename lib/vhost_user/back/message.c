/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front end's messages. A message whose size or descriptors are not what the specification says ends the
 * connection; one that asks for what cannot be is refused, where it wants an answer, and counted.
 */
#include "lib/vhost_user/back/message.h"

#include <errno.h>
#include <string.h>

#include "lib/vhost_user/back/backend.h"
#include "lib/vhost_user/back/device.h"

/* They tell nothing that would concern us. */
static int message_ignore(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)backend;
	(void)message;
	(void)task;
	return 0;
}

static int get_queue_number(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_task_answer(task, backend->config.queue_number);
	return 0;
}

static int set_queue(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	return vbe_queue_message(&backend->queues, message, task);
}

static int set_queue_event(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)task;
	return vbe_queue_event_message(&backend->queues, message);
}

static int get_memory_slots(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)backend;
	(void)message;
	vbe_task_answer(task, VBE_REGIONS);
	return 0;
}

static int set_memory(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	struct vbe_new_memory new;
	int err = vbe_task_inval(task);

	if (!err)
		err = vbe_memory_map(&backend->memory, message, &new);
	if (err)
		return err;
	err = vbe_memory_replace(&backend->memory, &new, task);
	/* Translations point to where memory was. */
	if (!err)
		err = vbe_iotlb_clear(&backend->iotlb, task);
	vbe_queues_change(&backend->queues);
	return err;
}

static int add_memory(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	int err = vbe_memory_add(&backend->memory, message);

	(void)task;
	if (!err)
		vbe_queues_change(&backend->queues);
	return err;
}

static int remove_memory(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	const int index = vbe_memory_index(&backend->memory, &message->single.region);
	int err;

	if (index < 0)
		return index;
	err = vbe_iotlb_clear(&backend->iotlb, task);
	if (!err)
		err = vbe_memory_take(&backend->memory, (unsigned)index, task);
	vbe_queues_change(&backend->queues);
	return err;
}

static int set_dirty_log(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	int err = backend->config.dirty_log ? vbe_task_quiesce(task, backend->endpoint) : -ENOTSUP;

	return err ? err : vbe_dirty_log_set(&backend->dirty_log, message, &backend->memory, task);
}

static int set_dirty_log_event(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)task;
	return vbe_dirty_log_event(&backend->dirty_log, message);
}

static int set_back_channel(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)task;
	message->fd_count = 0;
	return vbe_back_channel_set(&backend->iotlb.asking, message->fds[0]);
}

static int translation(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	return vbe_iotlb_message(&backend->iotlb, message, task);
}

static int set_shared_table(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	int err = backend->config.shared_table ? 0 : -ENOTSUP;

	if (!err && vbe_queues_run(&backend->queues))
		err = -EBUSY;
	if (!err)
		err = vbe_iotlb_clear(&backend->iotlb, task);
	return err ? err : vbe_shared_set(&backend->iotlb.shared, message, task);
}

enum { ANY_FDS = 1, ALWAYS_ANSWERED = 2, LONGER = 4 };

/* Exact sizes; `fds` is their number where the flags do not say that the handler looks. */
static const struct handler {
	uint32_t request;
	int (*handle)(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task);
	uint32_t size;
	unsigned fds, flags;
} handlers[] = {
	{VHU_GET_FEATURES, vbe_negotiate_get, 0, 0, 0},
	{VHU_SET_FEATURES, vbe_negotiate_set, sizeof(uint64_t), 0, 0},
	{VHU_SET_OWNER, message_ignore, 0, 0, 0},
	{VHU_RESET_OWNER, message_ignore, 0, 0, 0},
	{VHU_SET_MEM_TABLE, set_memory, offsetof(struct vhu_memory, regions), 0, ANY_FDS | LONGER},
	{VHU_SET_LOG_BASE, set_dirty_log, sizeof(struct vhu_log), 1, ALWAYS_ANSWERED},
	{VHU_SET_LOG_FD, set_dirty_log_event, 0, 1, 0},
	{VHU_SET_VRING_NUM, set_queue, sizeof(struct vhu_vring_state), 0, 0},
	{VHU_SET_VRING_ADDR, set_queue, sizeof(struct vhu_vring_addr), 0, 0},
	{VHU_SET_VRING_BASE, set_queue, sizeof(struct vhu_vring_state), 0, 0},
	{VHU_GET_VRING_BASE, set_queue, sizeof(struct vhu_vring_state), 0, ALWAYS_ANSWERED},
	{VHU_SET_VRING_KICK, set_queue_event, sizeof(uint64_t), 0, ANY_FDS},
	{VHU_SET_VRING_CALL, set_queue_event, sizeof(uint64_t), 0, ANY_FDS},
	{VHU_SET_VRING_ERR, set_queue_event, sizeof(uint64_t), 0, ANY_FDS},
	{VHU_GET_PROTOCOL_FEATURES, vbe_negotiate_get_protocol, 0, 0, 0},
	{VHU_SET_PROTOCOL_FEATURES, vbe_negotiate_set_protocol, sizeof(uint64_t), 0, 0},
	{VHU_GET_QUEUE_NUM, get_queue_number, 0, 0, 0},
	{VHU_SET_VRING_ENABLE, set_queue, sizeof(struct vhu_vring_state), 0, 0},
	{VHU_NET_SET_MTU, vbe_device_set_mtu, sizeof(uint64_t), 0, 0},
	{VHU_SET_BACKEND_REQ_FD, set_back_channel, 0, 1, 0},
	{VHU_IOTLB_MSG, translation, sizeof(struct vhu_iotlb), 0, ALWAYS_ANSWERED},
	{VHU_GET_CONFIG, vbe_device_get_config, sizeof(struct vhu_config), 0, LONGER},
	{VHU_SET_CONFIG, vbe_device_set_config, sizeof(struct vhu_config), 0, LONGER},
	{VHU_RESET_DEVICE, vbe_device_reset, 0, 0, 0},
	{VHU_GET_MAX_MEM_SLOTS, get_memory_slots, 0, 0, 0},
	{VHU_ADD_MEM_REG, add_memory, sizeof(struct vhu_single_region), 1, 0},
	{VHU_REM_MEM_REG, remove_memory, sizeof(struct vhu_single_region), 0, ANY_FDS},
	{VHU_SET_STATUS, vbe_device_set_status, sizeof(uint64_t), 0, 0},
	{VHU_GET_STATUS, vbe_device_get_status, 0, 0, 0},
	{VHU_SET_SHARED_TABLE, set_shared_table, sizeof(struct vhu_shared_table), 0, ANY_FDS | ALWAYS_ANSWERED},
};

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

static int message_perform(struct viommu_backend *backend, struct channel_message *message,
			   const struct handler *handler)
{
	const uint32_t request = message->header.request;
	bool wants_answer = handler && handler->flags & ALWAYS_ANSWERED;
	struct vbe_task *task;
	int err = vbe_task_create(&backend->tasks, message, &task);

	if (err)
		return err;
	err = handler ? handler->handle(backend, message, task) : -ENOTSUP;
	/* The first one says what is wrong; a peer could fill the log with others. */
	if (err && !atomic_fetch_add_explicit(&backend->refused, 1, memory_order_relaxed))
		vbe_log(&backend->log, "message %u refused: %s", request, strerror(-err));
	if (message->header.flags & VHU_NEED_REPLY && backend->negotiated.protocol >> VHU_PROTOCOL_F_REPLY_ACK & 1)
		wants_answer = true;
	/* What has an answer of its own has no other. */
	if (wants_answer && !task->answer)
		vbe_task_answer(task, err ? 1 : 0);
	vbe_task_begin(task);
	return err == -EPROTO || err == -ENOMEM ? err : vbe_tasks_progress(&backend->tasks);
}

int vbe_message(struct viommu_backend *backend, struct channel_message *message)
{
	const struct handler *handler = NULL;

	for (unsigned i = 0; !handler && i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (handlers[i].request == message->header.request)
			handler = &handlers[i];
	if (handler && !well_formed(handler, message)) {
		vbe_log(&backend->log, "message %u has %u bytes and %u file descriptors, which is wrong",
			message->header.request, message->header.size, message->fd_count);
		return -EPROTO;
	}
	return message_perform(backend, message, handler);
}
