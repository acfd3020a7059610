/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/params.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout.h"

enum { E820_TYPE_RAM = 1, E820_TYPE_RESERVED = 2 };

#define MIB 0x100000ull

/* The range is [first, end). */
static void add(struct boot_params *params, uint64_t first, uint64_t end, uint32_t type)
{
	struct boot_e820_entry *entry = &params->e820_table[params->e820_entries];

	if (first >= end)
		return;
	entry->addr = first;
	entry->size = end - first;
	entry->type = type;
	params->e820_entries++;
}

void e820_fill(struct boot_params *params, const struct ram *ram)
{
	params->e820_entries = 0;
	add(params, 0, LAYOUT_EBDA, E820_TYPE_RAM);
	/* EBDA, video memory, ROMs: the ACPI tables are among them. */
	add(params, LAYOUT_EBDA, MIB, E820_TYPE_RESERVED);
	add(params, MIB, ram->low_size, E820_TYPE_RAM);
	add(params, LAYOUT_ECAM, LAYOUT_ECAM + LAYOUT_ECAM_SIZE, E820_TYPE_RESERVED);
	add(params, LAYOUT_HIGH_RAM, LAYOUT_HIGH_RAM + ram->high_size, E820_TYPE_RAM);
}
