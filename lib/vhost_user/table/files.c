/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/table/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

/* The seal against writers spares the mapping that is there already, which is ours. */
static int map_and_seal(struct shared_file *file, bool ours)
{
	file->at = mmap(NULL, file->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (file->at == MAP_FAILED)
		return -errno;
	if (fcntl(file->fd, F_ADD_SEALS, SEALS | (ours ? F_SEAL_FUTURE_WRITE : 0))) {
		int err = -errno;

		munmap(file->at, file->bytes);
		return err;
	}
	return 0;
}

int shared_file_create(const char *name, uint64_t bytes, bool ours, struct shared_file *out)
{
	*out = (struct shared_file){.bytes = bytes};
	out->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (out->fd < 0)
		return -errno;
	int err = ftruncate(out->fd, (off_t)bytes) ? -errno : map_and_seal(out, ours);

	if (err)
		close(out->fd);
	return err;
}

void shared_file_destroy(struct shared_file *file)
{
	munmap(file->at, file->bytes);
	close(file->fd);
}
