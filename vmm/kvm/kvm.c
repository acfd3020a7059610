/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/kvm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/kvm/open.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"
#include "vmm/util/log.h"

/* Of KVM_CAP_X2APIC_API since 2026; older headers lack it. */
#define X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST (1ull << 2)

/* What we cannot do without, and how to name it to a person. */
static const struct {
	int capability;
	const char *name;
} needed[] = {
	{KVM_CAP_USER_MEMORY, "user memory slots"},
	{KVM_CAP_SPLIT_IRQCHIP, "a split interrupt controller"},
	{KVM_CAP_IRQ_ROUTING, "interrupt routing"},
	{KVM_CAP_SIGNAL_MSI, "message-signalled interrupts"},
	{KVM_CAP_IRQFD, "irqfd"},
	{KVM_CAP_IOEVENTFD, "ioeventfd"},
	{KVM_CAP_TSC_DEADLINE_TIMER, "the TSC deadline timer"},
	{KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
};

static int check_capabilities(int vm)
{
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (ioctl(vm, KVM_CHECK_EXTENSION, needed[i].capability) > 0)
			continue;
		vmm_log("/dev/kvm lacks %s: a newer kernel, or another host, is needed", needed[i].name);
		return -ENOTSUP;
	}
	return 0;
}

/* KVM says which flags it has only once it knows who has the IOAPIC. */
static void enable_x2apic(struct kvm *kvm)
{
	const int offered = ioctl(kvm->vm, KVM_CHECK_EXTENSION, KVM_CAP_X2APIC_API);
	const uint64_t wide = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	const uint64_t suppress = offered > 0 ? (uint64_t)offered & X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST : 0;
	struct kvm_enable_cap x2apic = {.cap = KVM_CAP_X2APIC_API, .args = {wide | suppress}};

	if (offered <= 0 || ioctl(kvm->vm, KVM_ENABLE_CAP, &x2apic))
		return;
	kvm->wide_ids = true;
	kvm->directed_eoi = suppress != 0;
}

/* Local APICs in the kernel, the IOAPIC with its reserved routes here. */
static int enable_split_irqchip(struct kvm *kvm)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {LAYOUT_IOAPIC_PINS}};

	if (ioctl(kvm->vm, KVM_ENABLE_CAP, &split)) {
		const int error = errno;

		vmm_log("KVM refuses a split interrupt controller: %s", strerror(error));
		return -error;
	}
	enable_x2apic(kvm);
	return 0;
}

int kvm_init(struct kvm *kvm)
{
	int error;

	*kvm = (struct kvm){.vm = -1};
	kvm->sys = kvm_open();
	if (kvm->sys < 0) {
		vmm_log("cannot use /dev/kvm: %s; %s", strerror(-kvm->sys), kvm_open_hint(kvm->sys));
		return kvm->sys;
	}
	kvm->vm = kvm_create_vm(kvm->sys);
	if (kvm->vm < 0) {
		error = kvm->vm;
		vmm_log("KVM makes no virtual machine: %s", strerror(-error));
		goto err_sys;
	}
	error = check_capabilities(kvm->vm);
	if (!error)
		error = enable_split_irqchip(kvm);
	if (error)
		goto err_vm;
	return 0;

err_vm:
	close(kvm->vm);
err_sys:
	close(kvm->sys);
	kvm->vm = kvm->sys = -1;
	return error;
}

void kvm_fini(struct kvm *kvm)
{
	if (kvm->vm >= 0)
		close(kvm->vm);
	if (kvm->sys >= 0)
		close(kvm->sys);
	kvm->vm = kvm->sys = -1;
}

static int add_slot(struct kvm *kvm, uint64_t gpa, uint64_t size, const void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = kvm->slots,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &region)) {
		const int error = errno;

		vmm_log("KVM refuses memory at 0x%llx: %s", (unsigned long long)gpa, strerror(error));
		return -error;
	}
	kvm->slots++;
	return 0;
}

int kvm_add_ram(struct kvm *kvm, const struct ram *ram)
{
	const int error = add_slot(kvm, 0, ram->low_size, ram->base);

	if (error || !ram->high_size)
		return error;
	return add_slot(kvm, LAYOUT_HIGH_RAM, ram->high_size, ram->base + ram->low_size);
}

int kvm_ioeventfd(struct kvm *kvm, uint64_t address, unsigned len, int fd, bool add)
{
	struct kvm_ioeventfd event = {
		.addr = address,
		.len = len,
		.fd = fd,
		.flags = add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return ioctl(kvm->vm, KVM_IOEVENTFD, &event) ? -errno : 0;
}
