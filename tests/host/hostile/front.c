/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A front end that means harm, for tests/host/net-backend: hostile-front SOCKET headers N | descriptors N | ask.
 * headers:     connects N times and sends what is no vhost-user message.
 * descriptors: sends a socket that lingers, then N event descriptors, one after the other, in place of each other.
 * ask:         asks for features, as any front end, and waits for the answer.
 * Prints what it came to; status 1 where it could not do it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/vhost_user/wire/channel.h"
#include "tests/support/lingering.h"

enum { LINGER_S = 30, STAY_S = 3, PATIENCE_MS = 20000 };

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		fprintf(stderr, "hostile-front: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return fd;
}

/* Wait until the back end has hung up. */
static void await_end(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	char bytes[256];

	while (poll(&poll_fd, 1, PATIENCE_MS) == 1 && read(fd, bytes, sizeof(bytes)) > 0)
		;
}

static int send_headers(const char *path, unsigned count)
{
	const struct vhu_header header = {VHU_GET_FEATURES, 7, 0};

	for (unsigned i = 0; i < count; i++) {
		int fd = connect_to(path);

		if (send(fd, &header, sizeof(header), MSG_NOSIGNAL) > 0)
			await_end(fd);
		close(fd);
	}
	printf("%u connections\n", count);
	return 0;
}

/*
 * With the first byte of a message that it ends later: by then the back end has the last copy, and it is the back end
 * whose close() takes long.
 */
static int send_lingering(int to)
{
	const struct {
		struct vhu_header header;
		uint64_t index;
	} __attribute__((packed)) message = {{VHU_SET_VRING_CALL, VHU_VERSION, sizeof(uint64_t)}, 0};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)&message, 1};
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);
	int other, fd = lingering(LINGER_S, &other);

	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(to, &hdr, MSG_NOSIGNAL) != 1)
		return -errno;
	close(fd);
	return send(to, (const char *)&message + 1, sizeof(message) - 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int send_fd(struct channel *channel, int fd)
{
	struct channel_message message = {
		.header = {.request = VHU_SET_VRING_CALL, .size = sizeof(message.u64)}, .fd_count = 1, .fds = {fd}};
	int err = channel_send(channel, &message);

	close(fd);
	while (!err && channel_unsent(channel)) { /* it reads no more, and will hang up */
		struct pollfd poll_fd = {.fd = channel->fd, .events = POLLOUT};

		err = poll(&poll_fd, 1, PATIENCE_MS) == 1 ? channel_flush(channel) : -ETIMEDOUT;
		if (err == -EAGAIN)
			err = 0;
	}
	return err;
}

static int send_descriptors(const char *path, unsigned count)
{
	struct channel channel;
	unsigned sent = 0;

	if (channel_init(&channel, connect_to(path), NULL) || send_lingering(channel.fd))
		return 1;
	while (sent < count && !send_fd(&channel, eventfd(0, 0)))
		sent++;
	await_end(channel.fd);
	sleep(STAY_S); /* when it ends, so does the lingering */
	channel_fini(&channel);
	printf("%u descriptors\n", sent);
	return 0;
}

static int ask(const char *path)
{
	struct channel_message message = {.header = {.request = VHU_GET_FEATURES}};
	struct channel channel;
	struct pollfd poll_fd = {.events = POLLIN};
	int err = channel_init(&channel, connect_to(path), NULL);

	poll_fd.fd = channel.fd;
	if (!err)
		err = channel_send(&channel, &message);
	if (!err)
		err = poll(&poll_fd, 1, PATIENCE_MS) == 1 ? channel_receive(&channel, &message) : -ETIMEDOUT;
	channel_fini(&channel);
	puts(err ? strerror(-err) : "answered");
	return err != 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[2], "headers"))
		return send_headers(argv[1], (unsigned)atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[2], "descriptors"))
		return send_descriptors(argv[1], (unsigned)atoi(argv[3]));
	if (argc == 3 && !strcmp(argv[2], "ask"))
		return ask(argv[1]);
	fputs("usage: hostile-front SOCKET headers N | descriptors N | ask\n", stderr);
	return 2;
}
