/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/wire/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/vhost_user/wire/reaper.h"

/*
 * A message, or the rest of one, that waits for room in the socket. Its descriptors are copies, and go with its first
 * byte.
 */
struct channel_waiting {
	struct channel_waiting *next;
	struct channel_message message;
	size_t sent;
};

/*
 * As many descriptors as Linux lets through at a time: what does not fit it closes itself, in the middle of our call.
 */
enum { SCM_RIGHTS_MAX = 253 };

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * SCM_RIGHTS_MAX)];
};

int channel_init(struct channel *channel, int fd, struct reaper_account *account)
{
	int flags = fcntl(fd, F_GETFL), err;

	*channel = (struct channel){.fd = fd, .account = account};
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	err = lock_init(&channel->lock);
	return err;
}

static void free_waiting(struct channel_waiting *waiting)
{
	channel_close_fds(&waiting->message);
	free(waiting);
}

void channel_fini(struct channel *channel) NO_OTHER_THREAD
{
	while (channel->first) {
		struct channel_waiting *next = channel->first->next;

		free_waiting(channel->first);
		channel->first = next;
	}
	channel_close_fds(&channel->in);
	shutdown(channel->fd, SHUT_RDWR);
	reaper_close(channel->account, channel->fd);
	lock_fini(&channel->lock);
}

void channel_close_fds(struct channel_message *message)
{
	while (message->fd_count)
		reaper_close(message->account, message->fds[--message->fd_count]);
}

/* Header and payload lie apart in struct channel_message. */
static size_t pieces(struct channel_message *message, size_t from, size_t to, struct iovec iov[2])
{
	const size_t head = sizeof(message->header);
	size_t count = 0;

	if (from < head)
		iov[count++] = (struct iovec){(char *)&message->header + from, (to < head ? to : head) - from};
	if (to > head)
		iov[count++] = (struct iovec){message->payload + (from > head ? from - head : 0),
					      to - (from > head ? from : head)};
	return count;
}

/*
 * Take the descriptors that came along. What is too many, or cut off by the kernel, is an error, and none of it leaks.
 */
static int take_fds(struct channel_message *message, struct msghdr *hdr)
{
	int err = hdr->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (message->fd_count < CHANNEL_FDS) {
				message->fds[message->fd_count++] = fd;
			} else {
				reaper_close(message->account, fd);
				err = -EPROTO;
			}
		}
	}
	return err;
}

/* Read up to the given length of the message, no further: descriptors stay with the message that they came with. */
static int receive_to(struct channel *channel, size_t to)
{
	union control control;
	struct iovec iov[2];

	channel->in.account = channel->account;
	struct msghdr hdr = {
		.msg_iov = iov,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	while (channel->received < to) {
		ssize_t n;

		hdr.msg_iovlen = pieces(&channel->in, channel->received, to, iov);
		hdr.msg_controllen = sizeof(control.bytes);
		n = recvmsg(channel->fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		int err = take_fds(&channel->in, &hdr);

		if (err)
			return err;
		if (!n)
			return -EPIPE;
		channel->received += (size_t)n;
	}
	return 0;
}

int channel_receive(struct channel *channel, struct channel_message *message)
{
	struct vhu_header *header = &channel->in.header;
	int err = receive_to(channel, sizeof(*header));

	if (err)
		return err;
	if ((header->flags & VHU_VERSION_MASK) != VHU_VERSION || header->size > CHANNEL_PAYLOAD)
		return -EPROTO;
	err = receive_to(channel, sizeof(*header) + header->size);
	if (err)
		return err;
	memset(channel->in.payload + header->size, 0, CHANNEL_PAYLOAD - header->size);
	*message = channel->in;
	channel->in.fd_count = 0;
	channel->received = 0;
	return 0;
}

static void put_fds(const struct channel_message *message, struct msghdr *hdr, union control *control)
{
	size_t bytes = sizeof(int) * message->fd_count;

	if (!bytes)
		return;
	memset(control, 0, sizeof(*control));
	hdr->msg_control = control->bytes;
	hdr->msg_controllen = CMSG_SPACE(bytes);
	struct cmsghdr *c = CMSG_FIRSTHDR(hdr);

	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(bytes), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), message->fds, bytes);
}

/* Send from byte *sent on. 0 (all of it), -EAGAIN or another -errno. */
static int send_from(int fd, struct channel_message *message, size_t *sent)
{
	const size_t size = sizeof(message->header) + message->header.size;

	while (*sent < size) {
		union control control;
		struct iovec iov[2];
		struct msghdr hdr = {.msg_iov = iov, .msg_iovlen = pieces(message, *sent, size, iov)};
		ssize_t n;

		if (!*sent)
			put_fds(message, &hdr, &control);
		n = sendmsg(fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		*sent += (size_t)n;
	}
	return 0;
}

static int copy_fds(struct channel_message *message)
{
	unsigned count = message->fd_count;

	message->fd_count = 0;
	while (message->fd_count < count) {
		int fd = fcntl(message->fds[message->fd_count], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int err = -errno;

			channel_close_fds(message);
			return err;
		}
		message->fds[message->fd_count++] = fd;
	}
	return 0;
}

static int wait_locked(struct channel *channel, const struct channel_message *message, size_t sent)
	REQUIRES(channel->lock)
{
	if (channel->waiting == CHANNEL_WAITING)
		return -ENOBUFS;
	struct channel_waiting *waiting = malloc(sizeof(*waiting));

	if (!waiting)
		return -ENOMEM;
	*waiting = (struct channel_waiting){.message = *message, .sent = sent};
	if (sent)
		waiting->message.fd_count = 0; /* they have gone with the first byte */
	int err = copy_fds(&waiting->message);

	if (err) {
		free(waiting);
		return err;
	}
	if (channel->last)
		channel->last->next = waiting;
	else
		channel->first = waiting;
	channel->last = waiting;
	channel->waiting++;
	return 0;
}

int channel_send(struct channel *channel, const struct channel_message *message)
{
	struct channel_message copy = *message;
	size_t sent = 0;

	copy.header.flags = (copy.header.flags & ~(uint32_t)VHU_VERSION_MASK) | VHU_VERSION;
	lock_take(&channel->lock);
	/* Once a message is lost, what follows would be read as something else. */
	int err = channel->error;

	if (!err) {
		err = channel->first ? -EAGAIN : send_from(channel->fd, &copy, &sent);
		if (err == -EAGAIN)
			err = wait_locked(channel, &copy, sent);
		channel->error = err;
	}

	lock_drop(&channel->lock);
	return err;
}

bool channel_unsent(struct channel *channel)
{
	lock_take(&channel->lock);
	bool unsent = channel->first;

	lock_drop(&channel->lock);
	return unsent;
}

static int flush_locked(struct channel *channel) REQUIRES(channel->lock)
{
	while (channel->first) {
		struct channel_waiting *waiting = channel->first;
		int err = send_from(channel->fd, &waiting->message, &waiting->sent);

		if (err)
			return err;
		channel->first = waiting->next;
		if (!channel->first)
			channel->last = NULL;
		channel->waiting--;
		free_waiting(waiting);
	}
	return 0;
}

int channel_flush(struct channel *channel)
{
	lock_take(&channel->lock);
	int err = channel->error ? channel->error : flush_locked(channel);

	if (err && err != -EAGAIN)
		channel->error = err;
	lock_drop(&channel->lock);
	return err;
}
