/* SPDX-License-Identifier: BSD-2-Clause */
/* Each fault of legacy mode that tables can bring about (VT-d 7.1.3). */
#include "dma.h"
#include "payload.h"
#include "vtd-fault.h"
#include "vtd.h"

enum { DID = 5 };

#define AT 0x40000000ull
#define ABSENT (AT + 0x5000)
#define BEYOND_HOST BIT64(46)
#define INTERRUPTS 0xfee00000u

static struct space space;

static void set_up(void)
{
	vtd_make_tables();
	space = second_stage(vtd_levels());
	*space_entry(&space, AT, 1) = (uint32_t)vtd_page() | SS_R | SS_W;
	vtd_context(VTD_SOURCE)[1] = DID << 8 | (vtd_levels() - 2);
	*vtd_context(VTD_SOURCE) = (uint32_t)space.top | ENTRY_P;
	vtd_set_root((uint32_t)vtd_root);
	queue_start();
	queue_flush_all();
	vtd_switch(CMD_TE, true);
}

static void check_entries(void)
{
	uint64_t *root = vtd_root, *context = vtd_context(VTD_SOURCE);
	const uint64_t good = *context, width = vtd_levels() - 2;
	const struct silencers silencers = {{context}, 1};
	const struct fault_case cases[] = {
		{"0x1 root entry not present", root, 0, AT, 0x1, true, 0},
		{"0x2 context entry not present", context, good & ~1ull, AT, 0x2, true, 1},
		{"0x3 translation type", context, good | TT_INVALID, AT, 0x3, false, 1},
		{"0x3 translation type for device TLBs without them", context, good | 1 << 2, AT, 0x3, true, 1},
		{"0x3 no such width", context + 1, DID << 8 | 6, AT, 0x3, true, 1},
		{"0x3 width 0", context + 1, DID << 8, AT, 0x3, true, 1},
		{"0x3 no memory for the page table", context, NOWHERE | ENTRY_P, AT, 0x3, false, 1},
		{"0x9 no memory for the context table", root, NOWHERE | ENTRY_P, AT, 0x9, true, 0},
		{"0xa root entry, low word", root, *root | 1 << 4, AT, 0xa, true, 0},
		{"0xa root entry, host width", root, *root | BEYOND_HOST, AT, 0xa, true, 0},
		{"0xa root entry, high word", root + 1, 1, AT, 0xa, false, 0},
		{"0xb context entry, low word", context, good | 1 << 4, AT, 0xb, true, 0},
		{"0xb context entry, host width", context, good | BEYOND_HOST, AT, 0xb, true, 0},
		{"0xb context entry, high word", context + 1, DID << 8 | width | 1 << 7, AT, 0xb, true, 0},
		{"0xb context entry, behind the domain", context + 1, BIT64(24) | width, AT, 0xb, true, 0},
	};

	fault_check("entries", cases, sizeof(cases) / sizeof(cases[0]), &silencers);
	/* Without an invalidation of what was: a root table that is latched is looked at anew. */
	fault_check_root("entries", "0x8 no memory for the root table", NOWHERE, (uint32_t)vtd_root, 0x8);
}

static void check_paging(void)
{
	uint64_t *leaf = space_entry(&space, AT, 1), *above = space_entry(&space, AT, 2);
	uint64_t *top = space_entry(&space, AT, space.levels);
	const uint64_t beyond = 1ull << (3 + 9 * space.levels + 9);
	const struct silencers silencers = {{vtd_context(VTD_SOURCE)}, 1};
	const struct fault_case cases[] = {
		{"0x4 beyond the width, write", NULL, 0, beyond, 0x4, true, 1},
		{"0x4 beyond the width, read", NULL, 0, beyond | AT, 0x4, false, 1},
		{"0x5 write, not mapped", NULL, 0, ABSENT, 0x5, true, 1},
		{"0x5 write, only reads are allowed", leaf, *leaf & ~(uint64_t)SS_W, AT + 8, 0x5, true, 1},
		{"0x5 write, not allowed above", above, *above & ~(uint64_t)SS_W, AT + 8, 0x5, true, 1},
		{"0x6 read, not mapped", NULL, 0, ABSENT, 0x6, false, 1},
		{"0x6 read, only writes are allowed", leaf, *leaf & ~(uint64_t)SS_R, AT, 0x6, false, 1},
		{"0x6 read, no table", top, 0, AT, 0x6, false, 1},
		{"0x7 no memory for a table", above, NOWHERE | SS_R | SS_W, AT, 0x7, true, 1},
		{"0xc leaf, host width", leaf, *leaf | BEYOND_HOST, AT, 0xc, true, 1},
		{"0xc table, host width", above, *above | BEYOND_HOST, AT, 0xc, true, 1},
		{"0xc table, SNP", above, *above | SS_SNP, AT, 0xc, false, 1},
		{"0xc leaf, TM without device TLBs", leaf, *leaf | BIT64(62), AT, 0xc, true, 1},
		{"0xc large page, not aligned", above, 0x1000 | PT_PS | SS_R | SS_W, AT, 0xc, true, 1},
		{"0xe to the interrupt range", leaf, INTERRUPTS | SS_R | SS_W, AT, 0xe, true, 1},
		{"0xc no page is so large", top, *top | PT_PS, AT, 0xc, true, 1},
	};
	const unsigned count = sizeof(cases) / sizeof(cases[0]);

	/* The last one needs a level above 1 GiB. */
	fault_check("paging", cases, space.levels > 3 ? count : count - 1, &silencers);
}

void payload(void)
{
	if (!check("DMAR names the unit of the device", vtd_find(VTD_SOURCE)) ||
	    !check("edu is at its slot", dma_open(VTD_SLOT)))
		return;
	set_up();
	dma_write(AT);
	check_equal("no fault while all is in order", fault_take().reason, 0);
	check_entries();
	check_paging();
}
