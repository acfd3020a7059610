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
/* Of KVM_CAP_DISABLE_QUIRKS2 since Linux 6.12. */
#define QUIRK_SLOT_ZAP_ALL (1ull << 7)

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

/* KVM says which flags it has only once it knows that the IOAPIC is ours. */
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

static void forget_one_slot(struct kvm *kvm)
{
	const int quirks = ioctl(kvm->vm, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
	struct kvm_enable_cap cap = {.cap = KVM_CAP_DISABLE_QUIRKS2, .args = {QUIRK_SLOT_ZAP_ALL}};

	kvm->slots.forgets_one = quirks > 0 && quirks & QUIRK_SLOT_ZAP_ALL && !ioctl(kvm->vm, KVM_ENABLE_CAP, &cap);
}

void kvm_fini(struct kvm *kvm)
{
	if (kvm->vm >= 0) {
		kvm_slots_fini(&kvm->slots);
		close(kvm->vm);
	}
	if (kvm->sys >= 0)
		close(kvm->sys);
	kvm->vm = kvm->sys = -1;
}

int kvm_init(struct kvm *kvm)
{
	int error, slots;

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
	/* KVMs that do not say have 32. */
	slots = ioctl(kvm->sys, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	kvm_slots_init(&kvm->slots, kvm->vm, slots > 0 ? (unsigned)slots : 32);
	error = check_capabilities(kvm->vm);
	if (!error)
		error = enable_split_irqchip(kvm);
	if (error)
		kvm_fini(kvm);
	else
		forget_one_slot(kvm);
	return error;

err_sys:
	close(kvm->sys);
	kvm->vm = kvm->sys = -1;
	return error;
}

int kvm_add_ram(struct kvm *kvm, const struct ram *ram)
{
	const struct kvm_slot parts[] = {
		{.gpa = 0, .size = ram->low_size, .host = ram->base},
		{.gpa = LAYOUT_HIGH_RAM, .size = ram->high_size, .host = ram->base + ram->low_size},
	};

	for (unsigned i = 0; i < 2 && parts[i].size; i++) {
		kvm->ram[i] = parts[i];
		const int error = kvm_slot_add(&kvm->slots, &kvm->ram[i]);

		if (!error)
			continue;
		vmm_log("KVM refuses memory at 0x%llx: %s", (unsigned long long)parts[i].gpa, strerror(-error));
		return error;
	}
	return 0;
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
