/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What KVM does with messages: sends one, keeps a table of them by GSI, and sends one whenever an eventfd is signalled.
 */
#ifndef VMM_KVM_IRQ_H
#define VMM_KVM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_irq_routing;

struct msi_message {
	uint64_t address;
	uint32_t data;
};

static inline bool msi_message_same(const struct msi_message *a, const struct msi_message *b)
{
	return a->address == b->address && a->data == b->data;
}

/* false: no CPU took it. */
bool kvm_irq_send(int vm, const struct msi_message *message);

/* The whole table at once; what is in it after that is used at once, and nothing else any more. 0 or -errno. */
int kvm_irq_set_table(int vm, struct kvm_irq_routing *table);

/* Bind an eventfd to a GSI, or part the two; a signal that waits in it is sent at once. 0 or -errno. */
int kvm_irq_bind(int vm, unsigned gsi, int fd, bool bind);

#endif
