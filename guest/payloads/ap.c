/* SPDX-License-Identifier: BSD-2-Clause */
#include "ap.h"

#include "interrupt.h"
#include "payload.h"

enum { PATIENCE = 40000 };

extern const char ap_begin[], ap_end[];
void ap_main(void);

static volatile uint32_t ap_alive = AP_NONE, taken_by = AP_NONE, memory_type;

static void note_processor(unsigned index)
{
	(void)index;
	taken_by = x2apic_id();
}

void ap_main(void)
{
	memory_type = (uint32_t)read_msr(MSR_MTRR_DEF_TYPE);
	x2apic_enable();
	interrupts_init();
	ap_alive = x2apic_id();
	for (;;)
		__asm__ volatile("hlt");
}

static uint32_t wait_for(const volatile uint32_t *word)
{
	for (unsigned i = 0; i < PATIENCE && *word == AP_NONE; i++)
		breathe(1);
	return *word;
}

uint32_t ap_start(uint32_t id)
{
	uint8_t *page = (uint8_t *)AP_PAGE;

	x2apic_enable();
	interrupts_init();
	interrupt_work = note_processor;
	for (const char *at = ap_begin; at < ap_end; at++)
		*page++ = (uint8_t)*at;
	x2apic_init(id);
	breathe(100);
	x2apic_start(id);
	return wait_for(&ap_alive);
}

void ap_forget(void)
{
	taken_by = AP_NONE;
}

/* An interrupt is counted before it is noted where it came. */
uint32_t ap_taker(void)
{
	return wait_for(&taken_by);
}

uint32_t ap_memory_type(void)
{
	return memory_type;
}
