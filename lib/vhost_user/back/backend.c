/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection's life, and its one file descriptor: an epoll instance over the channels, a timer, and an eventfd for
 * other threads.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viommu/event.h>

#include "lib/util/clock.h"
#include "lib/vhost_user/back/internal.h"
#include "lib/vhost_user/wire/reaper.h"

enum { DEFAULT_QUEUE_SIZE = 1024, QUEUE_SIZE_MAX = 32768, DEFAULT_MISS_MS = 60000 };
enum { MESSAGES_PER_ROUND = 32, PENDING_NS = NS_PER_MS };

static int watch(struct viommu_backend *backend, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events};

	return epoll_ctl(backend->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_fds(struct viommu_backend *backend)
{
	int err;

	backend->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	backend->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (backend->epoll_fd < 0 || backend->wake_fd < 0)
		return -errno;
	backend->front_events = EPOLLIN;
	err = watch(backend, backend->front.fd, EPOLLIN);
	if (!err)
		err = watch(backend, backend->alarm.fd, EPOLLIN);
	return err ? err : watch(backend, backend->wake_fd, EPOLLIN);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void close_fds(struct viommu_backend *backend)
{
	close_fd(backend->epoll_fd);
	close_fd(backend->wake_fd);
}

static void core_log(void *opaque, const char *line)
{
	vbe_log(opaque, "%s", line);
}

static int make_core(struct viommu_backend *backend)
{
	const struct viommu_config config = {
		.domain_table_bytes = backend->config.table_bytes,
		.deadline_ms = backend->config.deadline_ms,
		.log = core_log,
		.opaque = &backend->log,
	};
	int err = viommu_create(&config, &backend->v);

	backend->tasks.v = backend->v;
	if (!err)
		err = viommu_endpoint_add(backend->v, 0, "device", &backend->endpoint);
	if (!err)
		err = viommu__endpoint_set_sink(backend->endpoint, vbe_fault, backend);
	return err ? err : viommu__domain_create_walked(backend->v, &vbe_walk_ops, backend, &backend->domain);
}

static void drop_core(struct viommu_backend *backend)
{
	vbe_tasks_fini(&backend->tasks);
	viommu_domain_destroy(backend->domain);
	if (backend->endpoint) {
		viommu__endpoint_set_sink(backend->endpoint, NULL, NULL);
		viommu_endpoint_remove(backend->endpoint);
	}
	viommu_destroy(backend->v);
}

static bool acceptable(const struct viommu_backend_config *config)
{
	unsigned size = config->queue_size;

	return config->ops && config->ops->start && config->ops->stop && config->ops->retry && config->queues &&
	       config->queues <= VIOMMU_BACKEND_QUEUES && size <= QUEUE_SIZE_MAX && !(size & (size - 1));
}

static void set_config(struct viommu_backend *backend, const struct viommu_backend_config *config)
{
	backend->config = *config;
	if (!config->queue_size)
		backend->config.queue_size = DEFAULT_QUEUE_SIZE;
	if (!config->queue_number)
		backend->config.queue_number = config->queues;
	if (!config->miss_ms)
		backend->config.miss_ms = DEFAULT_MISS_MS;
}

static int set_peer(struct viommu_backend *backend)
{
	int err = 0;

	backend->peer = backend->config.peer;
	backend->own_peer = !backend->peer;
	if (backend->own_peer)
		err = viommu_backend_peer_create(&backend->peer);
	if (err)
		return err;
	backend->account = backend->peer->account;
	backend->log = (struct vbe_log){backend->config.ops->log, backend->config.opaque, backend->peer};
	return 0;
}

/* Of a connection that is over nothing is left, as far as that depends on us. */
static void leave_peer(struct viommu_backend *backend)
{
	if (backend->own_peer)
		viommu_backend_peer_destroy(backend->peer);
	else
		reaper_settle(backend->account);
}

static struct viommu_backend *alloc(int fd, const struct viommu_backend_config *config) NO_OTHER_THREAD
{
	struct viommu_backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return NULL;
	set_config(backend, config);
	if (lock_init(&backend->lock))
		goto err_backend;
	if (set_peer(backend))
		goto err_lock;
	if (vbe_alarm_init(&backend->alarm))
		goto err_peer;
	if (channel_init(&backend->front, fd, backend->account))
		goto err_alarm;
	backend->epoll_fd = backend->wake_fd = backend->log_event = -1;
	vbe_tasks_init(&backend->tasks, &backend->front, &backend->log);
	for (unsigned i = 0; i < VIOMMU_BACKEND_QUEUES; i++)
		vbe_queue_init(&backend->queues[i]);
	return backend;

err_alarm:
	vbe_alarm_fini(&backend->alarm);
err_peer:
	leave_peer(backend);
err_lock:
	lock_fini(&backend->lock);
err_backend:
	free(backend);
	return NULL;
}

static void release(struct viommu_backend *backend) NO_OTHER_THREAD
{
	drop_core(backend);
	viommu_shared_view_close(backend->view);
	vbe_log_fini(backend);
	if (backend->has_back)
		channel_fini(&backend->back);
	channel_fini(&backend->front);
	close_fds(backend);
	vbe_alarm_fini(&backend->alarm);
	leave_peer(backend);
	lock_fini(&backend->lock);
	free(backend);
}

int viommu_backend_create(int fd, const struct viommu_backend_config *config, struct viommu_backend **out)
{
	struct viommu_backend *backend = NULL;
	int err = acceptable(config) ? 0 : -EINVAL;

	if (!err && config->peer && viommu_backend_peer_crowded(config->peer))
		err = -ETOOMANYREFS;
	if (!err) {
		backend = alloc(fd, config);
		err = backend ? 0 : -ENOMEM;
	}
	if (err) {
		/* The front end may have sent descriptors already, which go with it. */
		reaper_close(config->peer ? config->peer->account : NULL, fd);
		return err;
	}
	err = viommu_event_setup();
	if (!err)
		err = open_fds(backend);
	if (!err)
		err = make_core(backend);
	if (err) {
		release(backend);
		return err;
	}
	*out = backend;
	return 0;
}

/* Nothing of the front end's memory may be in use when it goes. */
static void take_memory_away(struct viommu_backend *backend)
{
	struct vbe_task *task;
	const struct channel_message none = {.fd_count = 0};

	if (vbe_task_create(&backend->tasks, &none, &task))
		return; /* then the mappings stay: they may be in use */
	if (!vbe_task_inval(task) && !viommu_detach(backend->endpoint, task->inval)) {
		struct channel_message empty = {.fd_count = 0};

		vbe_memory_set(backend, &empty, task);
	}
	vbe_task_begin(task);
	vbe_tasks_drop(&backend->tasks);
}

void viommu_backend_destroy(struct viommu_backend *backend)
{
	if (!backend)
		return;
	vbe_queues_fini(backend);
	take_memory_away(backend);
	release(backend);
}

int viommu_backend_fd(const struct viommu_backend *backend)
{
	return backend->epoll_fd;
}

static void drain(struct viommu_backend *backend)
{
	uint64_t count;
	ssize_t n = read(backend->wake_fd, &count, sizeof(count));

	vbe_alarm_clear(&backend->alarm);
	(void)n;
}

/* While too many answers are outstanding, or too much is to be closed, nothing more is read. */
static bool may_receive(const struct viommu_backend *backend)
{
	return backend->tasks.count < VBE_TASKS && reaper_unclosed(backend->account) <= VBE_UNCLOSED;
}

/* Closing is quick, unless the front end sees to it that it is not. */
static int check_unclosed(struct viommu_backend *backend)
{
	const uint64_t now = clock_ns();

	if (reaper_unclosed(backend->account) <= VBE_UNCLOSED) {
		backend->stalled_ns = 0;
		return 0;
	}
	if (!backend->stalled_ns)
		backend->stalled_ns = now;
	if (now - backend->stalled_ns < (uint64_t)VBE_UNCLOSED_MS * NS_PER_MS)
		return 0;
	vbe_log(&backend->log, "the front end has sent descriptors that cannot be closed");
	return -EPROTO;
}

static int receive(struct viommu_backend *backend)
{
	struct channel_message message;
	int err = 0;

	for (unsigned i = 0; !err && i < MESSAGES_PER_ROUND && may_receive(backend); i++) {
		err = channel_receive(&backend->front, &message);
		if (err == -EPROTO)
			vbe_log(&backend->log, "the front end sends what is no vhost-user message");
		if (err)
			break;
		err = vbe_message(backend, &message);
		channel_close_fds(&message);
	}
	return err && err != -EAGAIN ? err : check_unclosed(backend);
}

/* What the front channel waits for, and when to look again by ourselves. */
static void await(struct viommu_backend *backend)
{
	/* While nothing is read, that it has hung up is told once, and not again and again. */
	uint32_t events = backend->tasks.count < VBE_TASKS && !backend->stalled_ns ? EPOLLIN : EPOLLET;

	if (channel_unsent(&backend->front))
		events |= EPOLLOUT;
	if (events != backend->front_events) {
		struct epoll_event event = {.events = events};

		epoll_ctl(backend->epoll_fd, EPOLL_CTL_MOD, backend->front.fd, &event);
		backend->front_events = events;
	}
	if (!backend->stalled_ns && !atomic_load_explicit(&backend->tasks.pending, memory_order_relaxed))
		return;
	vbe_alarm_set(&backend->alarm, clock_ns() + PENDING_NS);
}

int viommu_backend_serve(struct viommu_backend *backend)
{
	int err;

	drain(backend);
	err = receive(backend);
	if (!err)
		err = vbe_back_serve(backend);
	vbe_miss_expire(backend);
	if (backend->retry) {
		backend->retry = false;
		backend->config.ops->retry(backend->config.opaque);
	}
	if (!err)
		err = vbe_tasks_progress(&backend->tasks);
	if (!err)
		err = channel_flush(&backend->front);
	if (err && err != -EAGAIN)
		return err;
	await(backend);
	return 0;
}

struct viommu_endpoint *viommu_backend_endpoint(struct viommu_backend *backend)
{
	return backend->endpoint;
}

int viommu_backend_begin(struct viommu_backend *backend, struct viommu_section *section)
{
	int err = viommu_dma_begin(backend->endpoint, section);

	if (err)
		return err;
	err = vbe_shared_enter(backend, section);
	if (err)
		goto err_section;
	err = vbe_log_enter(backend, section);
	if (!err)
		return 0;
	vbe_shared_leave(backend, section);
err_section:
	viommu_dma_end(section);
	return err;
}

void viommu_backend_end(struct viommu_backend *backend, struct viommu_section *section)
{
	uint64_t one = 1;

	vbe_log_leave(backend, section);
	vbe_shared_leave(backend, section);
	viommu_dma_end(section);
	/* Perhaps an answer waits for us. Who misses the store of `pending` is followed by the timer. */
	if (atomic_load_explicit(&backend->tasks.pending, memory_order_relaxed)) {
		ssize_t n = write(backend->wake_fd, &one, sizeof(one));

		(void)n;
	}
}

void viommu_backend_stats_get(struct viommu_backend *backend, struct viommu_backend_stats *out)
{
	lock_take(&backend->lock);
	*out = backend->stats;
	out->invalidates = atomic_load_explicit(&backend->tasks.invalidates, memory_order_relaxed);
	lock_drop(&backend->lock);
}
