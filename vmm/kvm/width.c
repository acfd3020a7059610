/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/width.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum { ENTRIES = 1024, BITS_WITHOUT_LEAF = 36 };

#define LEAF_SIZES 0x80000008u

/* Bits 7:0 are the processor's width. KVM says in 23:16 what its page tables for guests reach, where that is less. */
static int bits_of(uint32_t eax)
{
	const unsigned processor = eax & 0xff, guest = eax >> 16 & 0xff;

	return (int)(guest && guest < processor ? guest : processor);
}

int kvm_address_bits(int sys)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));
	int bits = BITS_WITHOUT_LEAF;

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = ENTRIES;
	if (ioctl(sys, KVM_GET_SUPPORTED_CPUID, cpuid))
		bits = -errno;
	for (unsigned i = 0; bits >= 0 && i < cpuid->nent; i++)
		if (cpuid->entries[i].function == LEAF_SIZES)
			bits = bits_of(cpuid->entries[i].eax);
	free(cpuid);
	return bits;
}
