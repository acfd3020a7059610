/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts: our IOAPIC in front of KVM's local APICs (split irqchip), and messages. Any thread.
 * GSIs 0-23 of KVM's routing table mirror the IOAPIC's pins, so that KVM reports the end of level interrupts; GSIs from
 * 24 on are message routes that irqfds use.
 */
#ifndef VMM_IRQCHIP_H
#define VMM_IRQCHIP_H

#include <stdbool.h>
#include <stdint.h>

struct kvm;
struct bus;
struct irqchip;

struct msi_message {
	uint64_t address;
	uint32_t data;
};

int irqchip_create(struct kvm *kvm, struct bus *mmio, struct irqchip **out);
void irqchip_destroy(struct irqchip *chip);

/* Send a message-signalled interrupt now. */
void irq_send(struct irqchip *chip, struct msi_message message);

/* Set the level of an IOAPIC pin. An edge pin fires on false -> true. */
void irq_set_pin(struct irqchip *chip, unsigned gsi, bool level);

/* KVM saw the end of a level interrupt with this vector. */
void irq_eoi(struct irqchip *chip, uint8_t vector);

#endif
