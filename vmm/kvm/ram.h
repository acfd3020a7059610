/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory: one shared file (a memfd where nothing else is asked for), low RAM from 0 to LAYOUT_LOW_RAM_MAX, the
 * rest from 4 GiB on. It outlives a reboot.
 */
#ifndef VMM_RAM_H
#define VMM_RAM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config/memory.h"

struct ram {
	int fd;
	uint8_t *base;
	uint64_t size;
	uint64_t low_size, high_size; /* high_size is 0 without memory above 4 GiB */
	char *made;                   /* a file that ram_init_config() made and ram_fini() is to remove, or NULL */
	bool grown;                   /* a file that was there, and that ram_fini() is to cut back to ... */
	int64_t old_size;             /* ... this size */
};

/* Memory that appears as it is touched. One line is logged on an error. */
int ram_init(struct ram *ram, uint64_t size);

/*
 * Memory as --memory says. Huge pages and files are allocated whole, here: where there is not enough, this is an error
 * in one line, and no access can meet SIGBUS later (but for a file that somebody else cuts short, or punches a huge
 * page out of).
 */
int ram_init_config(struct ram *ram, const struct ram_config *config);

/* A guest is about to run: a file that was made for it, or grew for it, stays as it is. */
void ram_keep(struct ram *ram);

void ram_fini(struct ram *ram);

/* Map `size` bytes of a file as guest memory; the file is ram's from now on. -errno after ram_fini(), not logged. */
int ram_map(struct ram *ram, int fd, uint64_t size, int flags);

/*
 * Fix the size of a memfd for good: back ends get its descriptor, and one that cut it short would end us (SIGBUS).
 * -errno, not logged. With a file of the user's that cannot be done.
 */
int ram_seal(int fd);

/* Host address of [gpa, gpa + len), or NULL where that is not RAM in one piece. For boot code, not for devices. */
void *ram_at(const struct ram *ram, uint64_t gpa, uint64_t len);

#endif
