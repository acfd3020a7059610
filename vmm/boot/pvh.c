/* SPDX-License-Identifier: BSD-2-Clause */
/* Layouts: Xen 4.19, xen/include/public/arch-x86/hvm/start_info.h and public/elfnote.h. */
#include "vmm/boot/pvh.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define START_MAGIC 0x336ec578u /* "xEn3" with the high bit of the E set */

enum {
	START_VERSION = 1, /* the first with a memory map */
	NOTE_GUEST_OS = 6,
	NOTE_PHYS32_ENTRY = 18,
};

static const char note_name[] = "Xen";

struct start_info {
	uint32_t magic, version, flags;
	uint32_t module_count;
	uint64_t modules, cmdline, rsdp, map;
	uint32_t map_count, reserved;
};

static_assert(sizeof(struct start_info) == 56, "struct hvm_start_info");

struct module {
	uint64_t address, size, cmdline, reserved;
};

struct map_entry {
	uint64_t address, size;
	uint32_t type, reserved;
};

int pvh_find_entry(const struct elf *elf, const struct boot_file *file, uint64_t *entry)
{
	uint32_t len;
	const int error = elf_find_note(elf, file, note_name, NOTE_PHYS32_ENTRY, entry, sizeof(*entry), &len);

	if (error)
		return error;
	/* As wide as the file's class has it. */
	if (len == sizeof(uint32_t))
		*entry &= UINT32_MAX;
	return len == sizeof(uint32_t) || len == sizeof(uint64_t) ? 0 : -ENOENT;
}

bool pvh_is_linux(const struct elf *elf, const struct boot_file *file)
{
	char name[sizeof("linux")] = "";
	uint32_t len;

	return !elf_find_note(elf, file, note_name, NOTE_GUEST_OS, name, sizeof(name), &len) &&
	       !strncmp(name, "linux", sizeof(name));
}

/* The start info's own items come first, then the strings. A module's is its arguments, as Xen has it. */
size_t pvh_size(const struct boot_facts *facts)
{
	size_t size = area_item_size(sizeof(struct start_info)) +
		      area_item_size(facts->module_count * sizeof(struct module)) +
		      area_item_size(facts->map_count * sizeof(struct map_entry)) + area_words_size(facts->cmdline, "");

	for (unsigned i = 0; i < facts->module_count; i++)
		size += area_words_size(facts->modules[i].arguments, "");
	return size;
}

static uint64_t add_modules(struct boot_area *area, const struct boot_facts *facts)
{
	uint64_t address;
	struct module *modules = area_add(area, facts->module_count * sizeof(*modules), &address);

	for (unsigned i = 0; i < facts->module_count; i++) {
		const struct boot_module *from = &facts->modules[i];
		const uint64_t string = *from->arguments ? area_add_words(area, from->arguments, "") : 0;

		modules[i] = (struct module){from->address, from->size, string, 0};
	}
	return facts->module_count ? address : 0;
}

static uint64_t add_map(struct boot_area *area, const struct boot_facts *facts)
{
	uint64_t address;
	struct map_entry *map = area_add(area, facts->map_count * sizeof(*map), &address);

	for (unsigned i = 0; i < facts->map_count; i++)
		map[i] = (struct map_entry){facts->map[i].address, facts->map[i].size, facts->map[i].type, 0};
	return address;
}

uint64_t pvh_write(struct boot_area *area, const struct boot_facts *facts)
{
	uint64_t address;
	struct start_info *start = area_add(area, sizeof(*start), &address);

	*start = (struct start_info){
		.magic = START_MAGIC,
		.version = START_VERSION,
		.module_count = facts->module_count,
		.modules = add_modules(area, facts),
		.cmdline = area_add_words(area, facts->cmdline, ""),
		.rsdp = facts->acpi_rsdp,
		.map = add_map(area, facts),
		.map_count = facts->map_count,
	};
	return address;
}
