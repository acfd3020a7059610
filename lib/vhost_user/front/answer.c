/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes in over the socket: answers, in the order of the requests, and nothing else. */
#include <errno.h>
#include <string.h>

#include "lib/vhost_user/front/front.h"
#include "lib/vhost_user/wire/reaper.h"

enum { UNCLOSED_MOST = 64 /* descriptors of the back end that are not closed yet: beyond, the connection ends */ };

static int answer_dispatch(struct front_link *link, struct front_agenda *agenda, struct front_iotlb *iotlb,
			   struct channel_message *message)
{
	const struct vhu_header *header = &message->header;
	struct front_awaited awaited;

	if (!(header->flags & VHU_REPLY))
		return front_fail(link, "request %u over the socket for answers", header->request);
	if (!front_take_awaited(link, &awaited))
		return front_fail(link, "an answer to nothing (request %u)", header->request);
	if (awaited.request != header->request)
		return front_fail(link, "an answer to request %u in place of %u", header->request, awaited.request);
	if (awaited.purpose == FRONT_FOR_SCRIPT)
		return front_script_answer(agenda, message);
	if (message->fd_count || header->size != sizeof(message->u64))
		return front_fail(link, "malformed acknowledgement of an IOTLB message");
	return front_iotlb_answer(iotlb, &awaited, message->u64);
}

void front_receive(struct front_link *link, struct front_agenda *agenda, struct front_iotlb *iotlb)
{
	struct channel_message message;
	int err = 0;

	for (unsigned i = 0; i < FRONT_BATCH && link->open && !link->why[0]; i++) {
		err = channel_receive(&link->channel, &message);
		if (err)
			break;
		answer_dispatch(link, agenda, iotlb, &message);
		channel_close_fds(&message);
		/* Closing is quick, unless the back end sees to it that it is not. */
		if (reaper_unclosed(link->account) > UNCLOSED_MOST)
			front_fail(link, "what the back end has sent cannot be closed");
	}
	if (err == -EPIPE)
		front_fail(link, "the back end has closed the connection");
	else if (err == -EPROTO)
		front_fail(link, "malformed message from the back end");
	else if (err && err != -EAGAIN)
		front_fail(link, "receiving from the back end: %s", strerror(-err));
}
