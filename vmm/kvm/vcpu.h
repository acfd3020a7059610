/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/kvm: one virtual CPU, how it is set up and what its thread does. */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/kvm/kvm.h"

struct kvm_run;

struct vcpu {
	const struct vcpu_config *config;
	const atomic_bool *stopping; /* of the set: leave the guest and end, silently */
	unsigned id;                 /* also its local APIC's id */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
	_Atomic uint64_t exits; /* written by its thread, read by any */
};

/* What the guest's CPUID says: what KVM offers, made into core `id` of a package of `count` cores. */
int vcpu_set_cpuid(const struct kvm *kvm, int vcpu, unsigned id, unsigned count);

/* Registers of a CPU at the kernel's door. Errors: -errno. */
int vcpu_set_entry(int vcpu, const struct vcpu_entry *entry);

/* MSRs and local APIC as firmware would leave them. Errors: -errno. */
int vcpu_set_defaults(int vcpu);

/* Run until the machine or the set stops; VM_END_NONE: the set stopped it. */
enum vm_end vcpu_run(struct vcpu *vcpu);

#endif
