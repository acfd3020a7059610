/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/polling.h"

#include <time.h>

enum {
	NS_PER_S = 1000000000,
	IDLE_NS = 1000000, /* so long nothing may come before it ends; and so close do requests come before it begins */
	CALLS = 8,         /* so many of those */
	LOOKS = 16,        /* without a look at the clock */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void count_time(struct polling *polling, uint64_t now)
{
	polling->stats.ns += now - polling->seen_ns;
	polling->seen_ns = now;
}

void polling_stop(struct polling *polling)
{
	loop_cancel(polling->loop, &polling->start);
	if (!polling->on)
		return;
	polling->on = false;
	count_time(polling, now_ns());
	loop_poller_remove(polling->loop, &polling->poller);
}

static void poll_cb(void *opaque)
{
	struct polling *polling = opaque;
	const bool found = polling->ops->look(polling->opaque);

	polling->stats.looks++;
	polling->stats.found += found;
	if (!polling->on || (!found && ++polling->idle_looks < LOOKS))
		return;
	const uint64_t now = now_ns();

	polling->idle_looks = 0;
	count_time(polling, now);
	if (found) {
		polling->found_ns = now;
	} else if (polling->mode == POLLING_AUTO && now - polling->found_ns > IDLE_NS) {
		polling_stop(polling);
		polling->ops->end(polling->opaque);
	}
}

static void start_cb(void *opaque)
{
	struct polling *polling = opaque;

	if (polling->on || !polling->ops->begin(polling->opaque))
		return;
	polling->on = true;
	polling->stats.begun++;
	polling->idle_looks = 0;
	polling->found_ns = polling->seen_ns = now_ns();
	loop_poller_add(polling->loop, &polling->poller);
}

void polling_init(struct polling *polling, struct loop *loop, enum polling_mode mode, const struct polling_ops *ops,
		  void *opaque)
{
	*polling = (struct polling){
		.loop = loop,
		.mode = mode,
		.ops = ops,
		.opaque = opaque,
		.poller = {.poll = poll_cb, .opaque = polling},
		.start = {.run = start_cb, .opaque = polling},
	};
}

void polling_fini(struct polling *polling)
{
	polling_stop(polling);
}

void polling_ready(struct polling *polling)
{
	if (polling->mode == POLLING_ALWAYS)
		loop_post(polling->loop, &polling->start);
}

void polling_busy(struct polling *polling)
{
	if (polling->mode == POLLING_OFF)
		return;
	const uint64_t now = now_ns();
	const bool soon = now - polling->called_ns < IDLE_NS;

	polling->called_ns = now;
	polling->calls = soon ? polling->calls + 1 : 0;
	if (polling->calls < CALLS && polling->mode == POLLING_AUTO)
		return;
	polling->calls = 0;
	loop_post(polling->loop, &polling->start);
}

void polling_stats_get(const struct polling *polling, struct polling_stats *out)
{
	*out = polling->stats;
}
