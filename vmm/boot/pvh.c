/* SPDX-License-Identifier: BSD-2-Clause */
/* Layouts: Xen 4.19, xen/include/public/arch-x86/hvm/start_info.h and public/elfnote.h. */
#include "vmm/boot/pvh.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/kvm/ram.h"
#include "vmm/layout.h"

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

/* All that the kernel is given in one piece. */
struct area {
	struct start_info start;
	struct module module;
	struct map_entry map[BOOT_MAP_MAX];
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

int pvh_write(struct ram *ram, const struct boot_facts *facts)
{
	struct area *area = ram_at(ram, LAYOUT_BOOT_PARAMS, sizeof(*area));

	if (!area)
		return -EFBIG;
	memset(area, 0, sizeof(*area));
	area->start = (struct start_info){
		.magic = START_MAGIC,
		.version = START_VERSION,
		.module_count = facts->initrd_size ? 1 : 0,
		.modules = facts->initrd_size ? LAYOUT_BOOT_PARAMS + offsetof(struct area, module) : 0,
		.cmdline = LAYOUT_CMDLINE,
		.rsdp = facts->acpi_rsdp,
		.map = LAYOUT_BOOT_PARAMS + offsetof(struct area, map),
		.map_count = facts->map_count,
	};
	area->module.address = facts->initrd;
	area->module.size = facts->initrd_size;
	for (unsigned i = 0; i < facts->map_count; i++) {
		const struct boot_map_entry *from = &facts->map[i];

		area->map[i] = (struct map_entry){from->address, from->size, from->type, 0};
	}
	return 0;
}
