/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory: one shared memfd, low RAM from 0 to LAYOUT_LOW_RAM_MAX, the rest from 4 GiB on. It outlives a reboot.
 */
#ifndef VMM_RAM_H
#define VMM_RAM_H

#include <stdint.h>

struct ram {
	int fd;
	uint8_t *base;
	uint64_t size;
	uint64_t low_size, high_size; /* high_size is 0 without memory above 4 GiB */
};

int ram_init(struct ram *ram, uint64_t size);
void ram_fini(struct ram *ram);

/* Host address of [gpa, gpa + len), or NULL where that is not RAM in one piece. For boot code, not for devices. */
void *ram_at(const struct ram *ram, uint64_t gpa, uint64_t len);

#endif
