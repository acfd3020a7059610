/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/multiboot.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/kvm/ram.h"
#include "vmm/layout.h"

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

/* All that the kernel is given in one piece. */
struct area {
	struct info info;
	struct module module;
	struct map_entry map[BOOT_MAP_MAX];
	char loader[8];
};

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

static uint32_t address_of(size_t offset)
{
	return (uint32_t)(LAYOUT_BOOT_PARAMS + offset);
}

static void fill_info(struct info *info, const struct boot_facts *facts, const struct ram *ram)
{
	info->flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MAP | INFO_LOADER_NAME;
	info->mem_lower = (uint32_t)(LAYOUT_EBDA / KIB);
	info->mem_upper = ram->low_size > MIB ? (uint32_t)((ram->low_size - MIB) / KIB) : 0;
	info->cmdline = (uint32_t)LAYOUT_CMDLINE;
	info->mods_count = facts->initrd_size ? 1 : 0;
	info->mods_addr = address_of(offsetof(struct area, module));
	info->mmap_length = facts->map_count * (uint32_t)sizeof(struct map_entry);
	info->mmap_addr = address_of(offsetof(struct area, map));
	info->boot_loader_name = address_of(offsetof(struct area, loader));
}

int multiboot_write(struct ram *ram, const struct boot_facts *facts)
{
	struct area *area = ram_at(ram, LAYOUT_BOOT_PARAMS, sizeof(*area));

	if (!area)
		return -EFBIG;
	memset(area, 0, sizeof(*area));
	fill_info(&area->info, facts, ram);
	area->module.start = (uint32_t)facts->initrd;
	area->module.end = (uint32_t)(facts->initrd + facts->initrd_size);
	for (unsigned i = 0; i < facts->map_count; i++)
		area->map[i] = (struct map_entry){
			.size = sizeof(struct map_entry) - sizeof(uint32_t),
			.address = facts->map[i].address,
			.len = facts->map[i].size,
			.type = facts->map[i].type,
		};
	memcpy(area->loader, "viommu", sizeof("viommu"));
	return 0;
}
