/* SPDX-License-Identifier: BSD-2-Clause */
/* The way into KVM, for machines and for callers that only look whether there is one. */
#ifndef VMM_KVM_OPEN_H
#define VMM_KVM_OPEN_H

/* /dev/kvm with the one API version that exists: a file descriptor, or -errno (-ENOTSUP: another version). */
int kvm_open(void);

/* What a person can do about that error; never NULL. */
const char *kvm_open_hint(int error);

/* A VM without interrupt controller on an open /dev/kvm, its TSS and identity map in their place. fd or -errno. */
int kvm_create_vm(int sys);

#endif
