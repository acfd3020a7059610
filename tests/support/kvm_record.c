/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/kvm_record.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "tests/support/test.h"
#include "vmm/kvm/irq.h"

struct kvm_record kvm;
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;

void kvm_record_reset(void)
{
	memset(&kvm, 0, sizeof(kvm));
}

bool kvm_record_bound(void)
{
	for (unsigned i = 0; i < KVM_BOUND_MAX; i++)
		if (kvm.bound[i])
			return true;
	return false;
}

bool kvm_irq_send(int vm, const struct msi_message *message)
{
	(void)vm;
	if (kvm.sending)
		kvm.sending(message);
	pthread_mutex_lock(&last_lock);
	kvm.last = *message;
	pthread_mutex_unlock(&last_lock);
	atomic_fetch_add(&kvm.sent, 1);
	return true;
}

int kvm_irq_set_table(int vm, struct kvm_irq_routing *table)
{
	(void)vm;
	kvm.tables++;
	kvm.used = table->nr;
	memset(kvm.routed, 0, sizeof(kvm.routed));
	for (unsigned i = 0; i < table->nr; i++) {
		const struct kvm_irq_routing_entry *entry = &table->entries[i];
		const uint64_t address = entry->u.msi.address_lo | (uint64_t)entry->u.msi.address_hi << 32;

		kvm.routed[entry->gsi] = true;
		kvm.message[entry->gsi] = (struct msi_message){address, entry->u.msi.data};
	}
	return 0;
}

int kvm_irq_bind(int vm, unsigned gsi, int fd, bool bind)
{
	(void)vm;
	(void)fd;
	if (kvm.bind_error)
		return kvm.bind_error;
	for (unsigned i = 0; i < KVM_BOUND_MAX; i++) {
		if (kvm.bound[i] != (bind ? 0 : gsi))
			continue;
		/* A signal that waits would be lost if there were no route yet. */
		assert_true(!bind || kvm.routed[gsi]);
		kvm.bound[i] = bind ? gsi : 0;
		return 0;
	}
	return -ENOENT;
}
