/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VT-d unit in legacy mode: edu's DMA through second-stage tables, invalidations by registers and by the queue,
 * pass-through.
 */
#include "dma.h"
#include "interrupt.h"
#include "payload.h"
#include "vtd-reach.h"
#include "vtd-stale.h"
#include "vtd.h"

enum { BY_WAIT = 0 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct stale leaf_cases[] = {
	{"IOTLB, all", BY_IOTLB, true, GLOBAL},
	{"IOTLB, its domain", BY_IOTLB, true, DOMAIN, .did = STALE_DID},
	{"IOTLB, another domain: still the old one", BY_IOTLB, false, DOMAIN, .did = OTHER_DID},
	{"IOTLB, its page", BY_IOTLB, true, PAGE, .did = STALE_DID, .address = STALE_IOVA},
	{"IOTLB, its page, only the leaf", BY_IOTLB, true, PAGE, .did = STALE_DID, .address = STALE_IOVA | LEAF_ONLY},
	{"IOTLB, another page: still the old one", BY_IOTLB, false, PAGE, .did = STALE_DID, .address = STALE_BESIDE},
	{"IOTLB, another domain's page: still the old one", BY_IOTLB, false, PAGE, .did = OTHER_DID,
	 .address = STALE_IOVA},
	{"IOTLB, four pages with it", BY_IOTLB, true, PAGE, .did = STALE_DID, .address = STALE_BLOCK | AM_4},
	{"IOTLB, four pages beside: still the old one", BY_IOTLB, false, PAGE, .did = STALE_DID,
	 .address = STALE_NEXT_BLOCK | AM_4},
};

static const struct stale context_cases[] = {
	{"context, all", BY_CONTEXT, true, GLOBAL},
	{"context, its old domain", BY_CONTEXT, true, DOMAIN, .did = STALE_DID},
	{"context, another domain: still the old one", BY_CONTEXT, false, DOMAIN, .did = OTHER_DID},
	{"context, its device", BY_CONTEXT, true, DEVICE, .did = STALE_DID, .source = VTD_SOURCE},
	{"context, another device: still the old one", BY_CONTEXT, false, DEVICE, .did = STALE_DID,
	 .source = VTD_SOURCE + 8},
	{"context, another function: still the old one", BY_CONTEXT, false, DEVICE, .did = STALE_DID,
	 .source = VTD_SOURCE + 4},
	{"context, function bit 2 masked", BY_CONTEXT, true, DEVICE, 1, STALE_DID, VTD_SOURCE + 4},
	{"context, function bits 2:1 masked", BY_CONTEXT, true, DEVICE, 2, STALE_DID, VTD_SOURCE + 6},
	{"context, all function bits masked", BY_CONTEXT, true, DEVICE, 3, STALE_DID, VTD_SOURCE + 7},
};

static void set_context(uint32_t type, const struct space *space)
{
	uint64_t *entry = vtd_context(VTD_SOURCE);

	entry[1] = STALE_DID << 8 | (vtd_levels() - 2);
	entry[0] = (space ? (uint32_t)space->top : 0) | type | ENTRY_P;
}

/* Two address spaces, in which an address leads to different places. */
static void check_stale(const char *where, const struct space *space)
{
	const struct space other = second_stage(space->levels);
	volatile uint64_t *first = vtd_page(), *second = vtd_page();
	uint64_t *leaf = space_entry(space, STALE_IOVA, 1);
	const uint64_t before = (uint32_t)first | SS_R | SS_W, after = (uint32_t)second | SS_R | SS_W;

	stale_check(where, leaf_cases, COUNT(leaf_cases), &(struct change){leaf, before, after, first, second});
	*space_entry(&other, STALE_IOVA, 1) = after;
	stale_check(where, context_cases, COUNT(context_cases),
		    &(struct change){vtd_context(VTD_SOURCE), (uint32_t)space->top | ENTRY_P,
				     (uint32_t)other.top | ENTRY_P, first, second});
}

static void check_off(const char *name, volatile uint64_t *page)
{
	check(name, dma_lands((uint32_t)page, page));
}

static void check_pass_through(volatile uint64_t *page)
{
	set_context(TT_PASS_THROUGH, NULL);
	queue_flush_all();
	check("pass-through", dma_lands((uint32_t)page, page));
	vtd_put(VTD_FSTS, FSTS_PFO);
	dma_write(NOWHERE);
	check_equal("pass-through to where no memory is: no fault is recorded", fault_take().reason, 0);
}

/* By interrupt, and both ways in one descriptor; an event that waits comes when it is unmasked. */
static void check_wait(void)
{
	static volatile uint32_t status;

	interrupts_init();
	vtd_put(VTD_IEDATA, MSI_DATA(BY_WAIT));
	vtd_put(VTD_IEADDR, MSI_ADDRESS);
	queue_put(DESC_WAIT | WAIT_INTERRUPT | WAIT_STATUS | (uint64_t)7 << 32, (uint32_t)&status);
	queue_kick();
	check("a wait with status and interrupt: IWC", vtd_wait(VTD_ICS, ICS_IWC, ICS_IWC));
	check_equal("its status", status, 7);
	check_equal("the interrupt is masked: pending", vtd_get(VTD_IECTL), EVENT_MASKED | EVENT_PENDING);
	check_equal("and does not come", interrupts[BY_WAIT], 0);
	vtd_put(VTD_IECTL, 0);
	check("unmasked: it comes", wait_interrupts(BY_WAIT, 1));
	queue_put(DESC_WAIT | WAIT_INTERRUPT, 0);
	queue_kick();
	vtd_wait(VTD_IQH, UINT32_MAX, queue_next());
	check_equal("while IWC is set there is no second one", interrupts[BY_WAIT], 1);
	vtd_put(VTD_ICS, ICS_IWC);
	check_equal("IWC is cleared by writing it", vtd_get(VTD_ICS), 0);
	queue_put(DESC_WAIT | WAIT_INTERRUPT, 0);
	queue_kick();
	check("a wait by interrupt alone", wait_interrupts(BY_WAIT, 2));
}

/* What the command line of the monitor says. */
static void check_capabilities(void)
{
	const unsigned bits = parameter("aw", 48), widths = bits == 57 ? 7 : bits == 48 ? 3 : 1;

	check_equal("SAGAW has this width and the narrower ones", (uint32_t)vtd_cap >> 9 & 0xf, widths);
	check_equal("MGAW", (uint32_t)(vtd_cap >> 16) & 0x3f, bits - 1);
	check_equal("caching mode", !!(vtd_cap & CAP_CM), parameter("cm", 0));
	check_equal("GCMD reads as 0", vtd_get(VTD_GCMD), 0);
	check_equal("fault events are masked after reset", vtd_get(VTD_FECTL), EVENT_MASKED);
	check_equal("completion events are masked after reset", vtd_get(VTD_IECTL), EVENT_MASKED);
}

void payload(void)
{
	volatile uint64_t *page = vtd_page();

	if (!check("DMAR names the unit of the device", vtd_find(VTD_SOURCE)) ||
	    !check("edu is at its slot", dma_open(VTD_SLOT)))
		return;
	check_capabilities();
	check_off("translation off: identity", page);
	vtd_make_tables();
	const struct space space = second_stage(vtd_levels());

	set_context(TT_UNTRANSLATED, &space);
	check("root table", vtd_set_root((uint32_t)vtd_root));
	check_equal("context invalidation by register says what was done", vtd_register_context(GLOBAL, 0, 0, 0),
		    GLOBAL);
	check_equal("IOTLB invalidation by register says what was done", vtd_register_iotlb(GLOBAL, 0, 0), GLOBAL);
	check_equal("too large an AM: refused", vtd_register_iotlb(PAGE, STALE_DID, 63), 0);
	check("translation on", vtd_switch(CMD_TE, true));
	check("not mapped any more", !dma_lands((uint32_t)page, page));
	check_stale("by register", &space);
	check("queue on", queue_start());
	check_stale("by queue", &space);
	reach_check("tables", &space);
	check_wait();
	check_pass_through(page);
	check("translation off", vtd_switch(CMD_TE, false));
	check_off("off again: identity", page);
}
