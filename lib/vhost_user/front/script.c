/* SPDX-License-Identifier: BSD-2-Clause */
/* Scripts: requests one after another, each when the one before has been answered. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/vhost_user/front/front.h"

void vhu_begin_script(struct viommu_vhu *vhu, const struct vhu_script *script)
{
	vhu->script = script;
	vhu->step = vhu->ring = 0;
}

static void advance(struct viommu_vhu *vhu)
{
	const struct vhu_script *script = vhu->script;

	if (++vhu->step < script->count)
		return;
	vhu->step = 0;
	if (script->per_ring && ++vhu->ring < vhu->count)
		return;
	vhu_begin_script(vhu, script->next);
	if (script->end)
		script->end(vhu);
}

int vhu_attach_fd(struct viommu_vhu *vhu, struct channel_message *message, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return vhu_fail(vhu, "a descriptor for the back end: %s", strerror(errno));
	message->fds[message->fd_count++] = copy;
	return 0;
}

static void issue(struct viommu_vhu *vhu, const struct vhu_step *step)
{
	struct channel_message message = {.header = {.request = step->request}};
	struct vhu_pending pending = {.request = step->request, .purpose = VHU_FOR_SCRIPT};
	int err = step->fill ? step->fill(vhu, &message) : 0;

	if (!err) {
		vhu->waiting = step->answer || vhu->reply_ack;
		if (vhu->waiting && !step->answer)
			message.header.flags = VHU_NEED_REPLY;
		lock_take(&vhu->lock);
		vhu_send_locked(vhu, &message, vhu->waiting ? &pending : NULL);
		err = vhu->broken;
		lock_drop(&vhu->lock);
	}
	channel_close_fds(&message);
	if (!err && !vhu->waiting)
		advance(vhu);
	else if (err)
		vhu->waiting = true; /* for the end of the connection */
}

static void take_step(struct viommu_vhu *vhu)
{
	const struct vhu_step *step = &vhu->script->steps[vhu->step];

	if (step->wanted && !step->wanted(vhu))
		advance(vhu);
	else
		issue(vhu, step);
}

static bool something_to_do(struct viommu_vhu *vhu)
{
	if (!vhu->open || vhu->waiting || vhu->why[0])
		return false;
	if (!vhu->script)
		vhu_begin_script(vhu, vhu_next_script(vhu));
	return vhu->script;
}

void vhu_proceed(struct viommu_vhu *vhu)
{
	if (vhu->proceeding) /* from a callback */
		return;
	vhu->proceeding = true;
	while (something_to_do(vhu))
		take_step(vhu);
	vhu->proceeding = false;
}

static int acknowledged(struct viommu_vhu *vhu, const struct channel_message *message)
{
	if (message->fd_count || message->header.size != sizeof(message->u64))
		return vhu_fail(vhu, "malformed acknowledgement of request %u", message->header.request);
	if (!message->u64)
		return 0;
	if (!vhu->script->steps[vhu->step].may_refuse)
		return vhu_fail(vhu, "the back end refuses request %u", message->header.request);
	vhu_log(vhu, "the back end refuses request %u", message->header.request);
	return 0;
}

int vhu_script_answer(struct viommu_vhu *vhu, struct channel_message *message)
{
	const struct vhu_step *step = &vhu->script->steps[vhu->step];
	int err = step->answer ? step->answer(vhu, message) : acknowledged(vhu, message);

	if (err)
		return err;
	vhu->waiting = false;
	advance(vhu);
	vhu_proceed(vhu);
	return 0;
}
