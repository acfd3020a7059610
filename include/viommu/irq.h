/* SPDX-License-Identifier: BSD-2-Clause */
/* Message-signalled interrupts: the form in which devices send them, and a unit with remapping (vtd.h) returns them. */
#ifndef VIOMMU_IRQ_H
#define VIOMMU_IRQ_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A message-signalled interrupt: the write of four bytes `data` to `address`. A message that was remapped carries bits
 * 31:8 of its destination in bits 63:40 of the address, as KVM takes it once 32-bit APIC ids are switched on
 * (KVM_CAP_X2APIC_API with KVM_X2APIC_API_USE_32BIT_IDS).
 */
struct viommu_irq_message {
	uint64_t address;
	uint32_t data;
};

/*
 * viommu_irq_is_request - true when a device's write of @len bytes to this address is an interrupt request (VT-d
 * 5.1.2): four bytes, aligned, to 0xfee00000-0xfeefffff. Such a write never reaches memory, whatever is mapped there.
 * Any thread.
 */
VIOMMU_PUBLIC bool viommu_irq_is_request(uint64_t address, size_t len);

#ifdef __cplusplus
}
#endif
#endif
