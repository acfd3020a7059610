/* SPDX-License-Identifier: BSD-2-Clause */
/* Xen 4.19, public/arch-x86/hvm/start_info.h. */
#include "bootinfo.h"

#include "payload.h"

struct start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, map;
	uint32_t map_count, reserved;
};

struct module {
	uint64_t address, size, cmdline, reserved;
};

struct map_entry {
	uint64_t address, size;
	uint32_t type, reserved;
};

struct boot boot = {.name = "", .cmdline = ""};

static void read_modules(const struct start_info *start)
{
	const struct module *module = (const struct module *)(uint32_t)start->modules;

	boot.modules = start->module_count;
	for (unsigned i = 0; i < boot.modules && i < MODULES_MAX; i++, module++)
		boot.module[i] = (struct module_range){
			.address = (uint32_t)module->address,
			.size = (uint32_t)module->size,
			.name = "",
			.arguments = module->cmdline ? (const char *)(uint32_t)module->cmdline : "",
		};
}

void bootinfo_read(void)
{
	const struct start_info *start = (const struct start_info *)entry_state.ebx;
	const struct map_entry *map;

	if (start->magic != 0x336ec578 || start->version != 1)
		return;
	boot.cmdline = (const char *)(uint32_t)start->cmdline;
	boot.rsdp = (uint32_t)start->rsdp;
	read_modules(start);
	map = (const struct map_entry *)(uint32_t)start->map;
	for (; boot.map_count < start->map_count && boot.map_count < MAP_MAX; boot.map_count++, map++)
		boot.map[boot.map_count] = (struct map_range){map->address, map->size, map->type};
	boot.valid = !start->reserved;
}
