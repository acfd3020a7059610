/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lock for a few dozen instructions: taking it is one atomic instruction, dropping it a plain store. A thread that
 * waits gives the processor away now and then, in case the holder was preempted.
 */
#ifndef LIB_UTIL_SPIN_H
#define LIB_UTIL_SPIN_H

#include <sched.h>
#include <stdatomic.h>

#include "lib/util/lock.h"

struct LOCK_ATTR(capability("mutex")) spin {
	_Atomic int taken;
};

static inline void spin_init(struct spin *spin)
{
	atomic_init(&spin->taken, 0);
}

/* Apart from spin_take(), which stays short where it is compiled in. */
static __attribute__((noinline, cold, unused)) void spin_wait(struct spin *spin) LOCK_ATTR(no_thread_safety_analysis)
{
	enum { TRIES = 64 };

	/* Acquire: as in spin_take(). */
	for (unsigned tries = 1; atomic_exchange_explicit(&spin->taken, 1, memory_order_acquire); tries++)
		if (tries % TRIES == TRIES - 1)
			sched_yield();
}

static inline void spin_take(struct spin *spin) LOCK_ATTR(acquire_capability(spin)) LOCK_ATTR(no_thread_safety_analysis)
{
	/* Acquire: partner of the release in spin_drop(). */
	if (__builtin_expect(atomic_exchange_explicit(&spin->taken, 1, memory_order_acquire), 0))
		spin_wait(spin);
}

static inline void spin_drop(struct spin *spin) LOCK_ATTR(release_capability(spin)) LOCK_ATTR(no_thread_safety_analysis)
{
	atomic_store_explicit(&spin->taken, 0, memory_order_release);
}

#endif
