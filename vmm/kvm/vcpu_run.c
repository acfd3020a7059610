/* SPDX-License-Identifier: BSD-2-Clause */
/* What a vCPU's thread does: run the guest, serve its exits. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/kvm/vcpu.h"
#include "vmm/util/bus.h"
#include "vmm/util/log.h"

enum { LAPIC_SPIV = 0xf0, LAPIC_SPIV_DIRECTED_EOI = 1 << 12 };

static uint64_t load_value(const uint8_t *from, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, from, size);
	return value;
}

/* A string instruction leaves once for many units, all at the same port. */
static void serve_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *pio = vcpu->config->pio;
	const unsigned size = run->io.size, port = run->io.port, count = run->io.count;
	const bool out = run->io.direction == KVM_EXIT_IO_OUT;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (unsigned i = 0; i < count; i++, data += size) {
		uint64_t value;

		if (out) {
			bus_write(pio, port, load_value(data, size), size);
			continue;
		}
		value = bus_read(pio, port, size);
		memcpy(data, &value, size);
	}
}

/* The largest access that a bus knows in what is left of one that crosses a page: 3 bytes are 2 and 1. */
static unsigned piece_size(unsigned left)
{
	unsigned size = 8;

	while (size > left)
		size /= 2;
	return size;
}

static void serve_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *mmio = vcpu->config->mmio;
	const unsigned len = run->mmio.len <= sizeof(run->mmio.data) ? run->mmio.len : sizeof(run->mmio.data);
	const uint64_t address = run->mmio.phys_addr;
	const bool write = run->mmio.is_write;

	for (unsigned done = 0, size; done < len; done += size) {
		uint64_t value;

		size = piece_size(len - done);
		if (write) {
			bus_write(mmio, address + done, load_value(run->mmio.data + done, size), size);
			continue;
		}
		value = bus_read(mmio, address + done, size);
		memcpy(run->mmio.data + done, &value, size);
	}
}

/*
 * The local APIC's EOI reaches the IOAPIC unless the guest has switched that off, to end level interrupts by the
 * IOAPIC's own register (Intel SDM volume 3, section 11.8.5). Older KVMs offer the switch and ignore it.
 */
static void serve_eoi(const struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	uint32_t spurious = 0;

	if (!vcpu->config->kvm->directed_eoi && !ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic))
		memcpy(&spurious, lapic.regs + LAPIC_SPIV, sizeof(spurious));
	if (!(spurious & LAPIC_SPIV_DIRECTED_EOI))
		vcpu->config->eoi(vcpu->config->opaque, vcpu->run->eoi.vector);
}

static unsigned long long current_rip(const struct vcpu *vcpu)
{
	struct kvm_regs regs;

	return ioctl(vcpu->fd, KVM_GET_REGS, &regs) ? 0 : regs.rip;
}

static enum vm_end serve_system_event(const struct vcpu *vcpu)
{
	const unsigned type = vcpu->run->system_event.type;

	switch (type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return VM_END_POWEROFF;
	case KVM_SYSTEM_EVENT_RESET:
		return VM_END_RESET;
	default:
		vmm_log("vCPU %u: the guest reported a crash (event %u)", vcpu->id, type);
		return VM_END_ERROR;
	}
}

/* What KVM tells beside the number: where it met with the event, the address. Only KVM's source says what is what. */
static void tell_internal_error(const struct vcpu *vcpu, unsigned long long rip)
{
	const struct kvm_run *run = vcpu->run;
	const unsigned words = sizeof(run->internal.data) / sizeof(run->internal.data[0]);
	char data[17 * 20] = "";
	int used = 0;

	for (unsigned i = 0; i < run->internal.ndata && i < words; i++)
		used += snprintf(data + used, sizeof(data) - (size_t)used, " 0x%llx",
				 (unsigned long long)run->internal.data[i]);
	vmm_log("vCPU %u: KVM cannot go on at rip 0x%llx (internal error %u%s)%s%s", vcpu->id, rip,
		run->internal.suberror,
		run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ? ": instruction not emulated" : "",
		used ? ", data" : "", data);
}

static enum vm_end serve_failure(const struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	const unsigned long long rip = current_rip(vcpu);

	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		tell_internal_error(vcpu, rip);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		vmm_log("vCPU %u: the processor refuses the guest's state at rip 0x%llx (reason 0x%llx)", vcpu->id, rip,
			(unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		vmm_log("vCPU %u: unexpected exit %u at rip 0x%llx", vcpu->id, run->exit_reason, rip);
	}
	return VM_END_ERROR;
}

/* KVM has reset the vCPU on AMD by now, so where it was is not known. A guest may do it as often as it likes. */
static void log_triple_fault(const struct vcpu *vcpu)
{
	static struct log_limit limit;

	if (vmm_log_may(&limit))
		vmm_log("vCPU %u: triple fault; the guest is reset", vcpu->id);
}

static enum vm_end serve_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		serve_io(vcpu);
		return VM_END_NONE;
	case KVM_EXIT_MMIO:
		serve_mmio(vcpu);
		return VM_END_NONE;
	case KVM_EXIT_IOAPIC_EOI:
		serve_eoi(vcpu);
		return VM_END_NONE;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return VM_END_NONE;
	case KVM_EXIT_SHUTDOWN:
		log_triple_fault(vcpu);
		return VM_END_RESET;
	case KVM_EXIT_SYSTEM_EVENT:
		return serve_system_event(vcpu);
	default:
		return serve_failure(vcpu);
	}
}

/* Only this thread writes it, so that no locked instruction is needed. */
static void count_exit(struct vcpu *vcpu)
{
	const uint64_t exits = atomic_load_explicit(&vcpu->exits, memory_order_relaxed);

	atomic_store_explicit(&vcpu->exits, exits + 1, memory_order_relaxed);
}

enum vm_end vcpu_run(struct vcpu *vcpu)
{
	enum vm_end why = VM_END_NONE;

	/* Partner: the store in vcpus_stop(). */
	while (why == VM_END_NONE && !atomic_load(vcpu->stopping)) {
		if (!ioctl(vcpu->fd, KVM_RUN, 0)) {
			count_exit(vcpu);
			why = serve_exit(vcpu);
			vcpu->config->entering(vcpu->config->opaque);
			continue;
		}
		/* EAGAIN: it still waits for its SIPI. */
		if (errno == EINTR || errno == EAGAIN)
			continue;
		vmm_log("vCPU %u: KVM cannot run it at rip 0x%llx: %s", vcpu->id, current_rip(vcpu), strerror(errno));
		why = VM_END_ERROR;
	}
	return why;
}
