/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's routing table, GSI -> message. KVM takes the whole table at once and pauses for it, so it is handed over only
 * by routes_commit() and only if something changed. The owner serialises all calls.
 */
#ifndef VMM_ROUTES_H
#define VMM_ROUTES_H

#include <stdbool.h>

#include "vmm/irqchip/irqchip.h"

enum { ROUTES_MAX = 1024 };

struct kvm_irq_routing;

struct routes {
	int vm;
	bool changed;
	struct {
		bool used;
		struct msi_message message;
	} gsi[ROUTES_MAX];
	struct kvm_irq_routing *table; /* room for all, so that a commit allocates nothing */
};

/* Errors: -ENOMEM. */
int routes_init(struct routes *routes, int vm);
void routes_fini(struct routes *routes);

/* gsi < ROUTES_MAX. */
void routes_set(struct routes *routes, unsigned gsi, struct msi_message message);
void routes_clear(struct routes *routes, unsigned gsi);

/* Errors: -errno of KVM, which then keeps the old table; the next commit tries again. */
int routes_commit(struct routes *routes);

#endif
