/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that C and assembly share. */
#ifndef PAYLOAD_REGS_H
#define PAYLOAD_REGS_H

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define MULTIBOOT_MAGIC 0x1badb002

#define EXCEPTIONS 32
#define FIRST_VECTOR 0x40
#define VECTORS 8

/* Where other processors start, in real mode: a page below 1 MiB. */
#define AP_PAGE 0x70000

#endif
