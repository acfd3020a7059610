/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOAPIC's registers and pins (Intel 82093AA, version 0x20: with the EOI register), without locks and without KVM:
 * the owner serialises all calls and is told of messages.
 */
#ifndef VMM_IOAPIC_H
#define VMM_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/irqchip/irqchip.h"
#include "vmm/layout/layout.h"

struct ioapic_ops {
	/* Send the pin's message. false: no CPU took it. */
	bool (*deliver)(void *opaque, unsigned pin);
	/* An unmasked pin sends this message from now on. */
	void (*retarget)(void *opaque, unsigned pin, struct msi_message message);
};

struct ioapic {
	const struct ioapic_ops *ops;
	void *opaque;
	uint64_t defined; /* bits of an entry that exist */
	uint8_t select, id;
	uint64_t entries[LAYOUT_IOAPIC_PINS]; /* redirection table */
	uint32_t lines;                       /* a bit per pin: its input now */
};

void ioapic_init(struct ioapic *ioapic, const struct ioapic_ops *ops, void *opaque);

/* Entries get the bits of the remappable format (VT-d 5.1.5.1), too. */
void ioapic_make_remappable(struct ioapic *ioapic);

/* Its page: offset from LAYOUT_IOAPIC. A write may end interrupts: returns their pins, as ioapic_eoi(). */
uint32_t ioapic_read(const struct ioapic *ioapic, uint64_t offset);
uint32_t ioapic_write(struct ioapic *ioapic, uint64_t offset, uint32_t value);

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level);

/*
 * The end of interrupts with this vector, by the EOI register or by a local APIC's message: returns a bit for each pin
 * whose interrupt it was. Where the message is remapped, software sees to it that the vectors agree (VT-d 5.1.5.1).
 */
uint32_t ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

/*
 * Then, once the owners of the lines have heard of it and may have let them go: these pins fire again if their line is
 * still up.
 */
void ioapic_fire_again(struct ioapic *ioapic, uint32_t pins);

#endif
