/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/connection.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/util/clock.h"
#include "lib/vhost_user/wire/reaper.h"

/* Descriptors that are not closed yet: no more messages are read, and after a while the connection is over. */
enum { UNCLOSED = 64, UNCLOSED_MS = 1000 };
#define STALLED_NS NS_PER_MS

static int watch(const struct vbe_connection *connection, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(connection->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int vbe_connection_init(struct vbe_connection *connection, int fd, struct reaper_account *account,
			const struct vbe_log *log)
{
	int err = vbe_alarm_init(&connection->alarm);

	if (err)
		goto err_fd;
	connection->account = account;
	connection->log = log;
	connection->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (connection->epoll_fd < 0) {
		err = -errno;
		goto err_alarm;
	}
	connection->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (connection->wake_fd < 0) {
		err = -errno;
		goto err_epoll;
	}
	connection->events = EPOLLIN;
	err = watch(connection, fd);
	if (!err)
		err = watch(connection, connection->alarm.fd);
	if (!err)
		err = watch(connection, connection->wake_fd);
	if (!err)
		err = channel_init(&connection->front, fd, account);
	if (!err)
		return 0;
	close(connection->wake_fd);
err_epoll:
	close(connection->epoll_fd);
err_alarm:
	vbe_alarm_fini(&connection->alarm);
err_fd:
	/* The front end may have sent descriptors already, which go with it. */
	reaper_close(account, fd);
	return err;
}

void vbe_connection_fini(struct vbe_connection *connection)
{
	channel_fini(&connection->front);
	close(connection->wake_fd);
	close(connection->epoll_fd);
	vbe_alarm_fini(&connection->alarm);
}

void vbe_connection_clear(struct vbe_connection *connection)
{
	uint64_t count;
	ssize_t n = read(connection->wake_fd, &count, sizeof(count));

	(void)n;
	vbe_alarm_clear(&connection->alarm);
}

void vbe_connection_wake(struct vbe_connection *connection)
{
	const uint64_t one = 1;
	ssize_t n = write(connection->wake_fd, &one, sizeof(one));

	(void)n;
}

bool vbe_connection_may_receive(const struct vbe_connection *connection)
{
	return reaper_unclosed(connection->account) <= UNCLOSED;
}

int vbe_connection_check_unclosed(struct vbe_connection *connection)
{
	const uint64_t now = clock_ns();

	if (vbe_connection_may_receive(connection)) {
		connection->stalled_ns = 0;
		return 0;
	}
	if (!connection->stalled_ns)
		connection->stalled_ns = now;
	if (now - connection->stalled_ns < UNCLOSED_MS * NS_PER_MS)
		return 0;
	vbe_log(connection->log, "the front end has sent descriptors that cannot be closed");
	return -EPROTO;
}

void vbe_connection_await(struct vbe_connection *connection, bool full)
{
	/* While nothing is read, that it has hung up is told once, and not again and again. */
	uint32_t events = !full && !connection->stalled_ns ? EPOLLIN : EPOLLET;

	if (channel_unsent(&connection->front))
		events |= EPOLLOUT;
	if (events != connection->events) {
		struct epoll_event event = {.events = events};

		epoll_ctl(connection->epoll_fd, EPOLL_CTL_MOD, connection->front.fd, &event);
		connection->events = events;
	}
	/* The closing is told by nothing. */
	if (connection->stalled_ns)
		vbe_alarm_set(&connection->alarm, clock_ns() + STALLED_NS);
}
