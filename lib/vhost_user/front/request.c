/* SPDX-License-Identifier: BSD-2-Clause */
/* What the back end asks, over a channel of its own: section "Back-end message types". */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/vhost_user/front/front.h"

/* Our end of a pair of sockets is watched, the other goes to the back end. */
int vhu_fill_requests_fd(struct viommu_vhu *vhu, struct channel_message *message)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return vhu_fail(vhu, "a channel for the back end: %s", strerror(errno));
	message->fds[message->fd_count++] = pair[1];
	err = channel_init(&vhu->requests, pair[0], vhu->account);
	if (err) {
		close(pair[0]);
		return vhu_fail(vhu, "a channel for the back end: %s", strerror(-err));
	}
	vhu->requests_open = true;
	vhu->requests_events = EPOLLIN;
	err = vhu_watch(vhu, pair[0], VHU_EVENT_REQUESTS);
	return err ? vhu_fail(vhu, "a channel for the back end: %s", strerror(-err)) : 0;
}

void vhu_close_requests(struct viommu_vhu *vhu)
{
	if (vhu->requests_open) {
		epoll_ctl(vhu->epoll, EPOLL_CTL_DEL, vhu->requests.fd, NULL); /* it is closed later */
		channel_fini(&vhu->requests);
	}
	vhu->requests_open = vhu->deferred = false;
}

static void count(struct viommu_vhu *vhu, uint64_t *counter)
{
	lock_take(&vhu->lock);
	++*counter;
	lock_drop(&vhu->lock);
}

/* Status of a request, for its reply: 0, or 1 where it is refused. */
static int refuse(struct viommu_vhu *vhu, const struct channel_message *message)
{
	count(vhu, &vhu->stats.refused);
	vhu_log(vhu, "request %u of the back end is refused", message->header.request);
	return 1;
}

static int iotlb_request(struct viommu_vhu *vhu, const struct channel_message *message)
{
	struct vhu_iotlb iotlb = message->iotlb;

	if (message->header.size != sizeof(iotlb))
		return vhu_fail(vhu, "malformed IOTLB message from the back end");
	lock_take(&vhu->lock);
	bool on = vhu->iotlb;

	lock_drop(&vhu->lock);
	if (!on)
		return vhu_fail(vhu, "an IOTLB message from a back end without IOTLB");
	if (iotlb.type != VHU_IOTLB_MISS && iotlb.type != VHU_IOTLB_ACCESS_FAIL)
		return refuse(vhu, message);
	if (!iotlb.access || iotlb.access > VHU_ACCESS_RW)
		return vhu_fail(vhu, "an IOTLB message with access %u from the back end", iotlb.access);
	if (iotlb.type == VHU_IOTLB_MISS) {
		count(vhu, &vhu->stats.misses);
		return vhu_iotlb_miss(vhu, &iotlb);
	} else {
		count(vhu, &vhu->stats.access_fails);
		vhu_iotlb_blocked(vhu, &iotlb);
	}
	return 0;
}

static int config_change(struct viommu_vhu *vhu, const struct channel_message *message)
{
	if (message->header.size)
		return vhu_fail(vhu, "malformed notice of a changed configuration");
	if (!vhu->config.config_size)
		return refuse(vhu, message);
	vhu->stale = true;
	vhu_proceed(vhu);
	return 0;
}

static int perform(struct viommu_vhu *vhu, const struct channel_message *message)
{
	if (message->fd_count)
		return vhu_fail(vhu, "descriptors with a request of the back end");
	if (message->header.flags & VHU_REPLY)
		return vhu_fail(vhu, "an answer to nothing over the back end's channel");
	switch (message->header.request) {
	case VHU_BACKEND_IOTLB_MSG:
		return iotlb_request(vhu, message);
	case VHU_BACKEND_CONFIG_CHANGE_MSG:
		return config_change(vhu, message);
	default:
		return refuse(vhu, message);
	}
}

static void reply(struct viommu_vhu *vhu, const struct vhu_header *header, int status)
{
	struct channel_message answer = {
		.header = {.request = header->request, .flags = VHU_REPLY, .size = sizeof(answer.u64)},
	};
	int err;

	if (!vhu->reply_ack || !(header->flags & VHU_NEED_REPLY))
		return;
	answer.u64 = (uint64_t)status;
	err = channel_send(&vhu->requests, &answer);
	if (err == -ENOBUFS)
		vhu_fail(vhu, "the back end does not read answers to its requests");
	else if (err)
		vhu_fail(vhu, "answering the back end: %s", strerror(-err));
}

static bool room(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	bool free = vhu->updates < VHU_UPDATES;

	lock_drop(&vhu->lock);
	return free && vhu->requests_open && !vhu->deferred && !vhu->why[0];
}

static void receive_one(struct viommu_vhu *vhu, struct channel_message *message)
{
	int status = perform(vhu, message);

	channel_close_fds(message);
	if (status == -EAGAIN)
		vhu->miss_header = message->header;
	else if (status >= 0 && vhu->requests_open)
		reply(vhu, &message->header, status);
}

static void try_again(struct viommu_vhu *vhu)
{
	vhu->deferred = false;
	int status = vhu_iotlb_miss(vhu, &vhu->miss);

	if (status >= 0)
		reply(vhu, &vhu->miss_header, status);
}

void vhu_serve_requests(struct viommu_vhu *vhu)
{
	struct channel_message message;
	int err = channel_flush(&vhu->requests);

	if (vhu->deferred)
		try_again(vhu);
	if (err == -EAGAIN)
		err = 0;
	for (unsigned i = 0; i < VHU_BATCH && !err && room(vhu); i++) {
		err = channel_receive(&vhu->requests, &message);
		if (!err)
			receive_one(vhu, &message);
	}
	if (err == -EPIPE)
		vhu_fail(vhu, "the back end has closed its channel");
	else if (err == -EPROTO)
		vhu_fail(vhu, "malformed message over the back end's channel");
	else if (err && err != -EAGAIN)
		vhu_fail(vhu, "the back end's channel: %s", strerror(-err));
}
