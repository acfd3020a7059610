/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: kernels by the Multiboot specification 0.6.96 ("Multiboot 1"), as ELF32. */
#ifndef VMM_MULTIBOOT_H
#define VMM_MULTIBOOT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/area.h"
#include "vmm/boot/facts.h"
#include "vmm/boot/file.h"

struct ram;

enum multiboot_header { MULTIBOOT_NONE, MULTIBOOT_DAMAGED, MULTIBOOT_FOUND };

/* What EAX tells the kernel. */
#define MULTIBOOT_BOOTED 0x2badb002u

/* Look for the header in the first 8 KiB (section 3.1); its flags. Errors: those of boot_file_read(). */
int multiboot_find(const struct boot_file *file, enum multiboot_header *found, uint32_t *flags);

/* NULL, or what it is in these flags that cannot be had here. */
const char *multiboot_check(uint32_t flags);

/* The information structure (section 3.3) and what it points to: how much that is, and writing it; its address. */
size_t multiboot_size(const struct boot_facts *facts);
uint64_t multiboot_write(struct boot_area *area, const struct boot_facts *facts, const struct ram *ram);

#endif
