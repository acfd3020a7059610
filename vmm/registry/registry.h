/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices of a machine, by requester id and in the order in which they came. What concerns all of them goes through
 * it: the end of their I/O, of their DMA, their failures, their counters.
 *
 * Devices come and go on the I/O thread, or while the loop does not run. Only there is an entry looked at; other
 * threads leave a note for it.
 */
#ifndef VMM_REGISTRY_H
#define VMM_REGISTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct device_config;
struct pci_dev;
struct registry;
struct viommu_endpoint;

/* Notes, for the I/O thread. */
enum {
	REGISTRY_FAILED = 1 << 0,     /* the library blocked it: it held on to memory for too long */
	REGISTRY_MASTER_OFF = 1 << 1, /* its bus mastering went off: its DMA is to be waited for */
};

struct registered {
	struct pci_dev *dev;
	uint16_t requester;
	struct viommu_endpoint *endpoint;   /* outlives the device */
	bool behind;                        /* the endpoint is an IOMMU model's */
	const struct device_config *config; /* what it was made from; NULL: the machine has it on its own account */
	_Atomic unsigned notes;
	bool quiescing; /* an invalidation waits for the end of its DMA */
	struct registered *next;
};

int registry_create(struct registry **out);
void registry_destroy(struct registry *registry);

/* Register a device as `as` says, which is copied. -EEXIST: the requester id is taken; -ENOMEM. */
int registry_add(struct registry *registry, const struct registered *as);
void registry_remove(struct registry *registry, uint16_t requester);

/* The one after `at`, NULL at the end; the first after NULL. */
struct registered *registry_next(const struct registry *registry, const struct registered *at);

/* NULL: there is none. */
struct registered *registry_find(const struct registry *registry, uint16_t requester);

unsigned registry_count(const struct registry *registry);

/* Leave a note. false: there is no such device. Any thread, any lock held. */
bool registry_note(struct registry *registry, uint32_t requester, unsigned note);

/* True: there was such a note. It is gone now. */
bool registry_take_note(struct registered *entry, unsigned note);

#endif
