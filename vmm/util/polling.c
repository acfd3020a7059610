/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/polling.h"

#include <time.h>

enum {
	NS_PER_S = 1000000000,
	CLOSE_NS = 3000000,     /* so close do requests come before it begins */
	IDLE_MIN_NS = 4000000,  /* so long nothing may come before it ends, */
	IDLE_MAX_NS = 20000000, /* or as long as something has come, but no longer than this */
	CALLS = 8,              /* so many of those */
	LOOKS = 16,             /* without a look at the clock */
	PAUSE_NS = 10000000,    /* where it could not go on */
	NO_SPARE_NS = NS_PER_S, /* where the host had no processor for it */
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

/* So it is in vain for no longer than it was of use, and for a moment at the least. */
static uint64_t patience(const struct polling *polling)
{
	const uint64_t useful = polling->found_ns - polling->begun_ns;

	return useful < IDLE_MIN_NS ? IDLE_MIN_NS : useful > IDLE_MAX_NS ? IDLE_MAX_NS : useful;
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
	} else if (polling->mode == POLLING_AUTO && now - polling->found_ns > patience(polling) &&
		   polling->ops->end(polling->opaque)) {
		polling_stop(polling);
	}
}

/* Threads are placed while the guest runs, so the host is asked each time; but not for each request. */
static bool may_begin(struct polling *polling)
{
	if (polling->mode == POLLING_ALWAYS || loop_has_spare(polling->loop))
		return true;
	atomic_store_explicit(&polling->not_before_ns, now_ns() + NO_SPARE_NS, memory_order_relaxed);
	return false;
}

static void start_cb(void *opaque)
{
	struct polling *polling = opaque;

	if (polling->on || !may_begin(polling) || !polling->ops->begin(polling->opaque))
		return;
	polling->on = true;
	polling->stats.begun++;
	polling->idle_looks = 0;
	polling->begun_ns = polling->found_ns = polling->seen_ns = now_ns();
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

void polling_stop_for_now(struct polling *polling)
{
	atomic_store_explicit(&polling->not_before_ns, now_ns() + PAUSE_NS, memory_order_relaxed);
	polling_stop(polling);
}

/* Nothing else depends on what is read and written here. */
void polling_busy(struct polling *polling)
{
	if (polling->mode == POLLING_OFF)
		return;
	const uint64_t now = now_ns();
	const uint64_t before = atomic_exchange_explicit(&polling->called_ns, now, memory_order_relaxed);
	const bool soon = now < before + CLOSE_NS;
	const unsigned calls = soon ? 1 + atomic_load_explicit(&polling->calls, memory_order_relaxed) : 0;
	const bool enough = calls >= CALLS || polling->mode == POLLING_ALWAYS;
	const bool begins = enough && now >= atomic_load_explicit(&polling->not_before_ns, memory_order_relaxed);

	atomic_store_explicit(&polling->calls, begins ? 0 : calls, memory_order_relaxed);
	if (begins)
		loop_post(polling->loop, &polling->start);
}

void polling_stats_get(const struct polling *polling, struct polling_stats *out)
{
	*out = polling->stats;
}
