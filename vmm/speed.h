/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether /dev/kvm runs guests or interprets them. Capabilities and exit latency look normal on an interpreting KVM, so
 * a 64-bit guest counts to 100 000 and is timed against the same loop here. Any thread; takes some milliseconds where
 * KVM is native and the machine has time for it, at most ten seconds elsewhere.
 */
#ifndef VMM_SPEED_H
#define VMM_SPEED_H

#include <stdbool.h>
#include <stddef.h>

enum kvm_speed {
	KVM_NATIVE,
	KVM_BUSY, /* it does not interpret, but cannot be seen to be fast */
	KVM_SLOW, /* it interprets */
	KVM_ABSENT,
};

/* Measure; `detail` gets a short text for people ("native, 1.1x the host's time", "Permission denied"). */
enum kvm_speed kvm_measure_speed(char *detail, size_t size);

/* One measurement, whose figure does not matter. True: it runs a guest at all. */
bool kvm_runs_guests(char *detail, size_t size);

enum kvm_verdict { KVM_SAYS_NATIVE, KVM_SAYS_BUSY, KVM_SAYS_SLOW, KVM_MEASURE_AGAIN };

/*
 * What measurements say. Near native is within 10 times the host's time, and an interpreter takes some 1000 times. What
 * else goes on in the machine, or in the one that it is emulated on, makes figures larger and never smaller: so the
 * best one counts, and one is not enough to refuse anything. @best: the smallest so far of the ratios of the guest's
 * time to the host's. @count: how many there were, at least 1.
 */
enum kvm_verdict kvm_judge(double best, unsigned count);

#endif
