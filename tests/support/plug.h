/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three threads of a test: one plugs an endpoint in and out, a device uses it for as long as it is there, and a guest
 * goes through the devices of a model all the time. For ThreadSanitizer.
 */
#ifndef TESTS_SUPPORT_PLUG_H
#define TESTS_SUPPORT_PLUG_H

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <viommu/viommu.h>

struct plug {
	_Atomic(struct viommu_endpoint *) late; /* NULL: it is not plugged in */
	_Atomic bool busy, stop;
	_Atomic unsigned turns;                        /* of the guest, which counts them */
	void (*use)(struct viommu_endpoint *endpoint); /* what the device does each time */
};

/* The device's thread. It goes on until it is unplugged: only then does nobody touch its endpoint any more. */
static inline void *plug_device_main(void *opaque)
{
	struct plug *plug = opaque;

	while (!atomic_load(&plug->stop)) {
		atomic_store(&plug->busy, true);
		struct viommu_endpoint *late = atomic_load(&plug->late);

		if (late)
			plug->use(late);
		atomic_store(&plug->busy, false);
		sched_yield();
	}
	return NULL;
}

/* The guest goes through the devices once, without anything that would order it after what we did before. */
static inline void plug_await_turn(struct plug *plug)
{
	unsigned before = atomic_load(&plug->turns);

	while (atomic_load(&plug->turns) - before < 2)
		sched_yield();
}

/* What the invalidation that took the endpoint out waits for. */
static inline void plug_await_inval(struct viommu_inval *inval)
{
	viommu_inval_begin(inval);
	while (viommu_inval_poll(inval) == -EAGAIN)
		sched_yield();
}

/* The device lets the endpoint go. */
static inline void plug_out(struct plug *plug)
{
	atomic_store(&plug->late, NULL);
	while (atomic_load(&plug->busy))
		sched_yield();
}

#endif
