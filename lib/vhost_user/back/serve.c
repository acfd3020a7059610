/* SPDX-License-Identifier: BSD-2-Clause */
/* What the serving thread does when there is something to do. */
#include <errno.h>

#include "lib/util/clock.h"
#include "lib/vhost_user/back/backend.h"
#include "lib/vhost_user/back/message.h"

/* A deadline passes late by this part of it at most. */
enum { MESSAGES_PER_ROUND = 32, DEADLINE_PARTS = 20 };

int viommu_backend_fd(const struct viommu_backend *backend)
{
	return backend->connection.epoll_fd;
}

/* While too many answers are outstanding, or too much is to be closed, nothing more is read. */
static int serve_messages(struct viommu_backend *backend)
{
	struct vbe_connection *connection = &backend->connection;
	struct channel_message message;
	int err = 0;

	for (unsigned i = 0; !err && i < MESSAGES_PER_ROUND; i++) {
		if (backend->tasks.count >= VBE_TASKS || !vbe_connection_may_receive(connection))
			break;
		err = channel_receive(&connection->front, &message);
		if (err == -EPROTO)
			vbe_log(&backend->log, "the front end sends what is no vhost-user message");
		if (err)
			break;
		err = vbe_message(backend, &message);
		channel_close_fds(&message);
	}
	return err && err != -EAGAIN ? err : vbe_connection_check_unclosed(connection);
}

int viommu_backend_serve(struct viommu_backend *backend)
{
	struct vbe_asking *asking = &backend->iotlb.asking;
	struct vbe_tasks *tasks = &backend->tasks;
	int err;

	vbe_connection_clear(&backend->connection);
	err = serve_messages(backend);
	if (!err)
		err = vbe_back_channel_serve(asking);
	vbe_misses_expire(asking);
	if (asking->retry) {
		asking->retry = false;
		backend->config.ops->retry(backend->config.opaque);
	}
	if (!err)
		err = vbe_tasks_progress(tasks);
	if (!err)
		err = channel_flush(&backend->connection.front);
	if (err && err != -EAGAIN)
		return err;
	vbe_connection_await(&backend->connection, tasks->count >= VBE_TASKS);
	/* For the deadline alone: only a poll makes it pass (inval.h). Whoever lets go wakes us (core_progress()). */
	if (tasks->pending)
		vbe_alarm_set(&backend->connection.alarm,
			      clock_ns() + backend->config.deadline_ms * NS_PER_MS / DEADLINE_PARTS);
	return 0;
}

void viommu_backend_stopped(struct viommu_backend *backend, unsigned queue, uint16_t base)
{
	vbe_queue_stopped(&backend->queues, queue, base);
}
