/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: files that go into guest memory. Each error is logged in one line that names the file. */
#ifndef VMM_BOOT_FILE_H
#define VMM_BOOT_FILE_H

#include <stddef.h>
#include <stdint.h>

struct boot_file {
	const char *path;
	int fd;
	uint64_t size;
};

/* Regular files only: their size is known. Errors: -errno, -EINVAL. */
int boot_file_open(struct boot_file *file, const char *path);
void boot_file_close(struct boot_file *file);

/* All of it, or an error: -errno, -ENOEXEC (the file ends before). */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, size_t len);

/* Log that the file is no kernel for us, and why. Returns -ENOEXEC. */
int boot_file_refuse(const struct boot_file *file, const char *why);

/* In whole MiB, rounded up. */
unsigned long long boot_file_mib(uint64_t size);

/* Log that size bytes at this address are more than the guest has, or can have. Returns -EFBIG. */
int boot_file_too_big(const struct boot_file *file, uint64_t address, uint64_t size);

#endif
