/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a kernel is entered and what it is told: processor state, command line "text=one two=2 memory=MIB kernel=FILE
 * first=FILE second=FILE", the first module (MODULE_SIZE bytes, each its offset's low byte times 7, with arguments),
 * the second one (a word, without), memory map, RSDP.
 */
#include "bootinfo.h"
#include "payload.h"

enum { MODULE_SIZE = 5000, CR0_PE = 1, EFLAGS_IF = 1 << 9, EFLAGS_TF = 1 << 8, MIB = 1 << 20 };

extern const char begin[], end[]; /* of this payload */

#define CR0_PG (1u << 31)
#define CR4_MCE (1u << 6)

static bool begins(const char *text, const char *start)
{
	while (*start && *text == *start) {
		text++;
		start++;
	}
	return !*start;
}

static void check_state(void)
{
	check("protected mode, paging off", entry_state.cr0 & CR0_PE && !(entry_state.cr0 & CR0_PG));
	/* Emulated SVM lets the host's machine check bit through. */
	check_equal("CR4 is clear", entry_state.cr4 & ~CR4_MCE, 0);
	check_equal("interrupts are off", entry_state.eflags & (EFLAGS_IF | EFLAGS_TF), 0);
}

/* Where files have names, they are those that the command line says. */
static void check_names(void)
{
	check("the image's name is the first word", has_parameter("kernel", boot.name));
	check("the modules' names are their first words",
	      has_parameter("first", boot.module[0].name) && has_parameter("second", boot.module[1].name));
}

static void check_modules(void)
{
	const struct module_range *first = &boot.module[0], *second = &boot.module[1];
	const uint8_t *bytes = (const uint8_t *)first->address;
	unsigned wrong = 0;

	if (!check_equal("two modules", boot.modules, 2))
		return;
	if (*boot.name)
		check_names();
	check("their arguments", same_text(first->arguments, "of=two, with more") && same_text(second->arguments, ""));
	check("modules on page boundaries", !(first->address % 4096) && !(second->address % 4096));
	check("the second module", second->size == 5 && begins((const char *)second->address, "other"));
	if (!check_equal("module size", first->size, MODULE_SIZE))
		return;
	for (unsigned i = 0; i < MODULE_SIZE; i++)
		wrong += bytes[i] != (uint8_t)(i * 7);
	check_equal("module content", wrong, 0);
}

/* Is [address, address + size) RAM according to the map? */
static bool in_ram(uint32_t address, uint32_t size)
{
	for (unsigned i = 0; i < boot.map_count; i++) {
		const struct map_range *range = &boot.map[i];

		if (range->type == MAP_RAM && address >= range->address &&
		    address + size <= range->address + range->size)
			return true;
	}
	return false;
}

static void check_map(void)
{
	uint64_t ram = 0, behind = 0;
	bool ascending = true;

	for (unsigned i = 0; i < boot.map_count; i++) {
		const struct map_range *range = &boot.map[i];

		ascending &= range->address >= behind && range->size;
		behind = range->address + range->size;
		if (range->type == MAP_RAM)
			ram += range->size;
	}
	check("memory map: in order, no overlap", ascending && boot.map_count >= 3);
	/* What lies between the EBDA at 639 KiB and 1 MiB is not for use. */
	check_equal("memory map: all RAM", (uint32_t)(ram >> 10), parameter("memory", 0) * 1024 - (1024 - 639));
	check("memory map: the modules and we are in RAM",
	      in_ram(boot.module[0].address, boot.module[0].size) &&
		      in_ram(boot.module[1].address, boot.module[1].size) &&
		      in_ram((uint32_t)begin, (uint32_t)(end - begin)));
	check("memory map: the ACPI tables are not", !in_ram(0xe0000, 16));
}

static bool is_rsdp(uint32_t address)
{
	const uint8_t *bytes = (const uint8_t *)address;
	uint8_t sum = 0;

	for (unsigned i = 0; i < 20; i++)
		sum += bytes[i];
	for (unsigned i = 0; i < 8; i++)
		if (bytes[i] != (uint8_t)"RSD PTR "[i])
			return false;
	return !sum;
}

/* Without a word of the loader, where PCs have it (ACPI 6.5, section 5.2.5.1). */
static uint32_t find_rsdp(void)
{
	for (uint32_t at = 0xe0000; at < MIB; at += 16)
		if (is_rsdp(at))
			return at;
	return 0;
}

void payload(void)
{
	check_state();
	check("the loader's information", boot.valid);
	check("command line", begins(boot.cmdline, "text=one two=2 memory=") && parameter("two", 0) == 2);
	check_modules();
	check_map();
	check("RSDP", find_rsdp() && (!boot.rsdp || boot.rsdp == find_rsdp()));
}
