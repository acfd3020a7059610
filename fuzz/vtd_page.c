/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver's accesses to registers: trapped, or in the page while it is open. When it is closed each register has to
 * have what a trapped write would have left there: that is written once more, and must change nothing.
 */
#include <errno.h>

#include "fuzz/vtd_world.h"
#include "lib/spec/vtd.h"

enum { SWITCHES = (int)(VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_CFI), TURNS = 100, NO_COMMAND = 0x007fffff };

static _Alignas(VIOMMU_VTD_SIZE) uint8_t shown[VIOMMU_VTD_SIZE];
static bool written[VIOMMU_VTD_SIZE / 4];

static bool in_page(const struct vtd_world *w, unsigned offset, unsigned size)
{
	return w->open && (size == 4 || size == 8) && !(offset % size) && offset < VIOMMU_VTD_SIZE;
}

static uint64_t load(unsigned offset, unsigned size)
{
	return size == 8 ? __atomic_load_n((uint64_t *)(void *)(shown + offset), __ATOMIC_SEQ_CST)
			 : __atomic_load_n((uint32_t *)(void *)(shown + offset), __ATOMIC_SEQ_CST);
}

uint64_t world_read(struct vtd_world *w, unsigned offset, unsigned size)
{
	return in_page(w, offset, size) ? load(offset, size) : viommu_vtd_read(w->unit, offset, size);
}

void world_write_unseen(struct vtd_world *w, unsigned offset, uint64_t value, unsigned size)
{
	if (!in_page(w, offset, size)) {
		viommu_vtd_write(w->unit, offset, value, size);
		return;
	}
	if (offset == VTD_GCMD && (uint32_t)value == NO_COMMAND)
		return;
	if (size == 8)
		__atomic_store_n((uint64_t *)(void *)(shown + offset), value, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n((uint32_t *)(void *)(shown + offset), (uint32_t)value, __ATOMIC_SEQ_CST);
	written[offset / 4] = true;
	written[(offset + size - 1) / 4] = true;
}

void world_write(struct vtd_world *w, unsigned offset, uint64_t value, unsigned size)
{
	world_write_unseen(w, offset, value, size);
	world_look(w);
}

void world_open(struct vtd_world *w)
{
	if (viommu_vtd_page_open(w->unit, shown))
		return;
	w->open = true;
	memset(written, 0, sizeof(written));
	CHECK(!(load(VTD_FSTS, 4) & 0xff) && !load(VTD_ICS, 4), "an event is in the page from the beginning");
}

void world_look(struct vtd_world *w)
{
	int found = 1;

	for (unsigned turn = 0; w->open && found == 1; turn++) {
		found = viommu_vtd_page_look(w->unit);
		CHECK(turn < TURNS, "the same tail is found again and again");
	}
	CHECK(found == 1 || !found || found == -EBUSY, "%d", found);
	if (w->open && found)
		world_close(w);
}

/* Registers where a value that is written twice is the same as written once, and bits that nobody else changes. */
static void check_register(struct vtd_world *w, unsigned offset, uint32_t bits)
{
	const uint32_t value = (uint32_t)load(offset, 4);

	if (!written[offset / 4])
		return;
	const uint32_t first = (uint32_t)viommu_vtd_read(w->unit, offset, 4) & bits;

	viommu_vtd_write(w->unit, offset, value, 4);
	CHECK(first == ((uint32_t)viommu_vtd_read(w->unit, offset, 4) & bits), "a write of 0x%x to 0x%x is lost", value,
	      offset);
}

static void check_command(struct vtd_world *w)
{
	const uint32_t wanted = (uint32_t)load(VTD_GCMD, 4) & (uint32_t)SWITCHES;

	if (!written[VTD_GCMD / 4] || w->inside || w->threads)
		return;
	while (viommu_vtd_poll(w->unit))
		;
	CHECK(((uint32_t)viommu_vtd_read(w->unit, VTD_GSTS, 4) & (uint32_t)SWITCHES) == wanted,
	      "the command 0x%x is lost", (unsigned)load(VTD_GCMD, 4));
}

void world_close(struct vtd_world *w)
{
	static const uint16_t offsets[] = {VTD_RTADDR, VTD_RTADDR + 4, VTD_FEDATA, VTD_FEADDR, VTD_FEUADDR,
					   VTD_IQA,    VTD_IQA + 4,    VTD_IEDATA, VTD_IEADDR, VTD_IEUADDR,
					   VTD_IRTA,   VTD_IRTA + 4,   VTD_CCMD,   VTD_IQT};

	if (!w->open)
		return;
	w->open = false;
	viommu_vtd_page_close(w->unit);
	for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
		check_register(w, offsets[i], UINT32_MAX);
	check_register(w, VTD_FECTL, VTD_EVENT_IM);
	check_register(w, VTD_IECTL, VTD_EVENT_IM);
	check_command(w);
}
