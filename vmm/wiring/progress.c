/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/wiring/progress.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/util/loop.h"

/* A deadline passes late by this part of it at most. */
enum { DEADLINE_PARTS = 20, MS_PER_S = 1000, NS_PER_MS = 1000000 };

struct progress {
	struct loop *loop;
	struct loop_work work;
	/*
	 * For the deadline alone: nobody lets go of what a laggard holds, but only a poll asks it to end at half of the
	 * deadline, and fails its endpoint at the end. Progress does not depend on it.
	 */
	int deadline_fd;
	struct loop_watch deadline;
	unsigned deadline_ms;
	/* I/O thread only. */
	bool armed; /* the timer */
	struct progress_waiter *waiters;
};

static void poll_all(void *opaque)
{
	struct progress *progress = opaque;

	for (struct progress_waiter *waiter = progress->waiters; waiter; waiter = waiter->next)
		waiter->poll(waiter->opaque);
}

static void deadline_ready(void *opaque, uint32_t events)
{
	struct progress *progress = opaque;
	uint64_t count;

	(void)events;
	if (read(progress->deadline_fd, &count, sizeof(count)) != sizeof(count))
		return;
	progress->armed = false;
	poll_all(progress);
}

void progress_add(struct progress *progress, struct progress_waiter *waiter)
{
	waiter->next = progress->waiters;
	progress->waiters = waiter;
}

void progress_signal(struct progress *progress)
{
	loop_post(progress->loop, &progress->work);
}

void progress_await(struct progress *progress)
{
	const uint64_t ns = (uint64_t)progress->deadline_ms * NS_PER_MS / DEADLINE_PARTS + 1;
	const uint64_t ns_per_s = (uint64_t)MS_PER_S * NS_PER_MS;
	const struct itimerspec time = {.it_value = {(time_t)(ns / ns_per_s), (long)(ns % ns_per_s)}};

	if (!progress->armed)
		progress->armed = !timerfd_settime(progress->deadline_fd, 0, &time, NULL);
}

int progress_create(struct loop *loop, unsigned deadline_ms, struct progress **out)
{
	struct progress *progress = calloc(1, sizeof(*progress));
	int err;

	if (!progress)
		return -ENOMEM;
	progress->loop = loop;
	progress->work = (struct loop_work){.run = poll_all, .opaque = progress};
	progress->deadline_ms = deadline_ms;
	progress->deadline_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (progress->deadline_fd < 0) {
		err = -errno;
		goto err_free;
	}
	progress->deadline =
		(struct loop_watch){.fd = progress->deadline_fd, .ready = deadline_ready, .opaque = progress};
	err = loop_add(loop, &progress->deadline, EPOLLIN);
	if (err)
		goto err_close;
	*out = progress;
	return 0;

err_close:
	close(progress->deadline_fd);
err_free:
	free(progress);
	return err;
}

void progress_destroy(struct progress *progress)
{
	if (!progress)
		return;
	loop_cancel(progress->loop, &progress->work);
	loop_remove(progress->loop, &progress->deadline);
	close(progress->deadline_fd);
	free(progress);
}
