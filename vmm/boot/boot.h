/* SPDX-License-Identifier: BSD-2-Clause */
/* Put a kernel, its initrd and its command line into RAM, ready for vcpus_start(). */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include <stdbool.h>
#include <stdint.h>

struct ram;
struct vcpu_entry;

struct boot_config {
	const char *kernel;  /* file */
	const char *initrd;  /* file or NULL */
	const char *cmdline; /* never NULL */
	uint64_t acpi_rsdp;  /* GPA */
};

/*
 * Is there such a kernel and such an initrd, and is it Linux, which needs a KVM that does not interpret? Before there is
 * any machine. One line is logged on an error. initrd may be NULL. Errors: as boot_load().
 */
int boot_check(const char *kernel, const char *initrd, bool *is_linux);

/*
 * Load a Linux bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst): kernel at its preferred address,
 * identity page tables for 4 GiB; or an ELF file by Multiboot 1 or with a PVH entry point, which begin in 32-bit
 * protected mode. The initrd (module) lies as high as it may. One line is logged on an error.
 * Errors: -errno of the file; -ENOEXEC (not a kernel, or too old); -EFBIG (does not fit).
 */
int boot_load(struct ram *ram, const struct boot_config *config, struct vcpu_entry *entry);

#endif
