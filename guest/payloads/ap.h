/* SPDX-License-Identifier: BSD-2-Clause */
/* Another processor: it starts, takes interrupts, and says who it is. */
#ifndef PAYLOAD_AP_H
#define PAYLOAD_AP_H

#include <stdbool.h>
#include <stdint.h>

#define AP_NONE 0xffffffffu

/* Start the one with this id, whose local APIC and this one's take ids of 32 bits; the id that it finds, or AP_NONE. */
uint32_t ap_start(uint32_t id);

/* Which processor took the last interrupt since ap_forget(): waits, within reason. */
uint32_t ap_taker(void);
void ap_forget(void);

/* What its IA32_MTRR_DEF_TYPE was when it started. */
uint32_t ap_memory_type(void);

#endif
