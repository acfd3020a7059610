/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The global command register (11.4.4). Software writes the whole set of switches each time, so a switch counts where
 * it differs from GSTS; one-shots count where they are 1, also for the tenth time.
 */
#include "lib/model/vtd/unit.h"

#define SWITCHES ((uint32_t)(VTD_GCMD_TE | VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_CFI))

static void command_set_status(struct viommu_vtd *unit, uint64_t bits, bool on) REQUIRES(unit->lock)
{
	unit->regs[REG_GSTS] = on ? unit->regs[REG_GSTS] | bits : unit->regs[REG_GSTS] & ~bits;
}

/* 6.5.2: switching the queue on latches its registers. */
static void switch_queue(struct viommu_vtd *unit, bool on) REQUIRES(unit->lock)
{
	uint64_t iqa = unit->regs[REG_IQA];

	unit->queue.enabled = on;
	unit->queue.aborted = false;
	unit->queue.base = iqa & VTD_IQA_BASE;
	unit->queue.wide = iqa & VTD_IQA_DW;
	unit->queue.size = VTD_IQ_PAGE << (iqa & VTD_IQA_QS);
	unit->regs[REG_IQH] = 0;
	command_set_status(unit, VTD_GCMD_QIE, on);
}

/* What concerns interrupts takes effect at once. */
static void interrupts(struct viommu_vtd *unit, uint32_t value, uint32_t changed) REQUIRES(unit->lock)
{
	if (!unit->config.intremap)
		return;
	if (value & VTD_GCMD_SIRTP) {
		vtd_irq_latch(unit);
		command_set_status(unit, VTD_GCMD_SIRTP, true);
	}
	if (!(changed & (VTD_GCMD_IRE | VTD_GCMD_CFI)))
		return;
	command_set_status(unit, VTD_GCMD_IRE, value & VTD_GCMD_IRE);
	command_set_status(unit, VTD_GCMD_CFI, value & VTD_GCMD_CFI);
	vtd_irq_switch(unit, value & VTD_GCMD_IRE, value & VTD_GCMD_CFI);
}

/*
 * Devices may still use the old root and the old way of translation; the command is complete when they do not.
 * viommu_vtd_manage() made room for all endpoints.
 */
static void translation(struct viommu_vtd *unit, uint32_t value, uint32_t changed) REQUIRES(unit->lock)
{
	if (value & VTD_GCMD_SRTP) {
		/* Release: partner of the acquire in walk.c. */
		atomic_store_explicit(&unit->root, unit->regs[REG_RTADDR], memory_order_release);
		vtd_invalidate_all(unit, unit->inval);
		unit->command |= (uint32_t)VTD_GCMD_SRTP;
	}
	if (changed & VTD_GCMD_TE) {
		vtd_set_translation(unit, unit->inval, value & VTD_GCMD_TE);
		unit->stats.enables += !!(value & VTD_GCMD_TE);
		unit->command |= (uint32_t)(value & VTD_GCMD_TE);
		unit->command_clear |= (uint32_t)(~value & VTD_GCMD_TE);
	}
}

void vtd_command(struct viommu_vtd *unit, uint32_t value)
{
	uint32_t changed = ((uint32_t)unit->regs[REG_GSTS] ^ value) & SWITCHES;

	unit->command = unit->command_clear = 0;
	interrupts(unit, value, changed);
	if (changed & VTD_GCMD_QIE)
		switch_queue(unit, value & VTD_GCMD_QIE);
	translation(unit, value, changed);
	if (!unit->command && !unit->command_clear)
		return;
	unit->operation = OPERATION_COMMAND;
	viommu_inval_begin(unit->inval);
}

void vtd_command_done(struct viommu_vtd *unit)
{
	command_set_status(unit, unit->command_clear, false);
	command_set_status(unit, unit->command, true);
}
