/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: what the kernel is told in its "zero page". */
#ifndef VMM_PARAMS_H
#define VMM_PARAMS_H

#include <asm/bootparam.h>
#include <stdint.h>

struct ram;

struct boot_facts {
	const struct setup_header *header;
	const char *cmdline;
	uint64_t initrd, initrd_size; /* GPA; size 0: none */
	uint64_t acpi_rsdp;
};

/* Write boot_params at LAYOUT_BOOT_PARAMS and the command line. -EFBIG (logged): too long for the kernel, or no RAM. */
int params_write(struct ram *ram, const struct boot_facts *facts);

/* The memory map, into boot_params. */
void e820_fill(struct boot_params *params, const struct ram *ram);

#endif
