/* SPDX-License-Identifier: BSD-2-Clause */
/* Put a kernel, its initrds and its command line into RAM, ready for vcpus_start(). */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config/initrd.h"

struct ram;
struct vcpu_entry;

struct boot_config {
	const char *kernel; /* file */
	const struct boot_initrd *initrds;
	unsigned initrd_count; /* at most BOOT_INITRDS_MAX */
	const char *cmdline;   /* never NULL */
	uint64_t acpi_rsdp;    /* GPA */
};

/*
 * 0: there is such a kernel, and there are such initrds as it takes. *is_linux: it is Linux, which needs a KVM that
 * does not interpret. Before there is any machine. One line is logged on an error. Errors: as boot_load(), and -EINVAL
 * (arguments for what is no module).
 */
int boot_check(const struct boot_config *config, bool *is_linux);

/*
 * Load a Linux bzImage by the 64-bit or, where it has no such entry, the 32-bit boot protocol
 * (Documentation/arch/x86/boot.rst), at its preferred address; or an ELF file by Multiboot 1 or with a PVH entry
 * point, which begin in 32-bit protected mode. For Linux all initrds are one, which lies as high as it may; for
 * others each is a module. One line is logged on an error. Errors: -errno of the file; -ENOEXEC (not a kernel, or too
 * old); -EFBIG (does not fit).
 */
int boot_load(struct ram *ram, const struct boot_config *config, struct vcpu_entry *entry);

#endif
