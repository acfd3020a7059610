/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot and for the speed test: what a guest needs before its first instruction. */
#ifndef VMM_ENTRY_H
#define VMM_ENTRY_H

#include <stdint.h>

struct ram;
struct vcpu_entry;

/* 64-bit: write a GDT and page tables that map the first 4 GiB to themselves; fill entry but its registers. -EFBIG. */
int entry_prepare(struct ram *ram, struct vcpu_entry *entry);

/*
 * 32-bit protected mode without paging: write a GDT into so many bytes of guest memory at this GPA; fill entry
 * likewise.
 */
enum { ENTRY_FLAT_GDT_SIZE = 32 };
void entry_prepare_flat(void *gdt, uint64_t address, struct vcpu_entry *entry);

/*
 * Code where a PC's reset vector is, for kernels that restart by a jump there: Linux does so on a hardware-reduced
 * machine without EFI, although the FADT names a reset register. -EFBIG.
 */
int entry_add_reset_vector(struct ram *ram);

#endif
