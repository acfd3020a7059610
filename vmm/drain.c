/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/drain.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"
#include "vmm/util/log.h"

/*
 * A disk that is slow ends by itself; then it is asked to; one that does not answer at all is left behind. From when
 * they are asked, devices with a limit of their own look at the clock in drain(), so it is called from time to time.
 */
enum { CANCEL_MS = 1000, GIVE_UP_MS = 5000, LIMITS_MS = 100 };

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

/* Drain all; what those that are not done yet will tell it by comes into @fds. */
static nfds_t drain_all(struct registry *registry, bool cancel, struct pollfd *fds)
{
	nfds_t left = 0;

	for (struct registered *entry = NULL; (entry = registry_next(registry, entry));)
		if (drain(entry, cancel))
			fds[left++] = (struct pollfd){.fd = entry->dev->ops->drain_fd(entry->dev), .events = POLLIN};
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

static int drain_with(struct registry *registry, struct pollfd *fds)
{
	const uint64_t start = now_ms();

	for (;;) {
		const uint64_t waited = now_ms() - start;
		const bool cancel = waited >= CANCEL_MS;
		const nfds_t left = drain_all(registry, cancel, fds);

		if (!left)
			return 0;
		if (waited >= GIVE_UP_MS)
			break;
		poll(fds, left, cancel ? LIMITS_MS : (int)(CANCEL_MS - waited));
	}
	tell(registry);
	return -ETIMEDOUT;
}

int drain_devices(struct registry *registry)
{
	struct pollfd *fds = calloc(registry_count(registry) + 1, sizeof(*fds));
	int err = fds ? drain_with(registry, fds) : -ENOMEM;

	free(fds);
	return err;
}
