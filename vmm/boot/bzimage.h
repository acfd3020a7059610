/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: Linux kernels as bzImage files, decoded and loaded. */
#ifndef VMM_BZIMAGE_H
#define VMM_BZIMAGE_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/file.h"

struct ram;

/* What was found in the file, checked. Ranges do not wrap. */
struct bzimage {
	struct setup_header header;
	uint64_t offset, size;      /* of the protected-mode kernel in the file */
	uint64_t address, run_size; /* where it goes, and what it needs from there on before it looks at E820 */
	bool is64; /* it has a 64-bit entry point, and that one is used; else it begins in 32-bit protected mode */
	uint64_t entry;
};

/* Errors: -ENOEXEC (logged), those of boot_file_read(). */
int bzimage_decode(struct bzimage *image, const struct boot_file *file);

/* Errors: -EFBIG (does not fit into low RAM; logged), those of boot_file_read(). */
int bzimage_load(const struct bzimage *image, const struct boot_file *file, struct ram *ram);

#endif
