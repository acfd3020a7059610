/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/memory.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

int kvm_memory_set(int vm, const struct kvm_userspace_memory_region *region)
{
	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, region) ? -errno : 0;
}
