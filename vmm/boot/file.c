/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/layout/layout.h"
#include "vmm/util/file.h"
#include "vmm/util/log.h"

int boot_file_open(struct boot_file *file, const char *path)
{
	struct stat status;
	int error;

	file->path = path;
	file->fd = file_open(path, O_RDONLY, 0, FILE_REGULAR);
	if (file->fd == -EMEDIUMTYPE) {
		vmm_log("%s is not a regular file, or one of the kernel's own", path);
		return -EINVAL;
	}
	if (file->fd < 0 || fstat(file->fd, &status)) {
		error = file->fd < 0 ? -file->fd : errno;
		vmm_log("cannot open %s: %s", path, strerror(error));
		boot_file_close(file);
		return -error;
	}
	file->size = (uint64_t)status.st_size;
	return 0;
}

void boot_file_close(struct boot_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const ssize_t got = pread(file->fd, (char *)buffer + done, len - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			const int error = errno;

			vmm_log("cannot read %s: %s", file->path, strerror(error));
			return -error;
		}
		if (!got) {
			vmm_log("%s ends too early: is it cut off?", file->path);
			return -ENOEXEC;
		}
		done += (size_t)got;
	}
	return 0;
}

int boot_file_refuse(const struct boot_file *file, const char *why)
{
	vmm_log("%s cannot be booted: %s", file->path, why);
	return -ENOEXEC;
}

unsigned long long boot_file_mib(uint64_t size)
{
	return (size >> 20) + (size % (1 << 20) != 0);
}

int boot_file_too_big(const struct boot_file *file, uint64_t address, uint64_t size)
{
	const unsigned long long mib = boot_file_mib(size), at = address, end = LAYOUT_LOW_RAM_MAX;

	if (address >= end || size > end - address)
		vmm_log("%s does not fit: it needs %llu MiB at 0x%llx, and kernels lie below 0x%llx", file->path, mib,
			at, end);
	else
		vmm_log("%s does not fit: it needs %llu MiB at 0x%llx, give the guest more memory", file->path, mib,
			at);
	return -EFBIG;
}
