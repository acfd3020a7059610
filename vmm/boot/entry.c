/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/entry.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vmm/kvm/kvm.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

enum {
	PAGE_SIZE = 4096,
	PAGE_ENTRIES = 512,
	DIRECTORIES = 4, /* of 1 GiB each */
	TABLE_PAGES = LAYOUT_PAGE_TABLES_SIZE / PAGE_SIZE,
	PTE_PRESENT = 1 << 0,
	PTE_WRITE = 1 << 1,
	PTE_LARGE = 1 << 7,
	LARGE_SHIFT = 21,
};

static_assert(TABLE_PAGES == 2 + DIRECTORIES, "a table of each upper level");

/* Null, null, code at 0x10, data at 0x18 (boot.rst, 64-bit boot protocol: __BOOT_CS and __BOOT_DS). */
static const uint64_t long_gdt[] = {0, 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull};
/* The same with code of 32 bits, for kernels that look at where their segments come from. */
static const uint64_t flat_gdt[] = {0, 0, 0x00cf9b000000ffffull, 0x00cf93000000ffffull};

/* 16-bit: mov dx, reset port; mov al, reset value; out dx, al; 1: hlt; jmp 1b */
static const uint8_t reset_code[] = {
	0xba, LAYOUT_PORT_RESET & 0xff, LAYOUT_PORT_RESET >> 8, 0xb0, LAYOUT_RESET_VALUE, 0xee, 0xf4, 0xeb, 0xfd,
};

static void fill_tables(uint64_t *tables)
{
	uint64_t *pml4 = tables, *pdpt = tables + PAGE_ENTRIES, *directories = tables + 2 * PAGE_ENTRIES;

	memset(tables, 0, (size_t)TABLE_PAGES * PAGE_SIZE);
	pml4[0] = (LAYOUT_PAGE_TABLES + PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (unsigned i = 0; i < DIRECTORIES; i++)
		pdpt[i] = (LAYOUT_PAGE_TABLES + (2ull + i) * PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < (uint64_t)DIRECTORIES * PAGE_ENTRIES; i++)
		directories[i] = i << LARGE_SHIFT | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
}

int entry_prepare(struct ram *ram, struct vcpu_entry *entry)
{
	uint64_t *tables = ram_at(ram, LAYOUT_PAGE_TABLES, (uint64_t)TABLE_PAGES * PAGE_SIZE);
	void *gdt = ram_at(ram, LAYOUT_GDT, sizeof(long_gdt));

	if (!tables || !gdt)
		return -EFBIG;
	fill_tables(tables);
	memcpy(gdt, long_gdt, sizeof(long_gdt));
	*entry = (struct vcpu_entry){.cr3 = LAYOUT_PAGE_TABLES, .gdt = LAYOUT_GDT, .gdt_size = sizeof(long_gdt)};
	return 0;
}

void entry_prepare_flat(void *gdt, uint64_t address, struct vcpu_entry *entry)
{
	static_assert(sizeof(flat_gdt) == ENTRY_FLAT_GDT_SIZE, "the caller's room");
	memcpy(gdt, flat_gdt, sizeof(flat_gdt));
	*entry = (struct vcpu_entry){.flat32 = true, .gdt = address, .gdt_size = sizeof(flat_gdt)};
}

int entry_add_reset_vector(struct ram *ram)
{
	void *target = ram_at(ram, LAYOUT_RESET_VECTOR, sizeof(reset_code));

	if (!target)
		return -EFBIG;
	memcpy(target, reset_code, sizeof(reset_code));
	return 0;
}
