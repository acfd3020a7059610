/* SPDX-License-Identifier: BSD-2-Clause */
/* The answers that are to come, how long the back end may take for them, and the timer. */
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>

#include "lib/vhost_user/front/link.h"

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

uint64_t front_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The timer is never put off: when it fires, front_find_late() sets it for the deadline that is the next one then. */
static void deadline_arm_locked(struct front_link *link, uint64_t at_ns) REQUIRES(link->lock)
{
	struct itimerspec at = {.it_value = {(time_t)(at_ns / NS_PER_S), (long)(at_ns % NS_PER_S)}};

	if (link->timer_ns && link->timer_ns <= at_ns)
		return;
	link->timer_ns = at_ns;
	timerfd_settime(link->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

void front_wake_locked(struct front_link *link)
{
	deadline_arm_locked(link, 1); /* long ago */
}

void front_wake_at(struct front_link *link, uint64_t ns)
{
	lock_take(&link->lock);
	deadline_arm_locked(link, ns);
	lock_drop(&link->lock);
}

void front_wake(struct front_link *link)
{
	front_wake_at(link, 1);
}

unsigned front_limit_ms(const struct front_link *link, const struct front_awaited *awaited)
{
	const struct viommu_vhu_config *config = link->config;

	if (awaited->purpose != FRONT_FOR_SCRIPT)
		return config->reply_ms;
	return awaited->request == VHU_SET_MEM_TABLE ? config->setup_ms : config->setup_ms / 4;
}

static uint64_t deadline_of(const struct front_link *link, const struct front_awaited *awaited)
{
	return awaited->since_ns + (uint64_t)front_limit_ms(link, awaited) * NS_PER_MS;
}

/*
 * The answer whose time is over first; NULL: none is awaited. Answers come in order, so what waits behind one for a
 * script has its time as well: the first one's is looked at. But the guest waits for an invalidation, which has its own
 * time wherever it stands.
 */
static const struct front_awaited *deadline_first_locked(const struct front_link *link) REQUIRES(link->lock)
{
	const struct front_awaited *first = &link->awaited[link->awaited_head];

	if (!link->awaited_count)
		return NULL;
	for (unsigned i = 0; link->awaited_invals && i < link->awaited_count; i++) {
		const struct front_awaited *awaited = &link->awaited[(link->awaited_head + i) % FRONT_AWAITED];

		if (awaited->purpose == FRONT_FOR_INVALIDATE)
			return deadline_of(link, awaited) < deadline_of(link, first) ? awaited : first;
	}
	return first;
}

void front_await_locked(struct front_link *link, const struct front_awaited *awaited)
{
	struct front_awaited *place = &link->awaited[(link->awaited_head + link->awaited_count++) % FRONT_AWAITED];

	*place = *awaited;
	if (!place->since_ns)
		place->since_ns = front_now_ns();
	link->awaited_invals += awaited->purpose == FRONT_FOR_INVALIDATE;
	if (link->awaited_count == 1 || awaited->purpose == FRONT_FOR_INVALIDATE)
		deadline_arm_locked(link, deadline_of(link, place));
}

bool front_take_awaited(struct front_link *link, struct front_awaited *out)
{
	lock_take(&link->lock);
	bool some = link->awaited_count;

	if (some) {
		*out = link->awaited[link->awaited_head];
		link->awaited_head = (link->awaited_head + 1) % FRONT_AWAITED;
		link->awaited_count--;
		link->awaited_invals -= out->purpose == FRONT_FOR_INVALIDATE;
		struct front_awaited *head = &link->awaited[link->awaited_head];

		/* The back end could not answer this one before; an invalidation, which the guest waits for, it must.
		 */
		if (link->awaited_count && head->purpose != FRONT_FOR_INVALIDATE)
			head->since_ns = front_now_ns();
		const struct front_awaited *next = deadline_first_locked(link);

		if (next)
			deadline_arm_locked(link, deadline_of(link, next));
	}
	lock_drop(&link->lock);
	return some;
}

bool front_find_late(struct front_link *link, struct front_awaited *out)
{
	lock_take(&link->lock);
	const struct front_awaited *first = deadline_first_locked(link);
	bool late = first && front_now_ns() >= deadline_of(link, first);

	link->timer_ns = 0;
	if (late)
		*out = *first;
	else if (first)
		deadline_arm_locked(link, deadline_of(link, first));
	lock_drop(&link->lock);
	return late;
}
