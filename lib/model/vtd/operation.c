/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the unit does next: one operation after the other, each of which begins, waits for devices that still use what
 * it takes away, and finishes. Registers say what software asks for; a reset goes before everything else.
 */
#include <errno.h>

#include "lib/model/vtd/page.h"

static void operation_begin(struct viommu_vtd *unit, enum vtd_operation operation) REQUIRES(unit->lock)
{
	unit->operation = operation;
	viommu_inval_begin(unit->inval);
}

/* 11.4.6.1; a granularity that does not exist is not performed: CAIG stays 0. */
static void begin_context(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	uint64_t ccmd = unit->regs[REG_CCMD];
	unsigned granularity = (unsigned)vtd_field(ccmd, 62, 61);

	unit->granularity = granularity;
	if (granularity) {
		unit->stats.context_invalidations++;
		vtd_invalidate_context(unit, unit->inval, granularity, (uint16_t)ccmd, (uint16_t)(ccmd >> 16),
				       (unsigned)vtd_field(ccmd, 33, 32));
	}
	operation_begin(unit, OPERATION_CONTEXT);
}

/* 11.4.6.3 */
static void begin_iotlb(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	uint64_t iotlb = unit->regs[REG_IOTLB], iva = unit->regs[REG_IVA];
	unsigned granularity = (unsigned)vtd_field(iotlb, 61, 60), am = (unsigned)(iva & VTD_IVA_AM);

	unit->granularity = granularity == VTD_PAGE && am > vtd_cap_mamv(unit->caps.cap) ? 0 : granularity;
	if (unit->granularity) {
		unit->stats.iotlb_invalidations++;
		vtd_invalidate_iotlb(unit, unit->inval, granularity, (uint16_t)(iotlb >> 32), iva & VTD_IVA_ADDRESS,
				     am);
	}
	operation_begin(unit, OPERATION_IOTLB);
}

/*
 * One operation after the other; the registers say what is asked for. While the queue is on, it alone invalidates
 * (6.5.1).
 */
static bool begin_next(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	bool registers = !unit->queue.enabled;

	if (unit->reset_waits) {
		unit->reset_waits = unit->command_waits = false;
		unit->queue.enabled = false;
		vtd_invalidate_all(unit, unit->inval);
		vtd_set_translation(unit, unit->inval, false);
		operation_begin(unit, OPERATION_RESET);
	} else if (unit->command_waits) {
		unit->command_waits = false;
		vtd_command(unit, unit->next_command);
	} else if (registers && unit->regs[REG_CCMD] & VTD_CCMD_ICC) {
		begin_context(unit);
	} else if (registers && unit->regs[REG_IOTLB] & VTD_IOTLB_IVT) {
		begin_iotlb(unit);
	} else {
		return false;
	}
	return true;
}

static void operation_finish(struct viommu_vtd *unit, int err) REQUIRES(unit->lock)
{
	uint64_t done = err ? 0 : unit->granularity;

	switch (unit->operation) {
	case OPERATION_COMMAND:
		vtd_command_done(unit);
		break;
	case OPERATION_CONTEXT:
		unit->regs[REG_CCMD] =
			(unit->regs[REG_CCMD] & ~(VTD_CCMD_ICC | VTD_CCMD_CAIG)) | done << VTD_CCMD_CAIG_SHIFT;
		break;
	case OPERATION_IOTLB:
		unit->regs[REG_IOTLB] =
			(unit->regs[REG_IOTLB] & ~(VTD_IOTLB_IVT | VTD_IOTLB_IAIG)) | done << VTD_IOTLB_IAIG_SHIFT;
		break;
	case OPERATION_RESET:
		atomic_store_explicit(&unit->root, 0, memory_order_relaxed);
		vtd_registers_reset(unit);
		vtd_irq_latch(unit);
		vtd_irq_switch(unit, false, false);
		break;
	case OPERATION_NONE:
		break;
	}
	unit->operation = OPERATION_NONE;
}

bool vtd_advance(struct viommu_vtd *unit)
{
	do {
		if (unit->operation != OPERATION_NONE) {
			int err = viommu_inval_poll(unit->inval);

			if (err == -EAGAIN)
				return true;
			operation_finish(unit, err);
		}
		if (vtd_queue_run(unit))
			return true;
	} while (begin_next(unit));
	return false;
}

void vtd_unlock(struct viommu_vtd *unit)
{
	if (unit->page.host)
		vtd_page_store(unit, VTD_IQH, (uint32_t)unit->regs[REG_IQH]);
	lock_drop(&unit->lock);
	/* Partner: the fence in viommu_vtd_poll(). That one sees the lock dropped, or we see that it missed it. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&unit->missed, memory_order_relaxed) && atomic_exchange(&unit->missed, false))
		vtd_ask_poll(unit);
}

/*
 * Another thread at work in the unit advances it, and may take long; but it may have looked before that happened which
 * this call is about. So it asks for another poll when it is done.
 */
int viommu_vtd_poll(struct viommu_vtd *unit)
{
	atomic_store_explicit(&unit->missed, true, memory_order_relaxed);
	/* Partner: the fence in vtd_unlock(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (!lock_try(&unit->lock))
		return -EAGAIN;
	/* An exchange: what another poll that was turned away meanwhile is about is seen from here on. */
	atomic_exchange(&unit->missed, false);
	bool pending = vtd_advance(unit), more = unit->more;

	vtd_unlock(unit);
	if (pending && more)
		vtd_ask_poll(unit);
	return pending ? -EAGAIN : 0;
}

void viommu_vtd_reset(struct viommu_vtd *unit)
{
	lock_take(&unit->lock);
	unit->reset_waits = true;
	vtd_advance(unit);
	vtd_unlock(unit);
}
