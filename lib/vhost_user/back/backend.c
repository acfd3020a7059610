/* SPDX-License-Identifier: BSD-2-Clause */
/* A back end's life. */
#include "lib/vhost_user/back/backend.h"

#include <errno.h>
#include <stdlib.h>

#include <viommu/event.h>

#include "lib/util/clock.h"
#include "lib/util/sized.h"
#include "lib/vhost_user/wire/reaper.h"

enum { DEFAULT_QUEUE_SIZE = 1024, QUEUE_SIZE_MAX = 32768, DEFAULT_MISS_MS = 60000, DEFAULT_DEADLINE_MS = 2000 };

static void core_log(void *opaque, const char *line)
{
	const struct viommu_backend *backend = opaque;

	vbe_log(&backend->log, "%s", line);
}

/* Perhaps an answer waits for whoever let go. */
static void core_progress(void *opaque)
{
	struct viommu_backend *backend = opaque;

	vbe_connection_wake(&backend->connection);
}

static void drop_core(struct viommu_backend *backend)
{
	vbe_tasks_fini(&backend->tasks);
	viommu_domain_destroy(backend->iotlb.domain);
	if (backend->endpoint) {
		viommu__endpoint_set_sink(backend->endpoint, NULL, NULL);
		viommu_endpoint_remove(backend->endpoint);
	}
	viommu_destroy(backend->v);
}

static int make_core(struct viommu_backend *backend)
{
	const struct viommu_config config = {
		.size = sizeof(struct viommu_config),
		.domain_table_bytes = backend->config.table_bytes,
		.deadline_ms = backend->config.deadline_ms,
		.log = core_log,
		.progress = core_progress,
		.opaque = backend,
	};
	struct vbe_iotlb *iotlb = &backend->iotlb;
	int err = viommu_create(&config, &backend->v);

	backend->tasks.v = backend->memory.v = iotlb->shared.v = backend->v;
	if (!err)
		err = viommu_endpoint_add(backend->v, 0, "device", &backend->endpoint);
	if (!err)
		err = viommu__endpoint_set_sink(backend->endpoint, vbe_fault, &iotlb->asking);
	if (!err)
		err = viommu__domain_create_walked(backend->v, &vbe_walk_ops, iotlb, &iotlb->domain);
	if (err)
		drop_core(backend);
	return err;
}

static bool acceptable(const struct viommu_backend_config *config)
{
	unsigned size = config->queue_size;

	return config->ops->start && config->ops->stop && config->ops->retry && config->queues &&
	       config->queues <= VIOMMU_BACKEND_QUEUES && size <= QUEUE_SIZE_MAX && !(size & (size - 1));
}

static void set_config(struct viommu_backend *backend, const struct viommu_backend_config *config)
{
	backend->config = *config;
	backend->ops = *config->ops;
	backend->config.ops = &backend->ops;
	if (!config->queue_size)
		backend->config.queue_size = DEFAULT_QUEUE_SIZE;
	if (!config->queue_number)
		backend->config.queue_number = config->queues;
	if (!config->miss_ms)
		backend->config.miss_ms = DEFAULT_MISS_MS;
	if (!config->deadline_ms)
		backend->config.deadline_ms = DEFAULT_DEADLINE_MS;
}

/* Each part is given those that it works with. */
static void connect_parts(struct viommu_backend *backend)
{
	struct reaper_account *account = backend->peer->account;
	struct vbe_iotlb *iotlb = &backend->iotlb;
	struct vbe_queues *queues = &backend->queues;

	backend->memory.log = &backend->log;
	iotlb->memory = &backend->memory;
	iotlb->asking.account = account;
	iotlb->asking.log = &backend->log;
	iotlb->asking.shared = &iotlb->shared;
	iotlb->asking.alarm = &backend->connection.alarm;
	iotlb->asking.limit_ns = backend->config.miss_ms * NS_PER_MS;
	iotlb->asking.epoll_fd = backend->connection.epoll_fd;
	queues->config = &backend->config;
	queues->negotiated = &backend->negotiated;
	queues->memory = &backend->memory;
	queues->log = &backend->log;
	queues->tasks = &backend->tasks;
	queues->account = account;
	vbe_tasks_init(&backend->tasks, &backend->connection.front, &backend->log);
}

