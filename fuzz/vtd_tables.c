/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/vtd_tables.h"

enum { PAGE = 4096 };

#define INTERRUPTS 0xfee00000ull

/* Something that is present and points to a table or to data, more often than not. */
uint64_t vtd_draw_entry(struct tape *tape)
{
	const uint8_t kind = tape_u8(tape), page = tape_u8(tape);
	const uint64_t table = (1ull + page % WORLD_TABLES) * PAGE, data = page % (WORLD_RAM / PAGE) * (uint64_t)PAGE;

	if (kind < 100)
		return table | (kind & 7);
	if (kind < 150)
		return data | (kind & 7) | (kind & 8 ? 0x80 : 0);
	if (kind < 170) /* the second word of a context entry */
		return (uint64_t)page << 8 | (kind & 3);
	if (kind < 200) /* a PASID's first */
		return table | (uint64_t)(kind & 7) << 6 | 2 << 2 | 1;
	return kind < 225 ? 0 : tape_u64(tape);
}

/* Entries where walks come by: the devices' own, and the first ones of each table. */
uint64_t vtd_draw_place(struct tape *tape, bool scalable)
{
	const uint8_t page = tape_u8(tape), slot = tape_u8(tape);
	const uint64_t table = (1ull + page % WORLD_TABLES) * PAGE;
	const uint16_t source = world_sources[slot & 1];

	if (slot < 64)
		return table + (source & (scalable ? 0x7f : 0xff)) * (scalable ? 32ull : 16ull) + (slot & 0x18);
	return table + (slot < 192 ? slot & 15 : slot * 2ull) * 8;
}

/* A way from the root to data, each step at the place where the devices look. */
void vtd_lay_path(struct tape *tape, bool scalable)
{
	const unsigned aw = 1 + tape_below(tape, 3), type = tape_below(tape, 5), did = tape_below(tape, 4);

	world_put(PAGE, 2 * PAGE | 1);
	world_put(PAGE + 8, scalable ? 2 * PAGE | 1 : 0);
	for (unsigned i = 0; i < WORLD_DEVICES; i++) {
		const uint16_t source = world_sources[i];

		if (scalable) {
			world_put(2 * PAGE + (source & 0x7f) * 32, 3 * PAGE | 1);
		} else {
			world_put(2 * PAGE + (source & 0xff) * 16, 5 * PAGE | (type & 3) << 2 | 1);
			world_put(2 * PAGE + (source & 0xff) * 16 + 8, did << 8 | aw);
		}
	}
	if (scalable) {
		world_put(3 * PAGE, 4 * PAGE | 1);
		world_put(4 * PAGE, 5 * PAGE | type << 6 | aw << 2 | 1);
		world_put(4 * PAGE + 8, did);
		world_put(4 * PAGE + 16, 5 * PAGE);
	}
	/* To the first page, and to where interrupts have their addresses. */
	const unsigned levels = scalable && type == 1 ? 4 : aw + 2;

	for (unsigned i = 0; i < 5; i++) {
		const unsigned shift = 12 + 9 * (i < levels ? levels - 1 - i : 0);

		world_put((5 + i) * PAGE + (INTERRUPTS >> shift & 511) * 8, (6 + i) * PAGE | 7);
		world_put((5 + i) * PAGE, (6 + i) * PAGE | 7);
	}
}

uint64_t vtd_draw_iova(struct tape *tape)
{
	const uint8_t kind = tape_u8(tape), page = tape_u8(tape);

	if (kind >= 240)
		return tape_u64(tape);
	if (kind >= 224)
		return INTERRUPTS + (page & 3) * (uint64_t)PAGE;
	return (page & 15) * (uint64_t)PAGE + ((uint64_t)(kind & 3) << (12 + 9 * (1 + page % 4))) + (kind & 0x78);
}
