/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of vmm/kvm/irq.c: a KVM that writes down what it is told. */
#ifndef TESTS_SUPPORT_KVM_RECORD_H
#define TESTS_SUPPORT_KVM_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/irqchip/routes.h"

enum { KVM_BOUND_MAX = 8 };

struct kvm_record {
	/* Every message; the last one is for tests with one thread. */
	atomic_uint sent;
	struct msi_message last;
	void (*sending)(const struct msi_message *message); /* may be NULL */
	/* The table as it was set last, and how often it was. */
	unsigned tables, used;
	bool routed[ROUTES_MAX];
	struct msi_message message[ROUTES_MAX];
	/* Eventfds: their GSIs, 0: free; and what binding one says. */
	unsigned bound[KVM_BOUND_MAX];
	int bind_error;
};

extern struct kvm_record kvm;

void kvm_record_reset(void);

/* Is any eventfd bound? */
bool kvm_record_bound(void);

#endif
