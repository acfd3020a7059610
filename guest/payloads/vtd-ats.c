/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device with ATS (edu,ats=on) behind a VT-d unit with device TLBs: what is only there with ECAP.DT, and
 * invalidations of device TLBs (6.5.2.5, 6.5.2.6), in legacy or, where the unit has it, scalable mode.
 */
#include "dma.h"
#include "payload.h"
#include "pci.h"
#include "vtd.h"

enum { DID = 5, PASID = 70, TT_ALL = 1 << 2, DTE = 1 << 2, EXTENDED = 0x100, CAP_ATS = 0x0f, ATS_ENABLE = 1 << 15 };

#define AT 0x40002000ull
#define SS_TM BIT64(62)

static bool scalable;

/* The extended capability; 0: there is none. */
static uint32_t find_ats(unsigned slot)
{
	unsigned at = EXTENDED;

	while (at && (uint16_t)read32(ecam(slot) + at) != CAP_ATS)
		at = read32(ecam(slot) + at) >> 20;
	return at ? ecam(slot) + at : 0;
}

static void set_legacy(const struct space *space)
{
	vtd_context(VTD_SOURCE)[1] = DID << 8 | (space->levels - 2);
	*vtd_context(VTD_SOURCE) = (uint32_t)space->top | TT_ALL | ENTRY_P;
}

static void set_scalable(const struct space *space)
{
	uint64_t *context = vtd_scalable_context(VTD_SOURCE), *pasid = vtd_pasid(PASID);

	pasid[1] = DID;
	pasid[0] = (uint32_t)space->top | PGTT_SECOND | (space->levels - 2) << 2 | ENTRY_P;
	context[1] = PASID;
	context[0] = (uint32_t)vtd_directory | DTE | ENTRY_P;
}

/* As software does it: the IOTLB first. S and the ones from bit 12 up say how many pages, of eight KiB and more. */
static bool invalidate(unsigned type, uint64_t address, bool sized)
{
	const uint64_t source =
		type == DESC_DEVICE_TLB ? (uint64_t)VTD_SOURCE << 32 : VTD_SOURCE << 16 | (uint64_t)PASID << 32;
	const unsigned s = type == DESC_DEVICE_TLB ? 1 : 1 << 11;

	queue_put(iotlb_desc(DOMAIN, DID), 0);
	queue_put(type | source, address | (sized ? s : 0));
	return queue_finish();
}

static void check_moves(const char *name, uint64_t *leaf, unsigned type, uint64_t address, bool sized)
{
	volatile uint64_t *page = vtd_page();

	*leaf = (uint32_t)page | SS_R | SS_W;
	check(name, invalidate(type, address, sized) && dma_lands(AT, page));
}

static void check_invalidations(uint64_t *leaf)
{
	check_moves("device TLB, a page", leaf, DESC_DEVICE_TLB, AT, false);
	check_moves("device TLB, sixteen KiB", leaf, DESC_DEVICE_TLB, (AT & ~0x3fffull) | 0x1000, true);
	check_moves("device TLB, everything", leaf, DESC_DEVICE_TLB, ~0xfffull, true);
	if (!scalable)
		return;
	check_moves("PASID device TLB, a page", leaf, DESC_PASID_DEVICE_TLB, AT, false);
	check_moves("PASID device TLB, sixteen KiB", leaf, DESC_PASID_DEVICE_TLB, (AT & ~0x3fffull) | 0x1000, true);
}

static void check_unmapped(uint64_t *leaf)
{
	volatile uint64_t *page = vtd_page();

	*leaf = (uint32_t)page | SS_R | SS_W | SS_TM;
	check("TM is allowed", invalidate(DESC_DEVICE_TLB, AT, false) && dma_lands(AT, page));
	*leaf = 0;
	check("unmapped, and both invalidated", invalidate(DESC_DEVICE_TLB, AT, false));
	check("not written any more", !dma_lands(AT, page));
	check_equal("and a fault", fault_take().reason, scalable ? 0x79 : 0x5);
}

static void check_wrong(void)
{
	const uint32_t at = queue_next();

	queue_put(DESC_DEVICE_TLB | (uint64_t)VTD_SOURCE << 32, 1 << 1);
	queue_kick();
	check("a reserved bit: IQE", vtd_wait(VTD_FSTS, FSTS_IQE, FSTS_IQE));
	queue_at(at)[1] = 0;
	vtd_put(VTD_FSTS, FSTS_IQE);
	check("and the queue goes on", queue_finish());
}

static void use_tables(const struct space *space)
{
	vtd_make_tables();
	if (scalable)
		set_scalable(space);
	else
		set_legacy(space);
	check("queue on", queue_start());
	check("root table", vtd_set_root((uint32_t)vtd_root | (scalable ? RTADDR_SCALABLE : 0)));
	check("everything is flushed", queue_flush_all());
	check("translation on", vtd_switch(CMD_TE, true));
}

void payload(void)
{
	const uint32_t ats = find_ats(VTD_SLOT);

	if (!check("DMAR names the unit of the device", vtd_find(VTD_SOURCE)) ||
	    !check("edu is at its slot", dma_open(VTD_SLOT)) || !check("it has the ATS capability", ats != 0))
		return;
	scalable = vtd_ecap & ECAP_SMTS;
	check("the unit knows device TLBs", vtd_ecap & ECAP_DT);
	write16(ats + 6, ATS_ENABLE);
	check_equal("ATS on", read16(ats + 6), ATS_ENABLE);
	const struct space space = second_stage(vtd_levels());
	uint64_t *leaf = space_entry(&space, AT, 1);

	use_tables(&space);
	check_invalidations(leaf);
	check_unmapped(leaf);
	check_wrong();
}
