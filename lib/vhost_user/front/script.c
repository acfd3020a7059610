/* SPDX-License-Identifier: BSD-2-Clause */
/* Scripts: requests one after another, each when the one before has been answered. */
#include "lib/vhost_user/front/script.h"

void front_begin_script(struct front_agenda *agenda, const struct front_script *script)
{
	agenda->script = script;
	agenda->step = 0;
}

static void script_advance(struct front_agenda *agenda)
{
	const struct front_script *script = agenda->script;

	if (++agenda->step < script->count)
		return;
	agenda->step = 0;
	if (script->again && script->again(agenda->vhu))
		return;
	front_begin_script(agenda, script->next);
	if (script->end)
		script->end(agenda->vhu);
}

static void script_issue(struct front_agenda *agenda, const struct front_step *step)
{
	struct channel_message message = {.header = {.request = step->request}};
	struct front_awaited awaited = {.request = step->request, .purpose = FRONT_FOR_SCRIPT};
	int err = agenda->script->fill(agenda->vhu, &message);

	if (!err) {
		agenda->waiting = step->answered || agenda->link->reply_ack;
		if (agenda->waiting && !step->answered)
			message.header.flags = VHU_NEED_REPLY;
		err = front_send(agenda->link, &message, agenda->waiting ? &awaited : NULL);
	}
	channel_close_fds(&message);
	if (!err && !agenda->waiting)
		script_advance(agenda);
	else if (err)
		agenda->waiting = true; /* for the end of the connection */
}

void front_proceed(struct front_agenda *agenda)
{
	if (agenda->proceeding) /* from a callback */
		return;
	agenda->proceeding = true;
	while (agenda->link->open && !agenda->waiting && !agenda->link->why[0]) {
		if (!agenda->script)
			front_begin_script(agenda, agenda->next(agenda->vhu));
		if (!agenda->script)
			break;
		const struct front_script *script = agenda->script;
		const struct front_step *step = &script->steps[agenda->step];

		if ((step->needs & agenda->link->protocol) == step->needs &&
		    (!script->wanted || script->wanted(agenda->vhu, step->request)))
			script_issue(agenda, step);
		else
			script_advance(agenda);
	}
	agenda->proceeding = false;
}

static int script_acknowledged(struct front_agenda *agenda, const struct channel_message *message)
{
	if (message->fd_count || message->header.size != sizeof(message->u64))
		return front_fail(agenda->link, "malformed acknowledgement of request %u", message->header.request);
	if (!message->u64)
		return 0;
	if (!agenda->script->steps[agenda->step].may_refuse)
		return front_fail(agenda->link, "the back end refuses request %u", message->header.request);
	front_log(agenda->link, "the back end refuses request %u", message->header.request);
	return 0;
}

int front_script_answer(struct front_agenda *agenda, struct channel_message *message)
{
	const struct front_step *step = &agenda->script->steps[agenda->step];
	int err = step->answered ? agenda->script->answer(agenda->vhu, message) : script_acknowledged(agenda, message);

	if (err)
		return err;
	agenda->waiting = false;
	script_advance(agenda);
	front_proceed(agenda);
	return 0;
}
