/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/drain.h"

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"
#include "vmm/util/log.h"

/* A disk that is slow ends by itself; then it is asked to; one that does not answer at all is left behind. */
enum { CANCEL_MS = 1000, GIVE_UP_MS = 5000, POLL_NS = 1000000 };

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static unsigned drain(const struct registered *entry, bool cancel)
{
	const struct pci_ops *ops = entry->dev->ops;

	return ops->drain ? ops->drain(entry->dev, cancel) : 0;
}

static unsigned drain_all(struct registry *registry, bool cancel)
{
	unsigned left = 0;

	for (struct registered *entry = NULL; (entry = registry_next(registry, entry));)
		left += drain(entry, cancel);
	return left;
}

static void tell(struct registry *registry)
{
	for (struct registered *entry = NULL; (entry = registry_next(registry, entry));) {
		const unsigned left = drain(entry, false);

		if (left)
			vmm_log("%s: the kernel has not ended %u of its requests, which are left behind",
				entry->dev->name, left);
	}
}

int drain_devices(struct registry *registry)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	const uint64_t start = now_ms();

	for (;;) {
		const uint64_t waited = now_ms() - start;

		if (!drain_all(registry, waited >= CANCEL_MS))
			return 0;
		if (waited >= GIVE_UP_MS)
			break;
		nanosleep(&pause, NULL);
	}
	tell(registry);
	return -ETIMEDOUT;
}
