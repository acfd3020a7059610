/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/util/log.h"

enum { PAUSE_NS = 100000000 };

/* Of the program: listeners fail together, and a peer can make them. */
static struct log_limit limit;

static void pause_for_a_moment(struct listener *listener)
{
	const struct itimerspec when = {.it_value = {0, PAUSE_NS}};

	loop_remove(listener->loop, &listener->watch);
	listener->paused = true;
	timerfd_settime(listener->timer.fd, 0, &when, NULL);
}

static void listener_say(struct listener *listener, int error)
{
	if (error != listener->said && vmm_log_may(&limit))
		vmm_log("%s: a connection cannot be accepted now: %s", listener->name, strerror(error));
	listener->said = error;
}

static void listener_refused(struct listener *listener, int error)
{
	const bool full = error == EMFILE || error == ENFILE;

	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	listener_say(listener, error);
	if (!full || !listener->ops->crowded || !listener->ops->crowded(listener->opaque))
		pause_for_a_moment(listener);
}

/* One connection a call: epoll says so if there are more. */
static void accept_ready(void *opaque, uint32_t events)
{
	struct listener *listener = opaque;
	int fd;

	(void)events;
	if (listener->ops->ready && !listener->ops->ready(listener->opaque)) {
		pause_for_a_moment(listener);
		return;
	}
	fd = accept4(listener->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		listener_refused(listener, errno);
		return;
	}
	listener->said = 0;
	listener->ops->accepted(listener->opaque, fd);
}

static void listener_look_again(void *opaque, uint32_t events)
{
	struct listener *listener = opaque;
	uint64_t count;
	int err;

	(void)events;
	if (read(listener->timer.fd, &count, sizeof(count)) != sizeof(count) || !listener->paused)
		return;
	err = loop_add(listener->loop, &listener->watch, EPOLLIN);
	listener->paused = err;
	if (!err)
		return;
	/* The kernel has no memory for it just now. */
	listener_say(listener, -err);
	timerfd_settime(listener->timer.fd, 0, &(struct itimerspec){.it_value = {0, PAUSE_NS}}, NULL);
}

int listener_init(struct listener *listener, int fd, const char *name, const struct listener_ops *ops, void *opaque)
{
	*listener = (struct listener){
		.name = name,
		.ops = ops,
		.opaque = opaque,
		.watch = {.fd = fd, .ready = accept_ready, .opaque = listener},
		.timer = {.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
			  .ready = listener_look_again,
			  .opaque = listener},
	};
	return listener->timer.fd < 0 ? -errno : 0;
}

void listener_fini(struct listener *listener)
{
	listener_stop(listener);
	close(listener->timer.fd);
}

int listener_start(struct listener *listener, struct loop *loop)
{
	int err;

	if (listener->loop)
		return 0;
	err = loop_add(loop, &listener->timer, EPOLLIN);
	if (err)
		return err;
	err = loop_add(loop, &listener->watch, EPOLLIN);
	if (err)
		loop_remove(loop, &listener->timer);
	else
		listener->loop = loop;
	return err;
}

void listener_stop(struct listener *listener)
{
	if (!listener->loop)
		return;
	loop_remove(listener->loop, &listener->timer);
	if (!listener->paused)
		loop_remove(listener->loop, &listener->watch);
	listener->paused = false;
	listener->loop = NULL;
}
