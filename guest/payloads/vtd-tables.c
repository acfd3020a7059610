/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of a VT-d unit in memory (VT-d 9). All of them are below 4 GiB. */
#include "payload.h"
#include "vtd.h"

enum { PAGES = 96, WORDS = 512, SCALABLE_CONTEXT_WORDS = 4, PASID_WORDS = 8 };

static uint64_t pages[PAGES][WORDS] __attribute__((aligned(4096)));
static unsigned used;

uint64_t *vtd_root, *vtd_contexts, *vtd_directory, *vtd_pasids;

uint64_t *vtd_page(void)
{
	if (used == PAGES) {
		print("not ok no page is left\n");
		quit(1);
	}
	return pages[used++];
}

void vtd_make_tables(void)
{
	vtd_root = vtd_page();
	vtd_contexts = vtd_page();
	vtd_directory = vtd_page();
	vtd_pasids = vtd_page();
	vtd_root[0] = (uint32_t)vtd_contexts | ENTRY_P;
	vtd_directory[1] = (uint32_t)vtd_pasids | ENTRY_P;
}

bool vtd_set_root(uint64_t rtaddr)
{
	vtd_put64(VTD_RTADDR, rtaddr);
	return vtd_latch(CMD_SRTP) && vtd_get64(VTD_RTADDR) == rtaddr;
}

uint64_t *vtd_context(uint16_t source)
{
	return vtd_contexts + (source & 0xff) * 2;
}

uint64_t *vtd_scalable_context(uint16_t source)
{
	return vtd_contexts + (source & 0x7f) * SCALABLE_CONTEXT_WORDS;
}

uint64_t *vtd_pasid(uint32_t pasid)
{
	return vtd_pasids + (pasid & 63) * PASID_WORDS;
}

struct space second_stage(unsigned levels)
{
	return (struct space){vtd_page(), levels, SS_R | SS_W};
}

struct space first_stage(unsigned levels)
{
	return (struct space){vtd_page(), levels, FS_P | FS_RW | FS_US};
}

uint64_t *space_entry(const struct space *space, uint64_t iova, unsigned level)
{
	uint64_t *table = space->top;

	for (unsigned at = space->levels;; at--) {
		uint64_t *entry = &table[iova >> (3 + 9 * at) & (WORDS - 1)];

		if (at == level)
			return entry;
		if (!*entry)
			*entry = (uint32_t)vtd_page() | space->link;
		table = (uint64_t *)((uint32_t)*entry & ~0xfffu);
	}
}
