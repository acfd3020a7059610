/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside vmm/boot: which guest memory is still free while a guest is prepared. Ranges are closed, first..last; places
 * are on page boundaries.
 */
#ifndef VMM_BOOT_ROOM_H
#define VMM_BOOT_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct ram;

/* Enough for the segments of an ELF file, all modules, and the holes in RAM. */
enum { ROOM_TAKEN_MAX = 128 };

struct boot_room {
	struct {
		uint64_t first, last;
	} taken[ROOM_TAKEN_MAX];
	unsigned count;
};

/* All RAM is free, but what firmware keeps between the EBDA and 1 MiB. */
void room_init(struct boot_room *room, const struct ram *ram);

/* `size` bytes from this address on, which do not wrap, are taken. Size 0: nothing. */
void room_take(struct boot_room *room, uint64_t address, uint64_t size);

/* The lowest, or the highest, place in first..last where `size` bytes (not 0) are free. false: there is none. */
bool room_lowest(const struct boot_room *room, uint64_t first, uint64_t last, uint64_t size, uint64_t *address);
bool room_highest(const struct boot_room *room, uint64_t first, uint64_t last, uint64_t size, uint64_t *address);

#endif
