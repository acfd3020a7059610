/* SPDX-License-Identifier: BSD-2-Clause */
/* Each fault of scalable mode that tables can bring about (VT-d 7.1.3). */
#include "dma.h"
#include "payload.h"
#include "vtd-fault.h"
#include "vtd.h"

enum { DID = 5, PASID = 70, PDTS_SHIFT = 9 };

/* How many entries with FPD a fault comes behind. */
enum { UNQUALIFIED = 0, BEHIND_CONTEXT = 1, BEHIND_DIRECTORY = 2, BEHIND_PASID = 3 };

#define AT 0x40000000ull
#define ABSENT (AT + 0x5000)
#define BEYOND_HOST BIT64(46)
#define INTERRUPTS 0xfee00000u
#define CHECK(where, cases) fault_check(where, cases, sizeof(cases) / sizeof((cases)[0]), &silencers)

static struct space space;
static struct silencers silencers;

static void set_up(void)
{
	vtd_make_tables();
	uint64_t *context = vtd_scalable_context(VTD_SOURCE);

	context[1] = PASID;
	context[0] = (uint32_t)vtd_directory | ENTRY_P;
	silencers = (struct silencers){{context, vtd_directory + PASID / 64, vtd_pasid(PASID)}, 3};
	queue_start();
	vtd_set_root((uint32_t)vtd_root | RTADDR_SCALABLE);
	queue_flush_all();
	vtd_switch(CMD_TE, true);
}

static void use_second_stage(void)
{
	uint64_t *pasid = vtd_pasid(PASID);

	space = second_stage(vtd_levels());
	*space_entry(&space, AT, 1) = (uint32_t)vtd_page() | space.link;
	pasid[1] = DID;
	pasid[2] = 0;
	pasid[0] = (uint32_t)space.top | PGTT_SECOND | (space.levels - 2) << 2 | ENTRY_P;
}

static void use_first_stage(void)
{
	uint64_t *pasid = vtd_pasid(PASID);

	space = first_stage(vtd_levels());
	*space_entry(&space, AT, 1) = (uint32_t)vtd_page() | space.link;
	pasid[2] = (uint32_t)space.top | (space.levels - 4) << 2;
	pasid[0] = PGTT_FIRST | ENTRY_P;
}

static void check_in_order(const char *name)
{
	queue_flush_all();
	dma_write(AT);
	check_equal(name, fault_take().reason, 0);
}

static void check_context(void)
{
	uint64_t *root = vtd_root, *context = vtd_scalable_context(VTD_SOURCE);
	const uint64_t good_root = (uint32_t)vtd_root | RTADDR_SCALABLE;
	const struct fault_case cases[] = {
		{"0x39 root entry not present", root, 0, AT, 0x39, true, UNQUALIFIED},
		{"0x3a root entry", root, *root | 1 << 4, AT, 0x3a, true, UNQUALIFIED},
		{"0x3a root entry, host width", root, *root | BEYOND_HOST, AT, 0x3a, true, UNQUALIFIED},
		{"0x40 no memory for the context table", root, NOWHERE | ENTRY_P, AT, 0x40, true, UNQUALIFIED},
		{"0x41 context entry not present", context, *context & ~1ull, AT, 0x41, true, BEHIND_CONTEXT},
		{"0x42 context entry", context, *context | 1 << 5, AT, 0x42, true, UNQUALIFIED},
		{"0x42 context entry, PASIDE is not offered", context, *context | 1 << 3, AT, 0x42, true, UNQUALIFIED},
		{"0x42 context entry, DTE without device TLBs", context, *context | 1 << 2, AT, 0x42, true,
		 UNQUALIFIED},
		{"0x42 context entry, word 1", context + 1, BIT64(21) | PASID, AT, 0x42, true, UNQUALIFIED},
		{"0x42 context entry, word 2", context + 2, 1, AT, 0x42, true, UNQUALIFIED},
		{"0x42 context entry, word 3", context + 3, 1, AT, 0x42, true, UNQUALIFIED},
		{"0x48 RID_PASID beyond the directory", context + 1, 128 * 64, AT, 0x48, true, BEHIND_CONTEXT},
	};

	CHECK("contexts", cases);
	fault_check_root("contexts", "0x38 no memory for the root table", NOWHERE | RTADDR_SCALABLE, good_root, 0x38);
	fault_check_root("contexts", "0x30 root table beyond the host width", BEYOND_HOST | RTADDR_SCALABLE, good_root,
			 0x30);
	fault_check_root("contexts", "0x30 no such table type", (uint32_t)vtd_root | 2 << 10, good_root, 0x30);
}

