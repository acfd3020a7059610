/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/area.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/boot/room.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"
#include "vmm/util/log.h"

enum { ALIGN = 8 };

#define LOWEST 0x1000ull /* page 0 is for what real mode has there, and null pointers */

int area_init(struct boot_area *area, const struct ram *ram, struct boot_room *room, size_t size)
{
	*area = (struct boot_area){.size = size};
	if (room_lowest(room, LAYOUT_BOOT_PARAMS, LAYOUT_EBDA - 1, size, &area->address) ||
	    room_lowest(room, LOWEST, LAYOUT_EBDA - 1, size, &area->address) ||
	    room_highest(room, LAYOUT_LOW_END, UINT32_MAX, size, &area->address))
		area->host = ram_at(ram, area->address, size);
	if (!area->host) {
		vmm_log("the kernel leaves no room for %zu KiB of boot information: give the guest more memory",
			size / 1024 + 1);
		return -EFBIG;
	}
	room_take(room, area->address, size);
	memset(area->host, 0, size);
	return 0;
}

size_t area_item_size(size_t size)
{
	return (size + ALIGN - 1) / ALIGN * ALIGN;
}

void *area_add(struct boot_area *area, size_t size, uint64_t *address)
{
	const size_t at = area->used;

	area->used += area_item_size(size);
	assert(area->used <= area->size);
	*address = area->address + at;
	return area->host + at;
}

size_t area_words_size(const char *first, const char *second)
{
	return area_item_size(strlen(first) + 1 + strlen(second) + 1);
}

uint64_t area_add_words(struct boot_area *area, const char *first, const char *second)
{
	const size_t size = strlen(first) + 1 + strlen(second) + 1;
	uint64_t address;
	char *text = area_add(area, size, &address);

	snprintf(text, size, "%s%s%s", first, *first && *second ? " " : "", second);
	return address;
}
