/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/multiboot.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

#define HEADER_MAGIC 0x1badb002u

enum { SEARCH_SIZE = 8192, KIB = 1024, MIB = 1024 * 1024 };

/* Section 3.1.2. Bits 0 to 15 are demands: a loader that does not know one must refuse. */
enum {
	HEADER_PAGE_ALIGN = 1 << 0,
	HEADER_MEMORY_INFO = 1 << 1,
	HEADER_VIDEO_MODE = 1 << 2,
	HEADER_ADDRESSES = 1 << 16, /* load by the header's own fields, not by the file's format */
	HEADER_DEMANDS = 0xffff,
};

struct header {
	uint32_t magic, flags, checksum;
};

/* Section 3.3. */
enum {
	INFO_MEMORY = 1 << 0,
	INFO_CMDLINE = 1 << 2,
	INFO_MODULES = 1 << 3,
	INFO_MAP = 1 << 6,
	INFO_LOADER_NAME = 1 << 9,
};

struct info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB from 0, and from 1 MiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	uint8_t video[44];
};

static_assert(sizeof(struct info) == 116, "section 3.3");

struct module {
	uint32_t start, end; /* end: the first address behind it */
	uint32_t string;
	uint32_t reserved;
};

/* The size field does not count itself. */
struct map_entry {
	uint32_t size;
	uint64_t address, len;
	uint32_t type;
} __attribute__((packed));

static_assert(sizeof(struct map_entry) == 24, "section 3.3");

static const char loader_name[] = "viommu";

int multiboot_find(const struct boot_file *file, enum multiboot_header *found, uint32_t *flags)
{
	uint8_t head[SEARCH_SIZE];
	const size_t size = file->size < sizeof(head) ? file->size : sizeof(head);
	const int error = boot_file_read(file, 0, head, size);

	*found = MULTIBOOT_NONE;
	for (size_t at = 0; !error && at + sizeof(struct header) <= size; at += 4) {
		struct header header;

		memcpy(&header, head + at, sizeof(header));
		if (header.magic != HEADER_MAGIC)
			continue;
		*found = MULTIBOOT_DAMAGED;
		if (header.magic + header.flags + header.checksum)
			continue;
		*found = MULTIBOOT_FOUND;
		*flags = header.flags;
		break;
	}
	return error;
}

const char *multiboot_check(uint32_t flags)
{
	if (flags & HEADER_VIDEO_MODE)
		return "its Multiboot header wants a video mode";
	if (flags & HEADER_DEMANDS & ~(HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO))
		return "its Multiboot header wants what is unknown here";
	if (flags & HEADER_ADDRESSES)
		return "its Multiboot header wants to be loaded by address fields (a.out), not as ELF";
	return NULL;
}

size_t multiboot_size(const struct boot_facts *facts)
{
	size_t size = area_item_size(sizeof(struct info)) +
		      area_item_size(facts->module_count * sizeof(struct module)) +
		      area_item_size(facts->map_count * sizeof(struct map_entry)) +
		      area_words_size(facts->kernel, facts->cmdline) + area_words_size(loader_name, "");

	for (unsigned i = 0; i < facts->module_count; i++)
		size += area_words_size(facts->modules[i].file, facts->modules[i].arguments);
	return size;
}

static uint32_t add_modules(struct boot_area *area, const struct boot_facts *facts)
{
	uint64_t address;
	struct module *modules = area_add(area, facts->module_count * sizeof(*modules), &address);

	for (unsigned i = 0; i < facts->module_count; i++) {
		const struct boot_module *from = &facts->modules[i];

		modules[i] = (struct module){
			.start = (uint32_t)from->address,
			.end = (uint32_t)(from->address + from->size),
			.string = (uint32_t)area_add_words(area, from->file, from->arguments),
		};
	}
	return (uint32_t)address;
}

static uint32_t add_map(struct boot_area *area, const struct boot_facts *facts)
{
	uint64_t address;
	struct map_entry *map = area_add(area, facts->map_count * sizeof(*map), &address);

	for (unsigned i = 0; i < facts->map_count; i++)
		map[i] = (struct map_entry){
			.size = sizeof(struct map_entry) - sizeof(uint32_t),
			.address = facts->map[i].address,
			.len = facts->map[i].size,
			.type = facts->map[i].type,
		};
	return (uint32_t)address;
}

uint64_t multiboot_write(struct boot_area *area, const struct boot_facts *facts, const struct ram *ram)
{
	uint64_t address;
	struct info *info = area_add(area, sizeof(*info), &address);

	info->flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MAP | INFO_LOADER_NAME;
	info->mem_lower = (uint32_t)(LAYOUT_EBDA / KIB);
	info->mem_upper = ram->low_size > MIB ? (uint32_t)((ram->low_size - MIB) / KIB) : 0;
	/* Its first word is the image, as other loaders have it: kernels skip it. */
	info->cmdline = (uint32_t)area_add_words(area, facts->kernel, facts->cmdline);
	info->mods_count = facts->module_count;
	info->mods_addr = add_modules(area, facts);
	info->mmap_length = facts->map_count * (uint32_t)sizeof(struct map_entry);
	info->mmap_addr = add_map(area, facts);
	info->boot_loader_name = (uint32_t)area_add_words(area, loader_name, "");
	return address;
}
