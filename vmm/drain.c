/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/drain.h"

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "vmm/layout/layout.h"
#include "vmm/pci/pci.h"
#include "vmm/util/log.h"

/* A disk that is slow ends by itself; then it is asked to; one that does not answer at all is left behind. */
enum { CANCEL_MS = 1000, GIVE_UP_MS = 5000, POLL_NS = 1000000 };

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static unsigned drain_all(struct pci_root *root, bool cancel)
{
	unsigned left = 0;

	for (unsigned slot = 0; slot < LAYOUT_PCI_SLOTS; slot++)
		left += pci_root_drain(root, slot, cancel, NULL);
	return left;
}

static void tell(struct pci_root *root)
{
	for (unsigned slot = 0; slot < LAYOUT_PCI_SLOTS; slot++) {
		const char *name;
		unsigned left = pci_root_drain(root, slot, false, &name);

		if (left)
			vmm_log("%s: the kernel has not ended %u of its requests, which are left behind", name, left);
	}
}

int drain_devices(struct pci_root *root)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	const uint64_t start = now_ms();

	for (;;) {
		const uint64_t waited = now_ms() - start;

		if (!drain_all(root, waited >= CANCEL_MS))
			return 0;
		if (waited >= GIVE_UP_MS)
			break;
		nanosleep(&pause, NULL);
	}
	tell(root);
	return -ETIMEDOUT;
}
