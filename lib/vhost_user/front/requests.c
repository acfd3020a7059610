/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/vhost_user/front/requests.h"

/* Our end of a pair of sockets is watched, the other goes to the back end. */
int front_requests_fill(struct front_requests *requests, struct channel_message *message)
{
	struct front_link *link = requests->link;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return front_fail(link, "a channel for the back end: %s", strerror(errno));
	message->fds[message->fd_count++] = pair[1];
	err = channel_init(&requests->channel, pair[0], link->account);
	if (err) {
		close(pair[0]);
		return front_fail(link, "a channel for the back end: %s", strerror(-err));
	}
	requests->open = true;
	requests->events = EPOLLIN;
	err = front_watch(link, pair[0], FRONT_EVENT_REQUESTS);
	return err ? front_fail(link, "a channel for the back end: %s", strerror(-err)) : 0;
}

void front_requests_close(struct front_requests *requests)
{
	if (requests->open) {
		epoll_ctl(requests->link->epoll, EPOLL_CTL_DEL, requests->channel.fd, NULL); /* it is closed later */
		channel_fini(&requests->channel);
	}
	requests->open = requests->deferred = false;
}

void front_requests_poll(struct front_requests *requests)
{
	if (!requests->open)
		return;
	bool room = front_iotlb_room(requests->iotlb) && !requests->deferred;

	front_poll_for(requests->link, requests->channel.fd, FRONT_EVENT_REQUESTS, &requests->events,
		       (room ? EPOLLIN : 0) | (channel_unsent(&requests->channel) ? EPOLLOUT : 0));
}

/* 0, -EOPNOTSUPP (refused), -EPROTO (the connection has failed), or as front_provide(); *ask is what was asked. */
static int requests_perform(struct front_requests *requests, const struct channel_message *message,
			    struct front_ask *ask)
{
	struct front_link *link = requests->link;
	const struct vhu_iotlb *iotlb = &message->iotlb;
	struct viommu_extent run;

	if (message->fd_count)
		return front_fail(link, "descriptors with a request of the back end");
	if (message->header.flags & VHU_REPLY)
		return front_fail(link, "an answer to nothing over the back end's channel");
	if (message->header.request == VHU_BACKEND_CONFIG_CHANGE_MSG) {
		if (message->header.size)
			return front_fail(link, "malformed notice of a changed configuration");
		requests->space->stale = link->config->config_size;
		return requests->space->stale ? 0 : -EOPNOTSUPP;
	}
	if (message->header.request != VHU_BACKEND_IOTLB_MSG)
		return -EOPNOTSUPP;
	if (message->header.size != sizeof(*iotlb))
		return front_fail(link, "malformed IOTLB message from the back end");
	if (!requests->iotlb->on)
		return front_fail(link, "an IOTLB message from a back end without IOTLB");
	if (iotlb->type != VHU_IOTLB_MISS && iotlb->type != VHU_IOTLB_ACCESS_FAIL)
		return -EOPNOTSUPP;
	if (!iotlb->access || iotlb->access > VHU_ACCESS_RW)
		return front_fail(link, "an IOTLB message with access %u from the back end", iotlb->access);
	const bool read_too = iotlb->access == VHU_ACCESS_RW && link->config->write_implies_read;

	*ask = (struct front_ask){.iova = iotlb->iova,
				  .needed = read_too ? VIOMMU_WRITE : iotlb->access,
				  .read_too = read_too,
				  .limit = front_everything};
	if (iotlb->type == VHU_IOTLB_MISS) {
		link->stats.misses++;
		return front_provide(requests->iotlb, ask, &run);
	}
	link->stats.access_fails++;
	front_blocked(requests->iotlb, ask);
	return 0;
}

/* The one place where what came of a request becomes an answer, or a miss is put off. */
static void requests_settle(struct front_requests *requests, const struct vhu_header *header,
			    const struct front_ask *ask, int result)
{
	struct front_link *link = requests->link;
	struct channel_message answer = {
		.header = {.request = header->request, .flags = VHU_REPLY, .size = sizeof(answer.u64)},
	};

	if (result == -EPROTO || !requests->open)
		return;
	requests->deferred = result == -EAGAIN || result == -ECANCELED;
	if (requests->deferred) {
		requests->header = *header;
		requests->ask = *ask;
		/* An endpoint that is resumed tells of it (on_map() in front.c). */
		if (result == -EAGAIN)
			front_wake(link);
		return;
	}
	if (result == -EOPNOTSUPP) {
		link->stats.refused++;
		front_log(link, "request %u of the back end is refused", header->request);
	}
	if (!link->reply_ack || !(header->flags & VHU_NEED_REPLY))
		return;
	/* What is over is no refusal to a reader of the table, which looks again, and asks again if it has to. */
	answer.u64 = result && !(result == -ENOENT && requests->iotlb->shared);
	int err = channel_send(&requests->channel, &answer);

	if (err == -ENOBUFS)
		front_fail(link, "the back end does not read answers to its requests");
	else if (err)
		front_fail(link, "answering the back end: %s", strerror(-err));
}

void front_requests_serve(struct front_requests *requests)
{
	struct channel_message message;
	struct front_ask ask = {0};
	struct viommu_extent run;
	int err = channel_flush(&requests->channel);

	if (requests->deferred) {
		const struct vhu_header header = requests->header;

		ask = requests->ask;
		requests_settle(requests, &header, &ask, front_provide(requests->iotlb, &ask, &run));
	}
	if (err == -EAGAIN)
		err = 0;
	for (unsigned i = 0; i < FRONT_BATCH && !err; i++) {
		if (!requests->open || requests->deferred || requests->link->why[0] ||
		    !front_iotlb_room(requests->iotlb))
			break;
		err = channel_receive(&requests->channel, &message);
		if (err)
			break;
		int result = requests_perform(requests, &message, &ask);

		channel_close_fds(&message);
		requests_settle(requests, &message.header, &ask, result);
	}
	if (err == -EPIPE)
		front_fail(requests->link, "the back end has closed its channel");
	else if (err == -EPROTO)
		front_fail(requests->link, "malformed message over the back end's channel");
	else if (err && err != -EAGAIN)
		front_fail(requests->link, "the back end's channel: %s", strerror(-err));
}
