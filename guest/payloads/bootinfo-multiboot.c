/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot specification 0.6.96, section 3.3. */
#include "bootinfo.h"

#include "payload.h"

enum { WANTED = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 };

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
		mmap_addr;
};

struct module {
	uint32_t start, end, string, reserved;
};

struct boot boot = {.cmdline = ""};

static void read_map(const struct info *info)
{
	uint32_t at = info->mmap_addr;

	while (at < info->mmap_addr + info->mmap_length && boot.map_count < MAP_MAX) {
		const uint32_t *entry = (const uint32_t *)at;

		boot.map[boot.map_count++] = (struct map_range){
			.address = entry[1] | (uint64_t)entry[2] << 32,
			.size = entry[3] | (uint64_t)entry[4] << 32,
			.type = entry[5],
		};
		at += entry[0] + sizeof(entry[0]);
	}
}

void bootinfo_read(void)
{
	const struct info *info = (const struct info *)entry_state.ebx;

	if (entry_state.eax != 0x2badb002 || (info->flags & WANTED) != WANTED)
		return;
	boot.cmdline = (const char *)info->cmdline;
	boot.modules = info->mods_count;
	if (boot.modules) {
		const struct module *module = (const struct module *)info->mods_addr;

		boot.module = module->start;
		boot.module_size = module->end - module->start;
	}
	read_map(info);
	/* mem_upper counts from 1 MiB to the first hole: the map's third range has to say the same. */
	boot.valid = info->mem_lower == boot.map[0].size / 1024 && info->mem_upper == boot.map[2].size / 1024;
}
