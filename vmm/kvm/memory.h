/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/kvm: the ioctl behind memory slots. */
#ifndef VMM_KVM_MEMORY_H
#define VMM_KVM_MEMORY_H

struct kvm_userspace_memory_region;

/* 0 or -errno. */
int kvm_memory_set(int vm, const struct kvm_userspace_memory_region *region);

#endif
