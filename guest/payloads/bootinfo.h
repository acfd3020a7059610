/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loader told, in one form for Multiboot and PVH. */
#ifndef PAYLOAD_BOOTINFO_H
#define PAYLOAD_BOOTINFO_H

#include <stdbool.h>
#include <stdint.h>

enum { MAP_MAX = 16, MAP_RAM = 1, MODULES_MAX = 4 };

struct map_range {
	uint64_t address, size;
	uint32_t type;
};

/* Names of files come with Multiboot only; else they are empty. */
struct module_range {
	uint32_t address, size;
	const char *name, *arguments;
};

struct boot {
	bool valid; /* the loader's magic numbers and versions are right */
	const char *name, *cmdline;
	unsigned modules; /* how many there are, and the first ones */
	struct module_range module[MODULES_MAX];
	unsigned map_count;
	struct map_range map[MAP_MAX];
	uint32_t rsdp; /* 0: not told */
};

extern struct boot boot;

void bootinfo_read(void);

#endif
