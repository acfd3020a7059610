/* SPDX-License-Identifier: BSD-2-Clause */
/* The channel for the back end's own messages: what is sent, and the replies that come back. */
#include "lib/vhost_user/back/asking.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/util/clock.h"
#include "lib/vhost_user/wire/reaper.h"

enum { REPLIES_PER_ROUND = 64, FAULTS_PER_SECOND = 32 };

int vbe_asking_init(struct vbe_asking *asking)
{
	return lock_init(&asking->lock);
}

void vbe_asking_fini(struct vbe_asking *asking) NO_OTHER_THREAD
{
	if (asking->open)
		channel_fini(&asking->channel);
	lock_fini(&asking->lock);
}

/* Watch for room in the socket, or not. */
static void await_locked(struct vbe_asking *asking) REQUIRES(asking->lock)
{
	bool out = channel_unsent(&asking->channel);
	struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0)};

	if (out == asking->out)
		return;
	asking->out = out;
	epoll_ctl(asking->epoll_fd, EPOLL_CTL_MOD, asking->channel.fd, &event);
}

/* -EAGAIN: the front end does not read what it has been sent already, or there is no channel. */
static int back_channel_send_locked(struct vbe_asking *asking, uint8_t type, struct range iova, unsigned access,
				    uint32_t flags) REQUIRES(asking->lock)
{
	const struct channel_message message = {
		.header = {.request = VHU_BACKEND_IOTLB_MSG, .flags = flags, .size = sizeof(message.iotlb)},
		.iotlb = {.iova = iova.first,
			  .size = iova.last - iova.first + 1,
			  .access = (uint8_t)((access & VIOMMU_READ ? VHU_ACCESS_RO : 0) |
					      (access & VIOMMU_WRITE ? VHU_ACCESS_WO : 0)),
			  .type = type},
	};
	int err;

	if (!asking->open || asking->out)
		return -EAGAIN;
	err = channel_send(&asking->channel, &message);
	await_locked(asking);
	return err;
}

static void ask_locked(struct vbe_asking *asking, struct vbe_miss *miss) REQUIRES(asking->lock)
{
	if (back_channel_send_locked(asking, VHU_IOTLB_MISS, miss->iova, miss->access,
				     asking->replied ? VHU_NEED_REPLY : 0))
		return; /* later, by vbe_back_channel_serve() */
	miss->sent = true;
	miss->sequence = asking->replied ? ++asking->asked : 0;
	asking->misses++;
}

const struct vbe_miss *vbe_ask_locked(struct vbe_asking *asking, struct range iova, unsigned access)
{
	struct vbe_miss *miss = vbe_miss_find_locked(asking, iova.first, access);

	if (miss)
		return miss;
	miss = vbe_miss_add_locked(asking, iova, access);
	if (miss)
		ask_locked(asking, miss);
	return miss;
}

/* A guest can cause as many faults as it likes; front ends write a line for each. */
static bool may_tell_locked(struct vbe_asking *asking) REQUIRES(asking->lock)
{
	uint64_t second = clock_ns() / NS_PER_S;

	if (second != asking->told_second)
		asking->told = 0;
	asking->told_second = second;
	return asking->told++ < FAULTS_PER_SECOND;
}

void vbe_fault(void *opaque, const struct viommu_fault *fault)
{
	struct vbe_asking *asking = opaque;
	const uint64_t iova = fault->iova.value;

	lock_take(&asking->lock);
	struct vbe_miss *miss = vbe_miss_find_locked(asking, iova, fault->access);

	/* It has been said. The next access there asks again. */
	if (miss && miss->failed)
		vbe_miss_drop_locked(asking, miss);
	asking->faults++;
	/* A front end that does not read does not hear of it: the fault is counted and logged here all the same. */
	if (fault->in_domain && may_tell_locked(asking))
		back_channel_send_locked(asking, VHU_IOTLB_ACCESS_FAIL, (struct range){iova, iova}, fault->access, 0);
	lock_drop(&asking->lock);
}

