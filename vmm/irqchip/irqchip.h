/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts: our IOAPIC in front of KVM's local APICs (split irqchip), and messages. Any thread.
 * GSIs 0-23 of KVM's routing table mirror the IOAPIC's pins, so that KVM reports the end of level interrupts; GSIs from
 * 24 on are routes that irqfds use (vmm/irqchip/route.h).
 *
 * Lock order: hooks at the end of interrupts -> device or IOAPIC -> list of routes -> a route -> KVM's table, or the
 * remapper's own locks.
 */
#ifndef VMM_IRQCHIP_H
#define VMM_IRQCHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/kvm/irq.h"

struct kvm;
struct bus;
struct irq_remapper;
struct irq_router;
struct irq_stats;
struct irqchip;

int irqchip_create(struct kvm *kvm, struct bus *mmio, struct irqchip **out);
void irqchip_destroy(struct irqchip *chip);

/* Every message goes through it from now on, the IOAPIC's too. Before the guest runs and before there are devices. */
void irqchip_set_remapper(struct irqchip *chip, const struct irq_remapper *remapper);

/*
 * Interrupt remapping table entries first..last may have changed: routes through them are resolved again.
 * 0..UINT32_MAX: all routes, also those that go through no entry (remapping was switched on or off). On return no
 * message is sent as it was resolved before, but for those of KVM's own table: that takes a commit, which makes one
 * ioctl if anything changed, else none. The caller holds no lock that its remap() takes.
 */
void irqchip_remap_invalidate(struct irqchip *chip, uint32_t first, uint32_t last);
void irqchip_remap_commit(struct irqchip *chip);

void irqchip_stats(struct irqchip *chip, struct irq_stats *out);

/* For message sources: irq_route_create(). */
struct irq_router *irqchip_router(struct irqchip *chip);

/* Send a message now, past any remapper: for interrupts of the remapping hardware itself. Also from inside remap(). */
void irq_send(struct irqchip *chip, struct msi_message message);

/* Set the level of an IOAPIC pin. An edge pin fires on false -> true. */
void irq_set_pin(struct irqchip *chip, unsigned gsi, bool level);

/* KVM saw the end of a level interrupt with this vector. */
void irq_eoi(struct irqchip *chip, uint8_t vector);

/*
 * A hook at the end of a pin's level interrupts, for code that holds the pin up for a device of the host, say: `ended`
 * runs before the pin fires again, so it may set the pin. The owner keeps the memory while it is added.
 */
struct irq_end_hook {
	unsigned gsi;
	/* The guest is done with the interrupt. Any thread; may call all of this but the two below. */
	void (*ended)(void *opaque, unsigned gsi);
	void *opaque;
	struct irq_end_hook *next;
};

/* Several may have the same pin. -EINVAL: there is no such pin. */
int irq_end_hook_add(struct irqchip *chip, struct irq_end_hook *hook);

/* On return it does not run any more. The caller holds no lock that `ended` takes. */
void irq_end_hook_remove(struct irqchip *chip, struct irq_end_hook *hook);

#endif
