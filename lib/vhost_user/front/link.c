/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket: taken over, polled, written to, closed; and why it is of no use any more. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/vhost_user/front/link.h"
#include "lib/vhost_user/wire/reaper.h"

enum { LOG_LINES = 10 /* a connection */ };

static const uint64_t late_window_ns = 60000000000; /* a minute */

int front_watch(struct front_link *link, int fd, enum front_event what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};

	return epoll_ctl(link->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int front_link_init(struct front_link *link, const struct viommu_vhu_config *config)
{
	int err = reaper_open(&link->account);

	if (err)
		return err;
	link->config = config;
	link->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (link->epoll < 0) {
		err = -errno;
		goto err_account;
	}
	link->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (link->timer < 0) {
		err = -errno;
		goto err_epoll;
	}
	err = front_watch(link, link->timer, FRONT_EVENT_TIMER);
	if (!err)
		err = lock_init(&link->lock);
	if (!err)
		return 0;
	close(link->timer);
err_epoll:
	close(link->epoll);
err_account:
	reaper_leave(link->account);
	return err;
}

void front_link_fini(struct front_link *link)
{
	reaper_leave(link->account);
	close(link->timer);
	close(link->epoll);
	lock_fini(&link->lock);
}

int front_link_open(struct front_link *link, int fd)
{
	link->why[0] = 0;
	link->lines = 0;
	link->protocol = 0;
	link->reply_ack = false;
	lock_take(&link->lock);
	int err = channel_init(&link->channel, fd, link->account);

	if (!err) {
		link->events = EPOLLIN;
		err = front_watch(link, fd, FRONT_EVENT_SOCKET);
		if (err)
			lock_fini(&link->channel.lock);
	}
	link->open = !err;
	lock_drop(&link->lock);
	return err;
}

void front_link_close(struct front_link *link)
{
	lock_take(&link->lock);
	if (link->open) {
		epoll_ctl(link->epoll, EPOLL_CTL_DEL, link->channel.fd, NULL); /* it is closed later */
		channel_fini(&link->channel);
	}
	link->open = false;
	link->awaited_count = link->awaited_invals = 0;
	link->broken = 0;
	lock_drop(&link->lock);
}

void front_poll_for(struct front_link *link, int fd, enum front_event what, uint32_t *now, uint32_t wanted)
{
	struct epoll_event event = {.events = wanted, .data.u32 = what};

	if (*now == wanted)
		return;
	*now = wanted;
	epoll_ctl(link->epoll, EPOLL_CTL_MOD, fd, &event);
}

static void link_poll_locked(struct front_link *link) REQUIRES(link->lock)
{
	uint32_t wanted = EPOLLIN | (channel_unsent(&link->channel) ? EPOLLOUT : 0);

	front_poll_for(link, link->channel.fd, FRONT_EVENT_SOCKET, &link->events, wanted);
}

int front_send(struct front_link *link, const struct channel_message *message, const struct front_awaited *awaited)
{
	lock_take(&link->lock);
	int err = link->open ? link->broken : -ENOTCONN;

	if (!err) {
		bool full = awaited && link->awaited_count == FRONT_AWAITED;

		err = link->broken = full ? -ENOBUFS : channel_send(&link->channel, message);
		if (err) {
			front_wake_locked(link);
		} else {
			if (awaited)
				front_await_locked(link, awaited);
			link_poll_locked(link);
		}
	}
	lock_drop(&link->lock);
	return err;
}

void front_flush(struct front_link *link)
{
	lock_take(&link->lock);
	int err = channel_flush(&link->channel);

	if (err && err != -EAGAIN && !link->broken)
		link->broken = err;
	err = link->broken;
	link_poll_locked(link);
	lock_drop(&link->lock);
	if (err == -EPIPE)
		front_fail(link, "the back end has closed the connection");
	else if (err == -ENOBUFS)
		front_fail(link, "the back end does not read what it is sent");
	else if (err)
		front_fail(link, "sending to the back end: %s", strerror(-err));
}

void front_check_time(struct front_link *link)
{
	uint64_t expired;
	struct front_awaited late;

	if (read(link->timer, &expired, sizeof(expired)) < 0 || !front_find_late(link, &late))
		return;
	if (late.request == VHU_IOTLB_MSG)
		front_note_late(link);
	front_fail(link, "no answer to request %u within %u ms", late.request, front_limit_ms(link, &late));
}

int front_fail(struct front_link *link, const char *format, ...)
{
	va_list args;

	if (link->why[0])
		return -EPROTO;
	va_start(args, format);
	vsnprintf(link->why, sizeof(link->why), format, args);
	va_end(args);
	front_wake(link);
	return -EPROTO;
}

void front_log(struct front_link *link, const char *format, ...)
{
	char line[FRONT_WHY];
	va_list args;

	if (link->lines == LOG_LINES || !link->config->ops->log)
		return;
	link->lines++;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	link->config->ops->log(link->config->opaque, line);
}

/*
 * A back end that is too late is cut off, and nobody waits for it any more. But if it comes back and is late again, all
 * of the guest's unmaps wait all of the time: after FRONT_LATE times in a minute it is given up.
 */
void front_note_late(struct front_link *link)
{
	const uint64_t now = front_now_ns();

	if (!link->late || now - link->late_ns > late_window_ns) {
		link->late = 0;
		link->late_ns = now;
	}
	link->late++;
}

int front_attach_fd(struct front_link *link, struct channel_message *message, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return front_fail(link, "a descriptor for the back end: %s", strerror(errno));
	message->fds[message->fd_count++] = copy;
	return 0;
}
