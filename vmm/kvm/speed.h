/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does /dev/kvm run guests, or interpret them? Capabilities and exit latency look normal on an interpreting KVM, so a
 * 64-bit guest counts to 100 000 and is timed against the same loop here (design: within 10x is native; bounded by a
 * timer). Any thread; takes some milliseconds where KVM is native, at most two seconds elsewhere.
 */
#ifndef VMM_SPEED_H
#define VMM_SPEED_H

#include <stddef.h>

enum kvm_speed { KVM_NATIVE, KVM_SLOW, KVM_ABSENT };

/* Measure; `detail` gets a short text for people ("native, 1.1x the host's time", "Permission denied"). */
enum kvm_speed kvm_measure_speed(char *detail, size_t size);

#endif
