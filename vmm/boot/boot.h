/* SPDX-License-Identifier: BSD-2-Clause */
/* Put a kernel, its initrd and its command line into RAM, ready for vcpus_start(). */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

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
 * Load a Linux bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst): kernel at its preferred address,
 * initrd as high as it may lie, E820, identity page tables for 4 GiB, GDT. One line is logged on an error.
 * Errors: -errno of the file; -ENOEXEC (not a kernel, or too old); -EFBIG (does not fit).
 */
int boot_load(struct ram *ram, const struct boot_config *config, struct vcpu_entry *entry);

#endif
