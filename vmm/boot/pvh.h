/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: ELF kernels with the entry point of Xen's "PVH" guests (Xen, docs/misc/pvh.pandoc). */
#ifndef VMM_PVH_H
#define VMM_PVH_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/elf.h"
#include "vmm/boot/facts.h"

struct ram;

/* The physical address of the entry point, from its note. -ENOENT: it has none; those of boot_file_read(). */
int pvh_find_entry(const struct elf *elf, const struct boot_file *file, uint64_t *entry);

/* Does a note say that it is Linux? */
bool pvh_is_linux(const struct elf *elf, const struct boot_file *file);

/* Write the start info and what it points to at LAYOUT_BOOT_PARAMS. -EFBIG: no RAM there. */
int pvh_write(struct ram *ram, const struct boot_facts *facts);

#endif
