/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts: vectors FIRST_VECTOR.. count; an exception ends the payload with a failure. */
#ifndef PAYLOAD_INTERRUPT_H
#define PAYLOAD_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

#include "regs.h"

/* How often each vector came. */
extern volatile uint32_t interrupts[VECTORS];

/*
 * How many NMIs came that were waited for: each must be announced. There is but one, as nobody returns from it by
 * IRET.
 */
extern volatile uint32_t nmis, nmis_expected;

/* Called by the handler of a vector before its EOI; may be NULL. */
extern void (*volatile interrupt_work)(unsigned index);

/* IDT and local APIC of this processor; interrupts are on afterwards. */
void interrupts_init(void);

/* Its logical id, flat, of 8 bits; where ids have 32 bits the hardware makes it of the id (processor 0: 1). */
void lapic_set_logical(uint8_t id);

/* From now on only ioapic_end() ends a level interrupt. false: this local APIC (not an x2APIC) does not know that. */
bool lapic_direct_eoi(void);

/* This processor's local APIC takes ids of 32 bits and is reached by MSRs from now on; all processors alike. */
void x2apic_enable(void);
uint32_t x2apic_id(void);

/* Interrupt command (SDM volume 3, section 10.12.9): INIT, start at AP_PAGE, or vector FIRST_VECTOR + index. */
void x2apic_init(uint32_t id);
void x2apic_start(uint32_t id);
void x2apic_send(uint32_t id, unsigned index);

/* Level-triggered pin of the IOAPIC to vector FIRST_VECTOR + index of this processor; or masked. */
void ioapic_route(unsigned pin, unsigned index, bool masked);

/* Both halves of a pin's entry; writing masks the pin first. */
uint64_t ioapic_entry(unsigned pin);
void ioapic_set_entry(unsigned pin, uint64_t entry);
#define IOAPIC_ENTRY_LEVEL (1u << 15)
#define IOAPIC_ENTRY_REMOTE_IRR (1u << 14)
#define IOAPIC_ENTRY_MASKED (1u << 16)

/* The end of a level-triggered interrupt, for pins whose entry has this vector. */
void ioapic_end(uint8_t vector);

/* Wait, within reason, until a vector has come so often. */
bool wait_interrupts(unsigned index, uint32_t count);

/*
 * Has a level interrupt come so often, and then no more? One more is let pass: a KVM that interprets under load now
 * and then does an instruction twice, and an EOI that is done twice lets the next one come before its time.
 */
bool interrupts_stop_at(unsigned index, uint32_t count);

/* The message that brings vector FIRST_VECTOR + index. */
#define MSI_ADDRESS 0xfee00000u
#define MSI_DATA(index) (FIRST_VECTOR + (index))

#endif
