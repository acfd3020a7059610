/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/device/serial_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/util/file.h"
#include "vmm/util/log.h"

enum { FLAGS = O_WRONLY | O_APPEND, MODE = 0644, KINDS = FILE_REGULAR | FILE_STREAM };

int serial_file_open(struct serial_file *file, const char *path)
{
	const int fd = file_open_or_make(path, FLAGS, MODE, KINDS, &file->made);

	file->fd = fd;
	if (fd >= 0)
		return 0;
	if (fd == -EMEDIUMTYPE)
		vmm_log("--serial: %s: a regular file, a terminal or a FIFO is wanted", path);
	else if (fd == -ENXIO)
		vmm_log("--serial: %s: nobody reads from it; start who reads first: cat %s", path, path);
	else
		vmm_log("--serial: %s: %s", path, file_error(fd));
	return fd;
}

void serial_file_keep(struct serial_file *file)
{
	free(file->made);
	file->made = NULL;
}

void serial_file_close(struct serial_file *file)
{
	if (file->made)
		unlink(file->made);
	free(file->made);
	if (file->fd >= 0)
		close(file->fd);
	*file = (struct serial_file){.fd = -1};
}
