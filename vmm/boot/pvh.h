/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: ELF kernels with the entry point of Xen's "PVH" guests (Xen, docs/misc/pvh.pandoc). */
#ifndef VMM_PVH_H
#define VMM_PVH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/area.h"
#include "vmm/boot/elf.h"
#include "vmm/boot/facts.h"

/* The physical address of the entry point, from its note. -ENOENT: it has none; those of boot_file_read(). */
int pvh_find_entry(const struct elf *elf, const struct boot_file *file, uint64_t *entry);

/* True: a note says that it is Linux. */
bool pvh_is_linux(const struct elf *elf, const struct boot_file *file);

/* The start info and what it points to: how much that is, and writing it; its address. */
size_t pvh_size(const struct boot_facts *facts);
uint64_t pvh_write(struct boot_area *area, const struct boot_facts *facts);

#endif
