/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/open.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/layout/layout.h"

int kvm_open(void)
{
	const int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		close(fd);
		return -ENOTSUP;
	}
	return fd;
}

const char *kvm_open_hint(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		return "load it (modprobe kvm_intel or kvm_amd), and allow virtualization in the firmware or outer "
		       "host";
	case -EACCES:
	case -EPERM:
		return "become a member of group kvm, or run as root";
	case -ENOTSUP:
		return "this kernel speaks another version of the KVM interface";
	default:
		return "see the kernel's log (dmesg)";
	}
}

/* Interrupted while it waits for memory or for another VM's tear-down: try again. */
static int create_vm_retry(int sys)
{
	int vm;

	do
		vm = ioctl(sys, KVM_CREATE_VM, 0);
	while (vm < 0 && errno == EINTR);
	return vm;
}

int kvm_create_vm(int sys)
{
	uint64_t identity = LAYOUT_KVM_IDENTITY;
	const int vm = create_vm_retry(sys);

	if (vm < 0)
		return -errno;
	/* Intel hosts of old need them to run real mode, which every vCPU but the first starts in. */
	if (ioctl(vm, KVM_SET_TSS_ADDR, LAYOUT_KVM_TSS) || ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity)) {
		const int error = errno;

		close(vm);
		return -error;
	}
	return vm;
}
