/* SPDX-License-Identifier: BSD-2-Clause */
/* The two shared files, as their writer makes them. */
#ifndef LIB_VHOST_USER_TABLE_FILES_H
#define LIB_VHOST_USER_TABLE_FILES_H

#include <stdbool.h>
#include <stdint.h>

struct shared_file {
	int fd;
	void *at;
	uint64_t bytes;
};

/*
 * A new file of zeroes, mapped for us, which never changes its size. -errno.
 * @ours: nobody else can write it, or map it to write
 */
int shared_file_create(const char *name, uint64_t bytes, bool ours, struct shared_file *out);
void shared_file_destroy(struct shared_file *file);

#endif
