/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VT-d unit in scalable mode: edu's DMA by first stage, second stage and pass-through, and the invalidations of
 * PASIDs.
 */
#include "dma.h"
#include "payload.h"
#include "vtd-reach.h"
#include "vtd-stale.h"
#include "vtd.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct stale leaf_cases[] = {
	{"IOTLB, all", BY_IOTLB, true, GLOBAL},
	{"IOTLB, its domain", BY_IOTLB, true, DOMAIN, .did = STALE_DID},
	{"IOTLB, another domain: still the old one", BY_IOTLB, false, DOMAIN, .did = OTHER_DID},
	{"PASID-IOTLB, its PASID", BY_PASID_IOTLB, true, 2, .did = STALE_DID, .pasid = STALE_PASID},
	{"PASID-IOTLB, another PASID: still the old one", BY_PASID_IOTLB, false, 2, .did = STALE_DID,
	 .pasid = OTHER_PASID},
	{"PASID-IOTLB, another domain: still the old one", BY_PASID_IOTLB, false, 2, .did = OTHER_DID,
	 .pasid = STALE_PASID},
	{"PASID-IOTLB, its page", BY_PASID_IOTLB, true, 3, .did = STALE_DID, .pasid = STALE_PASID,
	 .address = STALE_IOVA},
	{"PASID-IOTLB, another page: still the old one", BY_PASID_IOTLB, false, 3, .did = STALE_DID,
	 .pasid = STALE_PASID, .address = STALE_BESIDE},
	{"PASID-IOTLB, four pages with it, only leaves", BY_PASID_IOTLB, true, 3, .did = STALE_DID,
	 .pasid = STALE_PASID, .address = STALE_BLOCK | AM_4 | LEAF_ONLY},
	{"PASID-IOTLB, four pages beside: still the old one", BY_PASID_IOTLB, false, 3, .did = STALE_DID,
	 .pasid = STALE_PASID, .address = STALE_NEXT_BLOCK | AM_4},
};

static const struct stale pasid_cases[] = {
	{"PASID cache, all", BY_PASID_CACHE, true, 3},
	{"PASID cache, its domain", BY_PASID_CACHE, true, 0, .did = STALE_DID},
	{"PASID cache, another domain: still the old one", BY_PASID_CACHE, false, 0, .did = OTHER_DID},
	{"PASID cache, its PASID", BY_PASID_CACHE, true, 1, .did = STALE_DID, .pasid = STALE_PASID},
	{"PASID cache, another PASID: still the old one", BY_PASID_CACHE, false, 1, .did = STALE_DID,
	 .pasid = OTHER_PASID},
};

static const struct stale context_cases[] = {
	{"context, all", BY_CONTEXT, true, GLOBAL},
	{"context, its device", BY_CONTEXT, true, DEVICE, .source = VTD_SOURCE},
	{"context, another device: still the old one", BY_CONTEXT, false, DEVICE, .source = VTD_SOURCE + 8},
};

/* Which word of a PASID entry points to the tables. */
struct stage {
	const char *name;
	struct space (*make)(unsigned levels);
	unsigned word;
};

static void set_pasid(uint32_t pasid, const struct stage *stage, const struct space *space)
{
	uint64_t *entry = vtd_pasid(pasid);
	const bool first = stage->word == 2;

	entry[1] = STALE_DID;
	entry[2] = 0;
	entry[0] = ENTRY_P | (first ? PGTT_FIRST : PGTT_SECOND | (space->levels - 2) << 2);
	entry[stage->word] |= (uint32_t)space->top | (first ? (space->levels - 4) << 2 : 0);
}

