/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's memory slots: which host memory a guest finds at which address. A slot is embedded in what owns the memory.
 * Any thread.
 */
#ifndef VMM_KVM_SLOTS_H
#define VMM_KVM_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/util/mutex.h"

/* The owner fills in the first part, and leaves all of it alone while it is added. */
struct kvm_slot {
	uint64_t gpa, size; /* multiples of 4 KiB */
	void *host;
	bool readonly; /* a guest's write leaves the kernel to the MMIO bus */
	/* The manager's. */
	bool logged;              /* KVM notes which pages the guest writes */
	unsigned number, aliases; /* aliases of it that are added */
	struct kvm_slot *of;      /* it is an alias of this one; or NULL */
	struct kvm_slot *next;
};

struct kvm_slots {
	int vm;
	unsigned max;     /* slots that KVM has */
	bool forgets_one; /* where a slot goes KVM forgets what it knows of that one, and not of all */
	struct mutex lock;
	struct kvm_slot *first GUARDED_BY(lock); /* by number */
};

void kvm_slots_init(struct kvm_slots *slots, int vm, unsigned max);
void kvm_slots_fini(struct kvm_slots *slots); /* nobody uses them any more; they need not be removed */

/*
 * Show it to the guest. -EINVAL: no multiples of 4 KiB, nothing, or beyond the end of all addresses; -EEXIST: another
 * one is in the way; -ENOSPC: KVM has no more; -errno of KVM.
 */
int kvm_slot_add(struct kvm_slots *slots, struct kvm_slot *slot);

/*
 * Show `alias->size` bytes of an added slot's memory, from `offset` on, at `alias->gpa` as well; the rest of `alias`
 * but `readonly` is filled in. Errors: -EINVAL also where that is not the slot's memory, or the slot is an alias
 * itself.
 */
int kvm_slot_add_alias(struct kvm_slots *slots, struct kvm_slot *alias, struct kvm_slot *of, uint64_t offset);

/* Hide it again: no vCPU reaches it any more. -EBUSY: it has aliases; -ENOENT: it is not added; -errno of KVM. */
int kvm_slot_remove(struct kvm_slots *slots, struct kvm_slot *slot);

/* Let KVM note writes, or not any more. -ENOENT; -errno of KVM. */
int kvm_slot_log(struct kvm_slots *slots, struct kvm_slot *slot, bool on);

#endif
