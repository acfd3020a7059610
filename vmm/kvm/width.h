/* SPDX-License-Identifier: BSD-2-Clause */
/* How wide guest-physical addresses are. */
#ifndef VMM_KVM_WIDTH_H
#define VMM_KVM_WIDTH_H

/* As CPUID 0x80000008 tells the guest of this /dev/kvm: bits of an address, or -errno. */
int kvm_address_bits(int sys);

#endif
