/* SPDX-License-Identifier: BSD-2-Clause */
/* The KVM virtual machine: its file descriptors, memory slots and vCPU threads. */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/kvm/slots.h"

struct ram;
struct bus;

struct kvm {
	int sys; /* /dev/kvm */
	int vm;
	struct kvm_slots slots;
	struct kvm_slot ram[2]; /* low and high */
	bool wide_ids;          /* messages may have destinations of 32 bits: more CPUs than LAYOUT_XAPIC_VCPUS */
	bool directed_eoi;      /* KVM tells of no EOI that the guest keeps from the IOAPIC (SPIV bit 12) */
};

/* Open /dev/kvm, check what is needed, make a VM with split irqchip. One line is logged on an error. */
int kvm_init(struct kvm *kvm);
void kvm_fini(struct kvm *kvm);

/* Make RAM visible to the guest. Once. One line is logged on an error. */
int kvm_add_ram(struct kvm *kvm, const struct ram *ram);

/* A write of `len` bytes to this address signals fd instead of leaving the kernel to us; len 0: of any size. */
int kvm_ioeventfd(struct kvm *kvm, uint64_t address, unsigned len, int fd, bool add);

/* Why the machine stopped. */
enum vm_end {
	VM_END_NONE,
	VM_END_POWEROFF,
	VM_END_RESET,
	VM_END_EXIT,  /* the guest wrote to the exit port: machine_exit_value() */
	VM_END_ERROR, /* the monitor or KVM failed; a line was logged */
};

struct vcpu;

/* How a vCPU starts. Others than the first wait for INIT and SIPI. */
struct vcpu_entry {
	bool flat32; /* 32-bit protected mode without paging; else 64-bit mode with cr3 */
	uint64_t rip, rax, rbx, rsi, cr3;
	uint64_t gdt; /* GPA of a GDT: null, null, code (0x10), data (0x18) */
	unsigned gdt_size;
};

struct vcpu_set;

struct vcpu_config {
	struct kvm *kvm;
	struct bus *mmio, *pio;
	unsigned count;
	struct vcpu_entry entry;
	/* A vCPU can go no further. Its own thread; called at most once a vCPU. */
	void (*stopped)(void *opaque, enum vm_end why);
	/* KVM saw the end of a level interrupt with this vector. Any vCPU's thread. */
	void (*eoi)(void *opaque, uint8_t vector);
	/* A vCPU is about to enter the guest, after an exit. Its thread. */
	void (*entering)(void *opaque);
	void *opaque;
};

/* Make vCPUs and start their threads; stop them and free all. */
int vcpus_start(const struct vcpu_config *config, struct vcpu_set **out);
void vcpus_stop(struct vcpu_set *set);

/* How often vCPUs have left the guest for us, all together. Any thread, between the two. */
uint64_t vcpus_exits(const struct vcpu_set *set);

/* Add those on which the host may run the vCPUs. On the thread that starts and stops them. */
void vcpus_add_processors(const struct vcpu_set *set, cpu_set_t *processors);

#endif
