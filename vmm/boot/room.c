/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/room.h"

#include <assert.h>

#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

#define PAGE_SIZE 4096ull

void room_init(struct boot_room *room, const struct ram *ram)
{
	const uint64_t end = LAYOUT_HIGH_RAM + ram->high_size;

	room->count = 0;
	room_take(room, LAYOUT_EBDA, LAYOUT_LOW_END - LAYOUT_EBDA);
	room_take(room, ram->low_size, LAYOUT_HIGH_RAM - ram->low_size);
	room_take(room, end, UINT64_MAX - end);
}

void room_take(struct boot_room *room, uint64_t address, uint64_t size)
{
	if (!size)
		return;
	assert(room->count < ROOM_TAKEN_MAX);
	room->taken[room->count].first = address;
	room->taken[room->count].last = address + (size - 1);
	room->count++;
}

/* The index of something that lies in first..last, or -1. */
static int room_find(const struct boot_room *room, uint64_t first, uint64_t last)
{
	for (unsigned i = 0; i < room->count; i++)
		if (room->taken[i].first <= last && room->taken[i].last >= first)
			return (int)i;
	return -1;
}

/* Each step passes one of the taken ranges, so it ends. */
bool room_lowest(const struct boot_room *room, uint64_t first, uint64_t last, uint64_t size, uint64_t *address)
{
	while (first <= UINT64_MAX - (PAGE_SIZE - 1)) {
		const uint64_t at = (first + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
		int taken;

		if (at > last || size - 1 > last - at)
			return false;
		taken = room_find(room, at, at + (size - 1));
		if (taken < 0) {
			*address = at;
			return true;
		}
		if (room->taken[taken].last == UINT64_MAX)
			return false;
		first = room->taken[taken].last + 1;
	}
	return false;
}

bool room_highest(const struct boot_room *room, uint64_t first, uint64_t last, uint64_t size, uint64_t *address)
{
	while (size - 1 <= last) {
		const uint64_t at = (last - (size - 1)) / PAGE_SIZE * PAGE_SIZE;
		int taken;

		if (at < first)
			return false;
		taken = room_find(room, at, at + (size - 1));
		if (taken < 0) {
			*address = at;
			return true;
		}
		if (!room->taken[taken].first)
			return false;
		last = room->taken[taken].first - 1;
	}
	return false;
}
