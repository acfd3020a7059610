/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes in over the socket: answers, in the order of the requests, and nothing else. */
#include <errno.h>
#include <string.h>

#include "lib/vhost_user/front/front.h"
#include "lib/vhost_user/wire/reaper.h"

static int dispatch(struct viommu_vhu *vhu, struct channel_message *message)
{
	const struct vhu_header *header = &message->header;
	struct vhu_pending pending;

	if (!(header->flags & VHU_REPLY))
		return vhu_fail(vhu, "request %u over the socket for answers", header->request);
	lock_take(&vhu->lock);
	bool awaited = vhu_take_pending_locked(vhu, &pending);

	lock_drop(&vhu->lock);
	if (!awaited)
		return vhu_fail(vhu, "an answer to nothing (request %u)", header->request);
	if (pending.request != header->request)
		return vhu_fail(vhu, "an answer to request %u in place of %u", header->request, pending.request);
	if (pending.purpose == VHU_FOR_SCRIPT)
		return vhu_script_answer(vhu, message);
	if (message->fd_count || header->size != sizeof(message->u64))
		return vhu_fail(vhu, "malformed acknowledgement of an IOTLB message");
	return vhu_iotlb_answer(vhu, &pending, message->u64);
}

/* Closing is quick, unless the back end sees to it that it is not. */
static void check_unclosed(struct viommu_vhu *vhu)
{
	if (reaper_unclosed(vhu->account) > VHU_UNCLOSED_MOST)
		vhu_fail(vhu, "what the back end has sent cannot be closed");
}

void vhu_receive(struct viommu_vhu *vhu)
{
	struct channel_message message;
	int err;

	for (unsigned i = 0; i < VHU_BATCH && vhu->open && !vhu->why[0]; i++) {
		err = channel_receive(&vhu->channel, &message);
		if (err == -EAGAIN)
			return;
		if (err == -EPIPE) {
			vhu_fail(vhu, "the back end has closed the connection");
		} else if (err == -EPROTO) {
			vhu_fail(vhu, "malformed message from the back end");
		} else if (err) {
			vhu_fail(vhu, "receiving from the back end: %s", strerror(-err));
		} else {
			dispatch(vhu, &message);
			channel_close_fds(&message);
			check_unclosed(vhu);
		}
	}
}
