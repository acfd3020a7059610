/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: what every kernel is told, each kind in a form of its own. */
#ifndef VMM_BOOT_FACTS_H
#define VMM_BOOT_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/boot.h"

struct ram;

/* These numbers are the same in E820, Multiboot and PVH. */
enum { BOOT_MAP_RAM = 1, BOOT_MAP_RESERVED = 2, BOOT_MAP_MAX = 8 };

struct boot_map_entry {
	uint64_t address, size;
	uint32_t type;
};

/* An initrd, or a module. Strings are never NULL, but may be empty. */
struct boot_module {
	uint64_t address, size; /* GPA */
	const char *file, *arguments;
};

struct boot_facts {
	const char *kernel;  /* its file's name */
	const char *cmdline; /* without that name */
	uint64_t acpi_rsdp;  /* GPA */
	struct boot_module modules[BOOT_INITRDS_MAX];
	unsigned module_count; /* Linux: at most one */
	struct boot_map_entry map[BOOT_MAP_MAX];
	unsigned map_count;
};

/* The memory map, in ascending order. */
void facts_fill_map(struct boot_facts *facts, const struct ram *ram);

/* -EFBIG (logged): the command line is longer than this, without its terminating zero. */
int facts_check_cmdline(const struct boot_facts *facts, size_t limit);

#endif