static void check_pasid(void)
{
	uint64_t *directory = vtd_directory + PASID / 64, *pasid = vtd_pasid(PASID);
	const uint64_t good = *pasid, nested = (good & ~0x1c0ull) | 3 << 6, none = good & ~0x1c0ull;
	uint64_t *context = vtd_scalable_context(VTD_SOURCE);
	const struct fault_case cases[] = {
		{"0x50 no memory for the directory", context, NOWHERE | ENTRY_P, AT, 0x50, true, UNQUALIFIED},
		{"0x51 directory entry not present", directory, 0, AT, 0x51, true, BEHIND_DIRECTORY},
		{"0x52 directory entry", directory, *directory | 1 << 4, AT, 0x52, true, UNQUALIFIED},
		{"0x52 directory entry, host width", directory, *directory | BEYOND_HOST, AT, 0x52, true, UNQUALIFIED},
		{"0x58 no memory for the PASID table", directory, NOWHERE | ENTRY_P, AT, 0x58, true, UNQUALIFIED},
		{"0x59 PASID entry not present", pasid, good & ~1ull, AT, 0x59, true, BEHIND_PASID},
		{"0x5a PASID entry, word 0", pasid, good | 1 << 10, AT, 0x5a, true, UNQUALIFIED},
		{"0x5a PASID entry, word 1", pasid + 1, DID | 1 << 16, AT, 0x5a, true, UNQUALIFIED},
		{"0x5a PASID entry, word 2", pasid + 2, 1 << 8, AT, 0x5a, true, UNQUALIFIED},
		{"0x5a PASID entry, word 7", pasid + 7, 1, AT, 0x5a, true, UNQUALIFIED},
		{"0x5b nested translation is not offered", pasid, nested, AT, 0x5b, true, BEHIND_PASID},
		{"0x5b translation type 0", pasid, none, AT, 0x5b, true, BEHIND_PASID},
		{"0x5b no such width", pasid, good | 7 << 2, AT, 0x5b, true, BEHIND_PASID},
	};

	CHECK("PASIDs", cases);
}

static void check_second_stage(void)
{
	uint64_t *leaf = space_entry(&space, AT, 1), *above = space_entry(&space, AT, 2), *pasid = vtd_pasid(PASID);
	const uint64_t beyond = 1ull << (12 + 9 * space.levels), no_top = (*pasid & 0xfff) | NOWHERE;
	const struct fault_case cases[] = {
		{"0x78 no memory for a table", above, NOWHERE | space.link, AT, 0x78, true, BEHIND_PASID},
		{"0x79 write, not mapped", NULL, 0, ABSENT, 0x79, true, BEHIND_PASID},
		{"0x79 read, not mapped", NULL, 0, ABSENT, 0x79, false, BEHIND_PASID},
		{"0x79 write, only reads are allowed", leaf, *leaf & ~(uint64_t)SS_W, AT, 0x79, true, BEHIND_PASID},
		{"0x7a leaf", leaf, *leaf | BEYOND_HOST, AT, 0x7a, true, BEHIND_PASID},
		{"0x7a table", above, *above | SS_SNP, AT, 0x7a, true, BEHIND_PASID},
		{"0x7b no memory for the top table", pasid, no_top, AT, 0x7b, true, BEHIND_PASID},
		{"0x84 beyond the width", NULL, 0, beyond, 0x84, true, BEHIND_PASID},
		{"0x87 to the interrupt range", leaf, INTERRUPTS | space.link, AT, 0x87, true, BEHIND_PASID},
	};

	CHECK("second stage", cases);
}

static void check_first_stage(void)
{
	uint64_t *leaf = space_entry(&space, AT, 1), *above = space_entry(&space, AT, 2), *pasid = vtd_pasid(PASID);
	const uint64_t hole = 1ull << (11 + 9 * space.levels);
	const struct fault_case cases[] = {
		{"0x70 no memory for a table", above, NOWHERE | space.link, AT, 0x70, true, BEHIND_PASID},
		{"0x71 write, not mapped", NULL, 0, ABSENT, 0x71, true, BEHIND_PASID},
		{"0x71 read, not mapped", NULL, 0, ABSENT, 0x71, false, BEHIND_PASID},
		{"0x72 leaf", leaf, *leaf | BEYOND_HOST, AT, 0x72, true, BEHIND_PASID},
		{"0x72 large page, not aligned", above, 0x4000 | PT_PS | space.link, AT, 0x72, true, BEHIND_PASID},
		{"0x73 no memory for the top table", pasid + 2, (pasid[2] & 0xfff) | NOWHERE, AT, 0x73, true,
		 BEHIND_PASID},
		{"0x80 not canonical", NULL, 0, hole, 0x80, true, BEHIND_PASID},
		{"0x81 the supervisor's page", leaf, *leaf & ~(uint64_t)FS_US, AT, 0x81, true, BEHIND_PASID},
		{"0x81 the supervisor's table", above, *above & ~(uint64_t)FS_US, AT, 0x81, false, BEHIND_PASID},
		{"0x85 write, only reads are allowed", leaf, *leaf & ~(uint64_t)FS_RW, AT, 0x85, true, BEHIND_PASID},
		{"0x87 to the interrupt range", leaf, INTERRUPTS | space.link, AT, 0x87, true, BEHIND_PASID},
	};

	CHECK("first stage", cases);
}

static void check_pass_through(void)
{
	const uint64_t beyond = 1ull << (12 + 9 * vtd_levels());
	const struct fault_case cases[] = {
		{"0x83 beyond the width", NULL, 0, beyond, 0x83, true, BEHIND_PASID},
	};

	vtd_pasid(PASID)[2] = 0;
	vtd_pasid(PASID)[0] = PGTT_PASS_THROUGH | ENTRY_P;
	CHECK("pass-through", cases);
}

void payload(void)
{
	if (!check("DMAR names the unit of the device", vtd_find(VTD_SOURCE)) ||
	    !check("edu is at its slot", dma_open(VTD_SLOT)))
		return;
	set_up();
	use_second_stage();
	check_in_order("no fault while the second stage is in order");
	check_context();
	check_pasid();
	check_second_stage();
	use_first_stage();
	check_in_order("no fault while the first stage is in order");
	check_first_stage();
	check_pass_through();
}
