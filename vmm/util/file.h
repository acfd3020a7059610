/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that options name: opened without waiting, and only where they are of a kind that can be used. */
#ifndef VMM_FILE_H
#define VMM_FILE_H

#include <sys/types.h>

enum file_kinds {
	FILE_REGULAR = 1, /* but none that the kernel makes up as it is read, in /proc and the like */
	FILE_BLOCK = 2,
	FILE_STREAM = 4, /* a terminal, /dev/null or /dev/full, or a FIFO; for writing, one that has a reader */
};

/*
 * open(), and with O_NONBLOCK set. Returns the file descriptor, or -errno; -EMEDIUMTYPE: a file of another kind, which
 * was not opened; -ENXIO: a FIFO that nobody reads; -ENOTTY: a character device with nothing behind it.
 */
int file_open(const char *path, int flags, mode_t mode, unsigned kinds);

/* The same, and a file that is not there is made: then *made is its name without links, for free(), else NULL. */
int file_open_or_make(const char *path, int flags, mode_t mode, unsigned kinds, char **made);

/* The error of file_open() in words. */
const char *file_error(int error);

#endif
