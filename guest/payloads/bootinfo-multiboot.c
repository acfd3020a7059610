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

struct boot boot = {.name = "", .cmdline = ""};

/* What follows the first word, which is a file's name, and ends there from now on. */
static const char *cut_name(char *text)
{
	while (*text && *text != ' ')
		text++;
	if (*text)
		*text++ = 0;
	return text;
}

static void read_modules(const struct info *info)
{
	const struct module *module = (const struct module *)info->mods_addr;

	boot.modules = info->mods_count;
	for (unsigned i = 0; i < boot.modules && i < MODULES_MAX; i++, module++)
		boot.module[i] = (struct module_range){
			.address = module->start,
			.size = module->end - module->start,
			.name = (const char *)module->string,
			.arguments = cut_name((char *)module->string),
		};
}

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
	boot.name = (const char *)info->cmdline;
	boot.cmdline = cut_name((char *)info->cmdline);
	read_modules(info);
	read_map(info);
	/* mem_upper counts from 1 MiB to the first hole: the map's third range has to say the same. */
	boot.valid = info->mem_lower == boot.map[0].size / 1024 && info->mem_upper == boot.map[2].size / 1024;
}
