/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/device/input.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/util/loop.h"

enum { INPUT_CHUNK = 256 };

/* All fields belong to the loop's thread. */
struct input {
	struct loop *loop;
	const struct input_ops *ops;
	void *opaque;
	struct loop_watch watch;
	struct loop_work resume;
	bool watching;
	bool ended;
};

static void stop_watching(struct input *input)
{
	if (input->watching)
		loop_remove(input->loop, &input->watch);
	input->watching = false;
}

/*
 * Read once. False: there is no more for now. A full device takes the watch away rather than its events, since a
 * hang-up is reported, again and again, even where no event was asked for.
 */
static bool input_pull(struct input *input)
{
	uint8_t bytes[INPUT_CHUNK];
	size_t room = input->ops->room(input->opaque);
	ssize_t got;

	if (!room) {
		stop_watching(input);
		return false;
	}
	got = read(input->watch.fd, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		stop_watching(input);
		input->ended = true;
		return false;
	}
	input->ops->take(input->opaque, bytes, (size_t)got);
	return true;
}

static void ready_cb(void *opaque, uint32_t events)
{
	(void)events;
	input_pull(opaque);
}

static void resume_cb(void *opaque)
{
	struct input *input = opaque;
	int error;

	if (input->watching || input->ended)
		return;
	error = loop_add(input->loop, &input->watch, EPOLLIN);
	input->watching = !error;
	if (error == -EPERM) {
		/* It cannot be polled, so it never makes us wait. One piece a round, in fairness to the others. */
		if (input_pull(input))
			input_resume(input);
	} else if (error) {
		input->ended = true;
	}
}

int input_create(struct loop *loop, int fd, const struct input_ops *ops, void *opaque, struct input **out)
{
	struct input *input = calloc(1, sizeof(*input));

	if (!input)
		return -ENOMEM;
	input->loop = loop;
	input->ops = ops;
	input->opaque = opaque;
	input->watch = (struct loop_watch){.fd = fd, .ready = ready_cb, .opaque = input};
	input->resume = (struct loop_work){.run = resume_cb, .opaque = input};
	*out = input;
	return 0;
}

void input_destroy(struct input *input)
{
	stop_watching(input);
	loop_cancel(input->loop, &input->resume);
	free(input);
}

void input_resume(struct input *input)
{
	loop_post(input->loop, &input->resume);
}
