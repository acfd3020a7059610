/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel files: small ones that boot (ELF32 by Multiboot and PVH, ELF64 by PVH, bzImage) with bytes changed, or
 * anything at all.
 */
#ifndef FUZZ_KERNELS_H
#define FUZZ_KERNELS_H

#include "fuzz/fuzz.h"

enum { KERNEL_FILE_MAX = 4096 };

struct kernel_file {
	uint8_t bytes[KERNEL_FILE_MAX];
	size_t size;
};

/* Takes all of the tape. */
void kernel_file_draw(struct tape *tape, struct kernel_file *file);

#endif
