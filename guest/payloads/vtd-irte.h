/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt remapping of the unit in use: its table of 256 entries (VT-d 5.1, 9.10), and edu's message in the
 * remappable format.
 */
#ifndef PAYLOAD_VTD_IRTE_H
#define PAYLOAD_VTD_IRTE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	IRTE_ENTRIES = 256,
	IRTE_LOGICAL = 1 << 2,
	IRTE_HINT = 1 << 3,
	IRTE_MODE_SHIFT = 5,
	IRTE_MODE_LOWEST = 1 << IRTE_MODE_SHIFT,
	IRTE_MODE_NMI = 4 << IRTE_MODE_SHIFT,
};

/* Source validation, of the high word. */
#define IRTE_SOURCE(sid) (1ull << 18 | (sid))
#define IRTE_QUALIFIER(n) ((uint64_t)(n) << 16)
#define IRTE_BUSES(first, last) (2ull << 18 | (first) << 8 | (last))
#define IRTE_INVALID_SVT (3ull << 18)

extern uint64_t *irte_table;

/* Make the table, latch it and switch remapping on; the queue is on. */
bool irte_start(bool extended);

/* The low word that brings vector FIRST_VECTOR + index to a processor. */
uint64_t irte_to(unsigned index, uint32_t destination);

/* Write an entry, the high word first; and invalidate it. */
void irte_write(unsigned entry, uint64_t low, uint64_t high);
void irte_set(unsigned entry, uint64_t low, uint64_t high);

/* 2^mask entries. */
void irte_invalidate(unsigned entry, unsigned mask);
void irte_invalidate_all(void);

/* Edu's MSI: any message; the one of a handle, with a subhandle or (-1) without. */
void edu_message(uint64_t address, uint16_t data);
void edu_handle(uint16_t handle, int subhandle);

/* Let edu send it; a reason for an interrupt is acknowledged first. */
void edu_send(void);

/* Let it send: does vector FIRST_VECTOR + index come, once and no other? Does nothing come? */
bool edu_reaches(unsigned index);
bool edu_blocked(void);

/* At a slot. */
void edu_open(unsigned slot);
void edu_acknowledge(void);
/* By its pin instead of a message. */
void edu_use_pin(void);

#endif
