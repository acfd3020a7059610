/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's routing table, GSI -> message. KVM takes the whole table at once and pauses for it, so it is handed over only
 * by routes_commit() and only if something changed. Any thread.
 */
#ifndef VMM_ROUTES_H
#define VMM_ROUTES_H

#include <stdbool.h>

#include "vmm/irqchip/irqchip.h"
#include "vmm/util/mutex.h"

enum { ROUTES_MAX = 1024 };

struct kvm_irq_routing;

/* The innermost lock: nothing but KVM is called with it held. */
struct routes {
	int vm;
	struct mutex lock;
	bool changed GUARDED_BY(lock);
	uint64_t commits GUARDED_BY(lock); /* ioctls that were made */
	struct {
		bool taken; /* somebody's, by routes_take() */
		bool used;
		struct msi_message message;
	} gsi[ROUTES_MAX] GUARDED_BY(lock);
	struct kvm_irq_routing *table GUARDED_BY(lock); /* room for all, so that a commit allocates nothing */
};

/* Errors: -ENOMEM. */
int routes_init(struct routes *routes, int vm);
void routes_fini(struct routes *routes);

/* A GSI above the IOAPIC's, or -ENOSPC; and back, out of the table. */
int routes_take(struct routes *routes);
void routes_put(struct routes *routes, unsigned gsi);

/* gsi < ROUTES_MAX. */
void routes_set(struct routes *routes, unsigned gsi, struct msi_message message);
void routes_clear(struct routes *routes, unsigned gsi);

/* Errors: -errno of KVM, which then keeps the old table; the next commit tries again. */
int routes_commit(struct routes *routes);

uint64_t routes_commits(struct routes *routes);

#endif
