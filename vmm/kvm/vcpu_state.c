/* SPDX-License-Identifier: BSD-2-Clause */
/* The state that a vCPU starts with. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/kvm/vcpu.h"

/* Intel SDM volume 3, sections 2.5 (control registers), 2.2.1 (EFER) and 3.4.5 (segments). */
enum {
	CR0_PE = 1 << 0,
	CR0_ET = 1 << 4,
	CR0_NE = 1 << 5,
	CR4_PAE = 1 << 5,
	EFER_LME = 1 << 8,
	EFER_LMA = 1 << 10,
	RFLAGS_FIXED = 1 << 1,
	SEGMENT_CODE = 0xb, /* execute, read, accessed */
	SEGMENT_DATA = 0x3, /* read, write, accessed */
	SEGMENT_TSS = 0xb,  /* of 32 bits, busy */
	TSS_LIMIT = 0x67,
	SELECTOR_CODE = 0x10,
	SELECTOR_DATA = 0x18,
	MISC_ENABLE = 0x1a0,
	MISC_ENABLE_FAST_STRING = 1 << 0,
	/* Section 12.11.2.1. No range has another type than this. */
	MTRR_DEF_TYPE = 0x2ff,
	MTRR_ENABLE = 1 << 11,
	MTRR_WRITE_BACK = 6,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_EXTINT = 7 << 8,
	LAPIC_NMI = 4 << 8,
};

#define CR0_PG (1ull << 31)

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool is64)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = is64,
		.db = !is64,
	};
}

int vcpu_set_entry(int vcpu, const struct vcpu_entry *entry)
{
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rax = entry->rax,
		.rbx = entry->rbx,
		.rsi = entry->rsi,
		.rflags = RFLAGS_FIXED,
	};
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs = flat_segment(SELECTOR_CODE, SEGMENT_CODE, !entry->flat32);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(SELECTOR_DATA, SEGMENT_DATA, false);
	sregs.gdt.base = entry->gdt;
	sregs.gdt.limit = (uint16_t)(entry->gdt_size - 1);
	/* Without an IDT the first exception is a triple fault, which is what a kernel without one deserves. */
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	if (entry->flat32) {
		/* PVH and Multiboot want all else off; PVH wants a 32-bit TSS of this size as well. */
		sregs.cr0 = CR0_PE | CR0_ET;
		sregs.cr3 = 0;
		sregs.cr4 = 0;
		sregs.efer = 0;
		sregs.tr = (struct kvm_segment){.limit = TSS_LIMIT, .type = SEGMENT_TSS, .present = 1};
	} else {
		sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
		sregs.cr3 = entry->cr3;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
	}
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

/* A processor without the MSR does without it. */
static void set_msr(int vcpu, uint32_t index, uint64_t value)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} msrs = {.head.nmsrs = 1};

	msrs.head.entries[0] = (struct kvm_msr_entry){.index = index, .data = value};
	ioctl(vcpu, KVM_SET_MSRS, &msrs);
}

static void lapic_write(struct kvm_lapic_state *lapic, unsigned offset, uint32_t value)
{
	memcpy(lapic->regs + offset, &value, sizeof(value));
}

int vcpu_set_defaults(int vcpu)
{
	struct kvm_lapic_state lapic;

	/*
	 * Kernels look whether firmware has left these on: fast string operations, and caches (without, Linux uses no
	 * PAT).
	 */
	set_msr(vcpu, MISC_ENABLE, MISC_ENABLE_FAST_STRING);
	set_msr(vcpu, MTRR_DEF_TYPE, MTRR_ENABLE | MTRR_WRITE_BACK);
	if (ioctl(vcpu, KVM_GET_LAPIC, &lapic))
		return -errno;
	lapic_write(&lapic, LAPIC_LVT_LINT0, LAPIC_EXTINT);
	lapic_write(&lapic, LAPIC_LVT_LINT1, LAPIC_NMI);
	return ioctl(vcpu, KVM_SET_LAPIC, &lapic) ? -errno : 0;
}
