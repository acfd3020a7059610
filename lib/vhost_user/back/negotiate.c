/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/negotiate.h"

#include <errno.h>

#include "lib/vhost_user/back/backend.h"

#define LOG_ALL (1ull << VHU_F_LOG_ALL)

static uint64_t offered(const struct viommu_backend *backend)
{
	uint64_t dirty_log = backend->config.dirty_log ? LOG_ALL : 0;

	return backend->config.features | 1ull << VHU_F_PROTOCOL_FEATURES | dirty_log;
}

int vbe_negotiate_get(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_task_answer(task, offered(backend));
	return 0;
}

/* The dirty log is switched while queues run: migration begins at any time. */
static int set_features(struct viommu_backend *backend, uint64_t features, struct vbe_task *task)
{
	const uint64_t changed = backend->negotiated.features ^ features;

	backend->negotiated.features = features;
	if (!(changed & LOG_ALL))
		return 0;
	vbe_dirty_log_switch(&backend->dirty_log, features & LOG_ALL);
	return vbe_task_quiesce(task, backend->endpoint);
}

/* Behind an IOMMU, or not. */
static int place_endpoint(struct viommu_backend *backend, struct vbe_task *task)
{
	int err = vbe_task_inval(task);

	if (err)
		return err;
	if (backend->negotiated.features & VBE_F_ACCESS_PLATFORM)
		return viommu_attach(backend->endpoint, backend->iotlb.domain, task->inval);
	return viommu_bypass(backend->endpoint, task->inval);
}

int vbe_negotiate_set(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	struct vbe_negotiated *negotiated = &backend->negotiated;
	int err;

	if (message->u64 & ~offered(backend))
		return -EINVAL;
	if (negotiated->complete && !((negotiated->features ^ message->u64) & ~LOG_ALL))
		return set_features(backend, message->u64, task);
	/* The embedder hears of others while no queue runs. */
	negotiated->complete = false;
	vbe_queues_refresh(&backend->queues);
	if (vbe_queues_run(&backend->queues)) {
		negotiated->complete = true;
		vbe_queues_refresh(&backend->queues);
		return -EBUSY;
	}
	err = set_features(backend, message->u64, task);
	if (!err)
		err = place_endpoint(backend, task);
	if (err)
		return err;
	negotiated->complete = true;
	if (backend->config.ops->features)
		backend->config.ops->features(backend->config.opaque, negotiated->features & ~LOG_ALL);
	vbe_queues_change(&backend->queues);
	return 0;
}

static uint64_t offered_protocol(const struct viommu_backend *backend)
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

int vbe_negotiate_get_protocol(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)message;
	vbe_task_answer(task, offered_protocol(backend));
	return 0;
}

int vbe_negotiate_set_protocol(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	(void)task;
	if (message->u64 & ~offered_protocol(backend))
		return -EINVAL;
	backend->negotiated.protocol = message->u64;
	vbe_back_channel_replied(&backend->iotlb.asking, message->u64 >> VHU_PROTOCOL_F_REPLY_ACK & 1);
	return 0;
}
