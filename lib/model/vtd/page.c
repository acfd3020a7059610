/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The open page: software reads and writes the register page as memory, and somebody looks what it has written. While
 * it is open nothing but the queue is at work, and no bit is set that software clears by writing 1; what would set one,
 * and what else software asks for, waits until the page is closed, which reads all of it once more.
 *
 * Who still comes by viommu_vtd_read() and viommu_vtd_write() finds the same memory, so it does not matter when exactly
 * software reaches the page itself.
 */
#include <errno.h>
#include <string.h>

#include "lib/model/vtd/page.h"

/* GCMD cannot be read. Reserved bits alone stand there, and no switch, so a command is seen that switches all off. */
enum { NO_COMMAND = 0x007fffff };

/* Registers of 32 bits, and halves of those of 64, that software may write, in the order in which they take effect. */
static const uint16_t words[VTD_PAGE_WORDS] = {
	VTD_RTADDR, VTD_RTADDR + 4, VTD_FEDATA, VTD_FEADDR,   VTD_FEUADDR, VTD_IQA,     VTD_IQA + 4,   VTD_IEDATA,
	VTD_IEADDR, VTD_IEUADDR,    VTD_IRTA,   VTD_IRTA + 4, VTD_IVA,     VTD_IVA + 4, VTD_CCMD,      VTD_IQT,
	VTD_GCMD,   VTD_CCMD + 4,   VTD_FSTS,   VTD_FECTL,    VTD_ICS,     VTD_IECTL,   VTD_IOTLB + 4,
};

static bool written(const struct viommu_vtd *unit, unsigned index)
{
	return vtd_page_load(unit, words[index]) !=
	       atomic_load_explicit(&unit->page.shown[index], memory_order_relaxed);
}

/* Only the queue may be at work, and nothing waits for software to look at it. */
static bool quiet(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	return unit->queue.enabled && unit->operation == OPERATION_NONE && !unit->command_waits && !unit->reset_waits &&
	       !(unit->regs[REG_CCMD] & VTD_CCMD_ICC) && !(unit->regs[REG_IOTLB] & VTD_IOTLB_IVT);
}

static void show(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	memset(unit->page.host, 0, VIOMMU_VTD_SIZE);
	for (unsigned offset = 0; offset < VTD_FRCD + VTD_RECORDS * VTD_FRCD_SIZE; offset += sizeof(uint32_t))
		vtd_page_store(unit, offset, vtd_access_read(unit, offset));
	vtd_page_store(unit, VTD_GCMD, NO_COMMAND);
	/* IVA cannot be read either. What it holds stands there, so that to write the same changes nothing. */
	vtd_page_store(unit, VTD_IVA, (uint32_t)unit->regs[REG_IVA]);
	vtd_page_store(unit, VTD_IVA + 4, (uint32_t)(unit->regs[REG_IVA] >> 32));
	for (unsigned i = 0; i < VTD_PAGE_WORDS; i++)
		atomic_store_explicit(&unit->page.shown[i], vtd_page_load(unit, words[i]), memory_order_relaxed);
}

/* Of a fault that came meanwhile the page may show a part, which software would clear there to no effect. */
static int page_begin(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	if (!vtd_event_waits(unit))
		return 0;
	unit->page.host = NULL;
	vtd_event_release(unit);
	return -EBUSY;
}

int viommu_vtd_page_open(struct viommu_vtd *unit, void *page)
{
	int err = -EBUSY;

	lock_take(&unit->lock);
	if (!unit->page.host && quiet(unit) && vtd_event_hold(unit)) {
		unit->page.host = page;
		show(unit);
		err = page_begin(unit);
	}
	vtd_unlock(unit);
	return err;
}

int viommu_vtd_page_look(struct viommu_vtd *unit)
{
	uint32_t tail;

	if (!unit->page.host)
		return 0;
	for (unsigned i = VTD_PAGE_TAIL + 1; i < VTD_PAGE_WORDS; i++)
		if (written(unit, i))
			return -EBUSY;
	if (vtd_event_waits(unit))
		return -EBUSY;
	if (!vtd_page_tail_written(unit, &tail))
		return 0;
	lock_take(&unit->lock);
	vtd_access_serve_tail(unit);
	vtd_unlock(unit);
	return 1;
}

bool viommu_vtd_page_waits(const struct viommu_vtd *unit)
{
	return vtd_event_waits(unit);
}

void viommu_vtd_page_close(struct viommu_vtd *unit)
{
	uint32_t values[VTD_PAGE_WORDS];
	bool differs[VTD_PAGE_WORDS];

	lock_take(&unit->lock);
	if (unit->page.host) {
		for (unsigned i = 0; i < VTD_PAGE_WORDS; i++) {
#ifdef VIOMMU_MUTANT_PAGE /* wrong on purpose: what nobody has looked at before is lost */
			differs[i] = false;
#else
			differs[i] = written(unit, i);
#endif
			values[i] = vtd_page_load(unit, words[i]);
		}
		unit->page.host = NULL;
		for (unsigned i = 0; i < VTD_PAGE_WORDS; i++)
			if (differs[i])
				vtd_access_write(unit, words[i], values[i]);
		vtd_event_release(unit);
	}
	vtd_unlock(unit);
}
