/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside vmm/boot: the piece of guest memory with all that a kernel without a place of its own for it is told. It
 * lies where the kernel leaves room: in low memory if it can, as other loaders have it.
 */
#ifndef VMM_BOOT_AREA_H
#define VMM_BOOT_AREA_H

#include <stddef.h>
#include <stdint.h>

struct boot_room;
struct ram;

struct boot_area {
	uint8_t *host;
	uint64_t address; /* GPA, below 4 GiB */
	size_t size, used;
};

/* Take room for `size` bytes, all zero. -EFBIG (logged): there is none. */
int area_init(struct boot_area *area, const struct ram *ram, struct boot_room *room, size_t size);

/*
 * What an item of this size takes, and the next one: where it is, and its GPA. The sum of all was given to
 * area_init().
 */
size_t area_item_size(size_t size);
void *area_add(struct boot_area *area, size_t size, uint64_t *address);

/* "FIRST SECOND"; either may be empty, and then there is no space. */
size_t area_words_size(const char *first, const char *second);
uint64_t area_add_words(struct boot_area *area, const char *first, const char *second);

#endif