static int back_channel_reply_locked(struct vbe_asking *asking, const struct channel_message *message)
	REQUIRES(asking->lock)
{
	if (!(message->header.flags & VHU_REPLY) || message->header.request != VHU_BACKEND_IOTLB_MSG ||
	    message->header.size != sizeof(message->u64) || message->fd_count || asking->answered == asking->asked)
		return -EPROTO;
	asking->answered++;
	/* Without a shared table 0 says nothing: the UPDATE does. */
	if (message->u64 || atomic_load_explicit(&asking->shared->view, memory_order_relaxed))
		vbe_misses_reply_locked(asking, asking->answered, !message->u64);
	return 0;
}

static int replies_locked(struct vbe_asking *asking) REQUIRES(asking->lock)
{
	struct channel_message message;
	int err = 0;

	for (unsigned i = 0; !err && i < REPLIES_PER_ROUND; i++) {
		err = channel_receive(&asking->channel, &message);
		if (err)
			break;
		err = back_channel_reply_locked(asking, &message);
		channel_close_fds(&message);
	}
	return err == -EAGAIN ? 0 : err;
}

static void ask_again_locked(struct vbe_asking *asking) REQUIRES(asking->lock)
{
	for (unsigned i = 0; asking->count && i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &asking->miss[i];

		if (miss->used && !miss->sent && !miss->failed)
			ask_locked(asking, miss);
	}
}

/* A front end that closes it, as one that stops does, is asked no more: what is missing now is a fault in time. */
static void close_locked(struct vbe_asking *asking) REQUIRES(asking->lock)
{
	/* Closing does not end the watching: the front end may have kept our end of the socket, too. */
	epoll_ctl(asking->epoll_fd, EPOLL_CTL_DEL, asking->channel.fd, NULL);
	channel_fini(&asking->channel);
	asking->open = false;
}

int vbe_back_channel_serve(struct vbe_asking *asking)
{
	int err = 0;

	lock_take(&asking->lock);
	if (asking->open) {
		err = replies_locked(asking);
		if (!err && asking->out)
			err = channel_flush(&asking->channel);
		if (err == -EPIPE)
			close_locked(asking);
		else
			await_locked(asking);
		if (!err)
			ask_again_locked(asking);
	}
	lock_drop(&asking->lock);
	if (err == -EAGAIN || err == -EPIPE)
		return 0;
	if (err)
		vbe_log(asking->log, "the channel for the back end's messages fails: %s", strerror(-err));
	return err;
}

/* Other files may wait when they are polled. */
static bool is_unix_stream(int fd)
{
	int domain, type;
	socklen_t domain_size = sizeof(domain), type_size = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) && domain == AF_UNIX &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) && type == SOCK_STREAM;
}

int vbe_back_channel_set(struct vbe_asking *asking, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct channel channel;
	int err = is_unix_stream(fd) ? channel_init(&channel, fd, asking->account) : -EINVAL;

	if (err) {
		reaper_close(asking->account, fd);
		return err;
	}
	if (epoll_ctl(asking->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		err = -errno;
		channel_fini(&channel);
		return err;
	}
	lock_take(&asking->lock);
	if (asking->open)
		close_locked(asking);
	asking->channel = channel;
	asking->open = true;
	asking->out = false;
	/* What was asked over the old one is asked again. */
	asking->asked = asking->answered = 0;
	for (unsigned i = 0; i < VBE_MISSES; i++) {
		asking->miss[i].sent = false;
		asking->miss[i].sequence = 0;
	}
	ask_again_locked(asking);
	lock_drop(&asking->lock);
	return 0;
}

void vbe_back_channel_replied(struct vbe_asking *asking, bool replied)
{
	lock_take(&asking->lock);
	asking->replied = replied;
	lock_drop(&asking->lock);
}