/* Of a connection that is over nothing is left, as far as that depends on us. */
static void leave_peer(struct viommu_backend *backend)
{
	if (backend->config.peer)
		reaper_settle(backend->peer->account);
	else
		viommu_backend_peer_destroy(backend->peer);
}

/* With a peer, which is the backend's own where the embedder has none. */
static struct viommu_backend *backend_alloc(const struct viommu_backend_config *config)
{
	struct viommu_backend *backend = lines_alloc(sizeof(*backend));

	if (!backend)
		return NULL;
	set_config(backend, config);
	backend->peer = config->peer;
	if (!backend->peer && viommu_backend_peer_create(&backend->peer)) {
		free(backend);
		return NULL;
	}
	backend->log = (struct vbe_log){config->ops->log, config->opaque, backend->peer};
	return backend;
}

static int backend_init(struct viommu_backend *backend, int fd)
{
	struct vbe_connection *connection = &backend->connection;
	int err = vbe_connection_init(connection, fd, backend->peer->account, &backend->log);

	if (err)
		return err;
	connect_parts(backend);
	err = viommu_event_setup();
	if (!err)
		err = vbe_queues_init(&backend->queues);
	if (err)
		goto err_connection;
	err = vbe_asking_init(&backend->iotlb.asking);
	if (err)
		goto err_queues;
	err = vbe_dirty_log_init(&backend->dirty_log, backend->peer->account);
	if (err)
		goto err_asking;
	err = make_core(backend);
	if (!err)
		return 0;
	vbe_dirty_log_fini(&backend->dirty_log);
err_asking:
	vbe_asking_fini(&backend->iotlb.asking);
err_queues:
	vbe_queues_fini(&backend->queues);
err_connection:
	vbe_connection_fini(connection);
	return err;
}

/* Our own copies of what the caller has given. */
static int take_config(struct viommu_backend_config *config, struct viommu_backend_ops *ops,
		       const struct viommu_backend_config *given)
{
	int err = sized_take(config, sizeof(*config), given);

	if (!err)
		err = config->ops ? sized_take(ops, sizeof(*ops), config->ops) : -EINVAL;
	config->ops = ops;
	return err;
}

int viommu_backend_create(int fd, const struct viommu_backend_config *given, struct viommu_backend **out)
{
	struct viommu_backend *backend = NULL;
	struct viommu_backend_config own;
	struct viommu_backend_ops ops;
	const struct viommu_backend_config *config = &own;
	int err = take_config(&own, &ops, given);

	if (!err && !acceptable(config))
		err = -EINVAL;
	if (!err && config->peer && viommu_backend_peer_crowded(config->peer))
		err = -ETOOMANYREFS;
	if (!err) {
		backend = backend_alloc(config);
		err = backend ? 0 : -ENOMEM;
	}
	if (err) {
		/* As in vbe_connection_init(). */
		reaper_close(config->peer ? config->peer->account : NULL, fd);
		return err;
	}
	err = backend_init(backend, fd);
	if (err) {
		leave_peer(backend);
		free(backend);
		return err;
	}
	*out = backend;
	return 0;
}

/* Nothing of the front end's memory may be in use when it goes. */
static void take_memory_away(struct viommu_backend *backend)
{
	const struct channel_message no_message = {.fd_count = 0};
	const struct vbe_new_memory none = {.count = 0};
	struct vbe_task *task;

	if (vbe_task_create(&backend->tasks, &no_message, &task))
		return; /* then the mappings stay: they may be in use */
	if (!vbe_task_inval(task) && !viommu_detach(backend->endpoint, task->inval))
		vbe_memory_replace(&backend->memory, &none, task);
	vbe_task_begin(task);
	vbe_tasks_drop(&backend->tasks);
}

void viommu_backend_destroy(struct viommu_backend *backend)
{
	if (!backend)
		return;
	vbe_queues_stop(&backend->queues);
	take_memory_away(backend);
	drop_core(backend);
	vbe_shared_fini(&backend->iotlb.shared);
	vbe_dirty_log_fini(&backend->dirty_log);
	vbe_asking_fini(&backend->iotlb.asking);
	vbe_queues_fini(&backend->queues);
	vbe_connection_fini(&backend->connection);
	leave_peer(backend);
	free(backend);
}
