/* SPDX-License-Identifier: BSD-2-Clause */
#include "vtd-irte.h"

#include "edu.h"
#include "interrupt.h"
#include "payload.h"
#include "pci.h"
#include "vtd.h"

enum { TABLE_SIZE_CODE = 7, QUIET = 100 };

uint64_t *irte_table;
static uint32_t config, bar;
static bool wide;

bool irte_start(bool extended)
{
	irte_table = vtd_page();
	wide = extended;
	vtd_put64(VTD_IRTA, (uint32_t)irte_table | TABLE_SIZE_CODE | (extended ? IRTA_EIME : 0));
	if (!vtd_latch(CMD_SIRTP))
		return false;
	irte_invalidate_all();
	return vtd_switch(CMD_IRE, true);
}

uint64_t irte_to(unsigned index, uint32_t destination)
{
	return ENTRY_P | (uint64_t)(FIRST_VECTOR + index) << 16 | (uint64_t)destination << (wide ? 32 : 40);
}

void irte_write(unsigned entry, uint64_t low, uint64_t high)
{
	irte_table[2 * entry + 1] = high;
	irte_table[2 * entry] = low;
}

void irte_invalidate(unsigned entry, unsigned mask)
{
	queue_put(DESC_IEC | 1 << 4 | mask << 27 | (uint64_t)entry << 32, 0);
	queue_finish();
}

void irte_invalidate_all(void)
{
	queue_put(DESC_IEC, 0);
	queue_finish();
}

void irte_set(unsigned entry, uint64_t low, uint64_t high)
{
	irte_write(entry, low, high);
	irte_invalidate(entry, 0);
}

void edu_open(unsigned slot)
{
	bar = pci_enable(slot);
	config = ecam(slot) + pci_find_capability(slot, PCI_CAP_MSI);
}

void edu_message(uint64_t address, uint16_t data)
{
	write16(config + 2, 0);
	write32(config + 4, (uint32_t)address);
	write32(config + 8, (uint32_t)(address >> 32));
	write16(config + 12, data);
	write16(config + 2, 1);
}

/* 5.1.2.2: handle 14:0 in bits 19:5, bit 15 in bit 2; bit 4: remappable; bit 3: with a subhandle. */
void edu_handle(uint16_t handle, int subhandle)
{
	const uint32_t address = MSI_ADDRESS | (handle & 0x7fffu) << 5 | 1 << 4 | (handle >> 15) << 2;

	edu_message(subhandle < 0 ? address : address | 1 << 3, subhandle < 0 ? 0xffff : (uint16_t)subhandle);
}

void edu_acknowledge(void)
{
	write32(bar + EDU_ACKNOWLEDGE, UINT32_MAX);
}

void edu_send(void)
{
	edu_acknowledge();
	write32(bar + EDU_RAISE, 1);
}

void edu_use_pin(void)
{
	edu_acknowledge();
	write16(config + 2, 0);
}

static uint32_t total(void)
{
	uint32_t sum = nmis;

	for (unsigned i = 0; i < VECTORS; i++)
		sum += interrupts[i];
	return sum;
}

bool edu_reaches(unsigned index)
{
	const uint32_t before = interrupts[index], all = total();

	edu_send();
	return wait_interrupts(index, before + 1) && total() == all + 1;
}

bool edu_blocked(void)
{
	const uint32_t all = total();

	edu_send();
	breathe(QUIET);
	return total() == all;
}
