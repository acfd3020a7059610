/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: what every kernel is told, each kind in a form of its own. */
#ifndef VMM_BOOT_FACTS_H
#define VMM_BOOT_FACTS_H

#include <stdint.h>

struct ram;

/* These numbers are the same in E820, Multiboot and PVH. */
enum { BOOT_MAP_RAM = 1, BOOT_MAP_RESERVED = 2, BOOT_MAP_MAX = 8 };

struct boot_map_entry {
	uint64_t address, size;
	uint32_t type;
};

struct boot_facts {
	const char *cmdline;          /* it also lies at LAYOUT_CMDLINE */
	uint64_t initrd, initrd_size; /* GPA; size 0: none */
	uint64_t acpi_rsdp;           /* GPA */
	struct boot_map_entry map[BOOT_MAP_MAX];
	unsigned map_count;
};

/* The memory map, in ascending order. */
void facts_fill_map(struct boot_facts *facts, const struct ram *ram);

/* Write the command line to LAYOUT_CMDLINE. -EFBIG (logged): longer than what the kernel takes, or than the room. */
int facts_write_cmdline(const struct boot_facts *facts, struct ram *ram, uint32_t kernel_max);

#endif
