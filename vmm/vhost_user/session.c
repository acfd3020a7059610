/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vhost_user/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vmm/util/log.h"

enum { RETRY_MS = 100, REPLY_MS = 4500, FIRST_MS = 30000, NS_PER_MS = 1000000 };

/* Back ends may come and go as often as they like. */
static struct log_limit limit;

static int session_say(const struct vhost_user_session *session, const char *problem)
{
	vmm_log("%s vhost-user=%s: %s", session->what, session->path, problem);
	return -EIO;
}

/* The event loop must not wait for a process that shares its eventfds (viommu/event.h). */
static int get_ready(const struct vhost_user_session *session)
{
	int err = viommu_event_setup();

	if (err)
		session_say(session, "no asynchronous I/O can be had, without which a hostile back end could stop this "
				     "machine; as root: sysctl fs.aio-max-nr=1048576");
	return err;
}

int vhost_user_session_check(const char *what, const char *path)
{
	struct vhost_user_session session = {.what = what, .path = path};
	struct sockaddr_un address;
	struct stat stat_buf;

	if (strlen(path) >= sizeof(address.sun_path))
		return session_say(&session, "the path of a socket has at most 107 bytes");
	if (stat(path, &stat_buf))
		return session_say(&session, strerror(errno));
	return S_ISSOCK(stat_buf.st_mode) ? get_ready(&session) : session_say(&session, "not a socket");
}

/* Never waits: a back end that does not accept is as good as none. */
static int session_open_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int connect_now(struct vhost_user_session *session)
{
	int fd = session_open_socket(session->path);

	return fd < 0 ? fd : viommu_vhu_connect(session->front, fd);
}

static void retry_soon(struct vhost_user_session *session)
{
	const struct itimerspec soon = {.it_value = {0, RETRY_MS * NS_PER_MS}};

	if (session->retrying)
		timerfd_settime(session->retry_fd, 0, &soon, NULL);
}

static void session_on_retry(void *opaque, uint32_t events)
{
	struct vhost_user_session *session = opaque;
	uint64_t count;

	(void)events;
	if (read(session->retry_fd, &count, sizeof(count)) != sizeof(count))
		return;
	if (viommu_vhu_stuck(session->front) || viommu_vhu_crowded(session->front) || connect_now(session))
		retry_soon(session);
}

static void session_on_ready(void *opaque)
{
	struct vhost_user_session *session = opaque;

	if (session->down && vmm_log_may(&limit))
		vmm_log("%s vhost-user=%s: connected again", session->what, session->path);
	session->down = false;
	session->why[0] = 0;
}

static void session_on_started(void *opaque)
{
	struct vhost_user_session *session = opaque;

	session->ops->started(session->opaque);
}

static void session_on_stopped(void *opaque, const uint16_t *bases, unsigned count)
{
	struct vhost_user_session *session = opaque;

	(void)bases;
	(void)count;
	session->ops->stopped(session->opaque);
}

static void session_on_config_changed(void *opaque)
{
	struct vhost_user_session *session = opaque;

	if (session->ops->config_changed)
		session->ops->config_changed(session->opaque);
}

/* A back end that comes and is refused again and again, for one reason, is told of once. */
static void session_on_lost(void *opaque, const char *why)
{
	struct vhost_user_session *session = opaque;
	bool told = session->down && !strcmp(why, session->why);

	snprintf(session->why, sizeof(session->why), "%s", why);
	if (!session->retrying) /* not connected for the first time yet: vhost_user_session_init() says so */
		return;
	if (!told && vmm_log_may(&limit))
		vmm_log("%s vhost-user=%s: %s; trying to connect again", session->what, session->path, why);
	session->down = true;
	session->ops->lost(session->opaque);
	if (viommu_vhu_stuck(session->front))
		session->ops->broken(session->opaque, "its back end was lost and cannot go on where it was");
	retry_soon(session);
}

static void session_on_log(void *opaque, const char *line)
{
	static struct log_limit lines; /* its own: what a back end does must not hide that it goes */
	struct vhost_user_session *session = opaque;

	if (vmm_log_may(&lines))
		vmm_log("%s vhost-user=%s: %s", session->what, session->path, line);
}

static bool session_wants(void *opaque, struct viommu_iova iova, unsigned access)
{
	struct vhost_user_session *session = opaque;

	return !session->ops->wants || session->ops->wants(session->opaque, iova, access);
}

static const struct viommu_vhu_ops front_ops = {
	.size = sizeof(struct viommu_vhu_ops),
	.ready = session_on_ready,
	.started = session_on_started,
	.stopped = session_on_stopped,
	.lost = session_on_lost,
	.config_changed = session_on_config_changed,
	.log = session_on_log,
	.wants = session_wants,
};

static void session_on_readable(void *opaque, uint32_t events)
{
	const struct vhost_user_session *session = opaque;

	(void)events;
	viommu_vhu_serve(session->front);
}

static int64_t session_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

/* The guest does not run yet, so that there is time to wait; but not for ever. */
static int session_negotiate(struct vhost_user_session *session)
{
	struct pollfd poll_fd = {.fd = viommu_vhu_fd(session->front), .events = POLLIN};
	const int64_t end = session_now_ms() + FIRST_MS;
	int64_t left;

	while (!viommu_vhu_ready(session->front) && !session->why[0] && (left = end - session_now_ms()) > 0)
		if (poll(&poll_fd, 1, (int)left) == 1)
			viommu_vhu_serve(session->front);
	if (viommu_vhu_ready(session->front))
		return 0;
	return session_say(session,
			   session->why[0] ? session->why : "its back end does not come to an end with negotiating");
}

static int session_watch(struct vhost_user_session *session)
{
	int err;

	session->retry_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (session->retry_fd < 0)
		return -errno;
	session->watch = (struct loop_watch){viommu_vhu_fd(session->front), session_on_readable, session};
	session->retry_watch = (struct loop_watch){session->retry_fd, session_on_retry, session};
	err = loop_add(session->loop, &session->watch, EPOLLIN);
	if (err)
		goto err_close;
	err = loop_add(session->loop, &session->retry_watch, EPOLLIN);
	if (err)
		goto err_watch;
	session->retrying = true;
	return 0;
err_watch:
	loop_remove(session->loop, &session->watch);
err_close:
	close(session->retry_fd);
	return err;
}

int vhost_user_session_init(struct vhost_user_session *session, const struct viommu_vhu_config *config)
{
	struct viommu_vhu_config mine = *config;
	int err;

	mine.ops = &front_ops;
	mine.opaque = session;
	mine.reply_ms = REPLY_MS;
	session->retrying = session->down = false;
	session->why[0] = 0;
	err = get_ready(session);
	if (err)
		return err;
	err = viommu_vhu_create(&mine, &session->front);
	if (err) {
		session_say(session, strerror(-err));
		return err;
	}
	err = connect_now(session);
	if (err)
		session_say(session, strerror(-err));
	else
		err = session_negotiate(session);
	if (!err) {
		err = session_watch(session);
		if (err)
			session_say(session, strerror(-err));
	}
	if (err)
		viommu_vhu_destroy(session->front);
	return err;
}

void vhost_user_session_fini(struct vhost_user_session *session)
{
	loop_remove(session->loop, &session->retry_watch);
	loop_remove(session->loop, &session->watch);
	close(session->retry_fd);
	viommu_vhu_destroy(session->front);
}

void vhost_user_session_cut(struct vhost_user_session *session, const char *why)
{
	viommu_vhu_disconnect(session->front);
	session_on_lost(session, why);
}
