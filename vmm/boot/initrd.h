/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: the initrds of a Linux kernel, the modules of another one. */
#ifndef VMM_BOOT_INITRD_H
#define VMM_BOOT_INITRD_H

#include "vmm/boot/boot.h"
#include "vmm/boot/facts.h"
#include "vmm/boot/kernel.h"
#include "vmm/boot/room.h"

struct ram;

/* 0: these files are there, and this kernel has a use for their arguments. Errors: as boot_check(). */
int initrd_check(const struct kernel *kernel, const struct boot_config *config);

/*
 * Where `size` bytes (not 0) may go. Linux: as high as the kernel says, beyond that, up to the end of RAM, only if it
 * must and the kernel takes it there. Others: behind the kernel, as other loaders have it, else anywhere from 1 MiB
 * on. false: nowhere.
 */
bool initrd_place(const struct kernel *kernel, const struct boot_room *room, uint64_t size, uint64_t *address);

/* Put all of them into RAM, and into facts. Errors: -EFBIG (logged), those of boot_file_open() and boot_file_read(). */
int initrd_load(const struct kernel *kernel, const struct boot_config *config, struct ram *ram, struct boot_room *room,
		struct boot_facts *facts);

#endif