static void check_stale(const struct stage *stage, const struct space *space)
{
	const struct space other = stage->make(space->levels);
	volatile uint64_t *first = vtd_page(), *second = vtd_page();
	uint64_t *word = vtd_pasid(STALE_PASID) + stage->word, *leaf = space_entry(space, STALE_IOVA, 1);
	const uint64_t before = (uint32_t)first | space->link, after = (uint32_t)second | space->link;

	stale_check(stage->name, leaf_cases, COUNT(leaf_cases), &(struct change){leaf, before, after, first, second});
	*space_entry(&other, STALE_IOVA, 1) = after;
	stale_check(stage->name, pasid_cases, COUNT(pasid_cases),
		    &(struct change){word, *word, (*word & 0xfff) | (uint32_t)other.top, first, second});
	set_pasid(OTHER_PASID, stage, &other);
	stale_check(stage->name, context_cases, COUNT(context_cases),
		    &(struct change){vtd_scalable_context(VTD_SOURCE) + 1, STALE_PASID, OTHER_PASID, first, second});
}

/* Walks leave their marks: A in every entry, D in the leaf of a write. */
static void check_marks(const struct space *space)
{
	volatile uint64_t *page = vtd_page();
	const uint64_t at = STALE_NEXT_BLOCK;
	uint64_t *leaf = space_entry(space, at, 1), *above = space_entry(space, at, 2);

	*leaf = (uint32_t)page | space->link;
	*above &= ~(uint64_t)FS_A;
	queue_flush_all();
	dma_read(at);
	check_equal("first stage: a read marks the leaf as accessed", (uint32_t)*leaf & (FS_A | FS_D), FS_A);
	check_equal("and what is above it", (uint32_t)*above & (FS_A | FS_D), FS_A);
	dma_write(at);
	check_equal("first stage: a write marks the leaf as dirty", (uint32_t)*leaf & (FS_A | FS_D), FS_A | FS_D);
	*leaf |= BIT64(63);
	queue_flush_all();
	check("no execution: read and written all the same", dma_lands(at, page));
}

static void check_stage(const struct stage *stage, unsigned levels)
{
	const struct space space = stage->make(levels);

	set_pasid(STALE_PASID, stage, &space);
	queue_flush_all();
	reach_check(stage->name, &space);
	check_stale(stage, &space);
	if (stage->word == 2)
		check_marks(&space);
}

static void check_pass_through(volatile uint64_t *page)
{
	uint64_t *entry = vtd_pasid(STALE_PASID);

	entry[2] = 0;
	entry[0] = PGTT_PASS_THROUGH | ENTRY_P;
	queue_flush_all();
	check("pass-through", dma_lands((uint32_t)page, page));
	entry[0] = 0;
	queue_flush_all();
	check("a PASID that is gone: blocked", !dma_lands((uint32_t)page, page));
}

static void set_up(void)
{
	vtd_make_tables();
	uint64_t *context = vtd_scalable_context(VTD_SOURCE);

	context[1] = STALE_PASID;
	context[0] = (uint32_t)vtd_directory | ENTRY_P;
	check("queue of 256-bit descriptors", queue_start());
	check("root table", vtd_set_root((uint32_t)vtd_root | RTADDR_SCALABLE));
	check("everything is flushed", queue_flush_all());
	check("translation on", vtd_switch(CMD_TE, true));
}

void payload(void)
{
	static const struct stage second = {"second stage", second_stage, 0}, first = {"first stage", first_stage, 2};
	const unsigned bits = parameter("aw", 48);
	volatile uint64_t *page = vtd_page();

	if (!check("DMAR names the unit of the device", vtd_find(VTD_SOURCE)) ||
	    !check("edu is at its slot", dma_open(VTD_SLOT)) ||
	    !check("the unit has the scalable mode", vtd_ecap & ECAP_SMTS))
		return;
	check_equal("first stage from 48 bits on", !!(vtd_ecap & ECAP_FLTS), bits > 39);
	check_equal("its five levels with 57", !!(vtd_cap & CAP_FL5LP), bits == 57);
	set_up();
	check_stage(&second, vtd_levels());
	if (vtd_ecap & ECAP_FLTS)
		check_stage(&first, vtd_levels());
	check_pass_through(page);
	check("translation off", vtd_switch(CMD_TE, false));
	check("off again: identity", dma_lands((uint32_t)page, page));
}
