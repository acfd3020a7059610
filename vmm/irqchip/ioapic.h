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
#include "vmm/layout.h"

struct ioapic_ops {
	/* Send it. false: no CPU took it. */
	bool (*deliver)(void *opaque, struct msi_message message);
	/* An unmasked pin would now send this message. */
	void (*retarget)(void *opaque, unsigned pin, struct msi_message message);
};

struct ioapic {
	const struct ioapic_ops *ops;
	void *opaque;
	uint8_t select, id;
	uint64_t entries[LAYOUT_IOAPIC_PINS]; /* redirection table */
	uint32_t lines;                       /* a bit per pin: its input now */
};

void ioapic_init(struct ioapic *ioapic, const struct ioapic_ops *ops, void *opaque);

/* Its page: offset from LAYOUT_IOAPIC. */
uint32_t ioapic_read(const struct ioapic *ioapic, uint64_t offset);
void ioapic_write(struct ioapic *ioapic, uint64_t offset, uint32_t value);

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level);

/* The end of interrupts with this vector: the pin fires again if its line is still up. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

#endif
