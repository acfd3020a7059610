/* SPDX-License-Identifier: BSD-2-Clause */
/* What --initrd asks for. */
#ifndef VMM_CONFIG_INITRD_H
#define VMM_CONFIG_INITRD_H

enum { BOOT_INITRDS_MAX = 32 };

struct boot_initrd {
	char *file;
	char *arguments; /* behind the file's name in a module's string, or NULL */
};

#endif
