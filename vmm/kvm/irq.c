/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

bool kvm_irq_send(int vm, const struct msi_message *message)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)message->address,
		.address_hi = (uint32_t)(message->address >> 32),
		.data = message->data,
	};

	return ioctl(vm, KVM_SIGNAL_MSI, &msi) > 0;
}

int kvm_irq_set_table(int vm, struct kvm_irq_routing *table)
{
	return ioctl(vm, KVM_SET_GSI_ROUTING, table) ? -errno : 0;
}

int kvm_irq_bind(int vm, unsigned gsi, int fd, bool bind)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = bind ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return ioctl(vm, KVM_IRQFD, &irqfd) ? -errno : 0;
}
