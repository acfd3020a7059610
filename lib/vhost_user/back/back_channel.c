/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/back_channel.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/util/clock.h"
#include "lib/vhost_user/wire/reaper.h"

enum { REPLIES_PER_ROUND = 64, FAULTS_PER_SECOND = 32 };

int vbe_back_channel_init(struct vbe_back_channel *back, struct vbe_alarm *alarm, uint64_t limit_ns)
{
	back->misses.alarm = alarm;
	back->misses.limit_ns = limit_ns;
	return lock_init(&back->misses.lock);
}

void vbe_back_channel_fini(struct vbe_back_channel *back) NO_OTHER_THREAD
{
	if (back->open)
		channel_fini(&back->channel);
	lock_fini(&back->misses.lock);
}

/* Watch for room in the socket, or not. */
static void await_locked(struct vbe_back_channel *back) REQUIRES(back->misses.lock)
{
	bool out = channel_unsent(&back->channel);
	struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0)};

	if (out == back->out)
		return;
	back->out = out;
	epoll_ctl(back->epoll_fd, EPOLL_CTL_MOD, back->channel.fd, &event);
}

/* -EAGAIN: the front end does not read what it has been sent already, or there is no channel. */
static int back_channel_send_locked(struct vbe_back_channel *back, uint8_t type, struct range iova, unsigned access,
				    uint32_t flags) REQUIRES(back->misses.lock)
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

	if (!back->open || back->out)
		return -EAGAIN;
	err = channel_send(&back->channel, &message);
	await_locked(back);
	return err;
}

static void ask_locked(struct vbe_back_channel *back, struct vbe_miss *miss) REQUIRES(back->misses.lock)
{
	if (back_channel_send_locked(back, VHU_IOTLB_MISS, miss->iova, miss->access,
				     back->replied ? VHU_NEED_REPLY : 0))
		return; /* later, by vbe_back_channel_serve() */
	miss->sent = true;
	miss->sequence = back->replied ? ++back->asked : 0;
	back->sent++;
}

const struct vbe_miss *vbe_ask_locked(struct vbe_back_channel *back, struct range iova, unsigned access)
{
	struct vbe_miss *miss = vbe_miss_find_locked(&back->misses, iova.first, access);

	if (miss)
		return miss;
	miss = vbe_miss_add_locked(&back->misses, iova, access);
	if (miss)
		ask_locked(back, miss);
	return miss;
}

/* A guest can cause as many faults as it likes; front ends write a line for each. */
static bool may_tell_locked(struct vbe_back_channel *back) REQUIRES(back->misses.lock)
{
	uint64_t second = clock_ns() / NS_PER_S;

	if (second != back->told_second)
		back->told = 0;
	back->told_second = second;
	return back->told++ < FAULTS_PER_SECOND;
}

void vbe_fault(void *opaque, const struct viommu_fault *fault)
{
	struct vbe_back_channel *back = opaque;
	const uint64_t iova = fault->iova.value;

	lock_take(&back->misses.lock);
	struct vbe_miss *miss = vbe_miss_find_locked(&back->misses, iova, fault->access);

	/* It has been said. The next access there asks again. */
	if (miss && miss->failed)
		vbe_miss_drop_locked(&back->misses, miss);
	back->faults++;
	/* Who does not read does not hear of it: the fault is counted and logged here all the same. */
	if (fault->in_domain && may_tell_locked(back))
		back_channel_send_locked(back, VHU_IOTLB_ACCESS_FAIL, (struct range){iova, iova}, fault->access, 0);
	lock_drop(&back->misses.lock);
}

static int back_channel_reply_locked(struct vbe_back_channel *back, const struct channel_message *message)
	REQUIRES(back->misses.lock)
{
	if (!(message->header.flags & VHU_REPLY) || message->header.request != VHU_BACKEND_IOTLB_MSG ||
	    message->header.size != sizeof(message->u64) || message->fd_count || back->answered == back->asked)
		return -EPROTO;
	back->answered++;
	/* Without a shared table 0 says nothing: the UPDATE does. */
	if (message->u64 || atomic_load_explicit(&back->shared->view, memory_order_relaxed))
		vbe_misses_reply_locked(&back->misses, back->answered, !message->u64);
	return 0;
}

static int replies_locked(struct vbe_back_channel *back) REQUIRES(back->misses.lock)
{
	struct channel_message message;
	int err = 0;

	for (unsigned i = 0; !err && i < REPLIES_PER_ROUND; i++) {
		err = channel_receive(&back->channel, &message);
		if (err)
			break;
		err = back_channel_reply_locked(back, &message);
		channel_close_fds(&message);
	}
	return err == -EAGAIN ? 0 : err;
}

static void ask_again_locked(struct vbe_back_channel *back) REQUIRES(back->misses.lock)
{
	for (unsigned i = 0; back->misses.count && i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &back->misses.list[i];

		if (miss->used && !miss->sent && !miss->failed)
			ask_locked(back, miss);
	}
}

/* A front end that closes it, as one that stops does, is asked no more: what is missing now is a fault in time. */
static void close_locked(struct vbe_back_channel *back) REQUIRES(back->misses.lock)
{
	/* Closing does not end the watching: the front end may have kept our end of the socket, too. */
	epoll_ctl(back->epoll_fd, EPOLL_CTL_DEL, back->channel.fd, NULL);
	channel_fini(&back->channel);
	back->open = false;
}

int vbe_back_channel_serve(struct vbe_back_channel *back)
{
	int err = 0;

	lock_take(&back->misses.lock);
	if (back->open) {
		err = replies_locked(back);
		if (!err && back->out)
			err = channel_flush(&back->channel);
		if (err == -EPIPE)
			close_locked(back);
		else
			await_locked(back);
		if (!err)
			ask_again_locked(back);
	}
	lock_drop(&back->misses.lock);
	if (err == -EAGAIN || err == -EPIPE)
		return 0;
	if (err)
		vbe_log(back->log, "the channel for the back end's messages fails: %s", strerror(-err));
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

int vbe_back_channel_set(struct vbe_back_channel *back, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct channel channel;
	int err = is_unix_stream(fd) ? channel_init(&channel, fd, back->account) : -EINVAL;

	if (err) {
		reaper_close(back->account, fd);
		return err;
	}
	if (epoll_ctl(back->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		err = -errno;
		channel_fini(&channel);
		return err;
	}
	lock_take(&back->misses.lock);
	if (back->open)
		close_locked(back);
	back->channel = channel;
	back->open = true;
	back->out = false;
	/* What was asked over the old one is asked again. */
	back->asked = back->answered = 0;
	for (unsigned i = 0; i < VBE_MISSES; i++) {
		back->misses.list[i].sent = false;
		back->misses.list[i].sequence = 0;
	}
	ask_again_locked(back);
	lock_drop(&back->misses.lock);
	return 0;
}

void vbe_back_channel_replied(struct vbe_back_channel *back, bool replied)
{
	lock_take(&back->misses.lock);
	back->replied = replied;
	lock_drop(&back->misses.lock);
}
