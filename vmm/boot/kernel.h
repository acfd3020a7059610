/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: a kernel's file, of whatever kind. What kind it is, its content says. */
#ifndef VMM_BOOT_KERNEL_H
#define VMM_BOOT_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/bzimage.h"
#include "vmm/boot/elf.h"
#include "vmm/boot/room.h"

enum kernel_kind { KERNEL_BZIMAGE, KERNEL_MULTIBOOT, KERNEL_PVH };

struct kernel {
	enum kernel_kind kind;
	bool is_linux;
	uint64_t entry;       /* where the first vCPU begins */
	uint64_t end;         /* the first address behind it that an initrd may take ... */
	uint64_t initrd_last; /* ... and the last; or, where there is no room, any one: */
	bool initrd_anywhere;
	size_t cmdline_max; /* longest command line, without its terminating zero */
	union {
		struct bzimage bzimage;
		struct elf elf; /* Multiboot and PVH */
	};
};

/* Errors: -ENOEXEC (logged), those of boot_file_read(). */
int kernel_decode(struct kernel *kernel, const struct boot_file *file);

/* Put it into RAM. Errors: -EFBIG (logged), those of boot_file_read(). */
int kernel_load(const struct kernel *kernel, const struct boot_file *file, struct ram *ram);

/* It takes all that it is loaded to. */
void kernel_take_room(const struct kernel *kernel, struct boot_room *room);

#endif
