/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Software's accesses to the register page, and what a write begins. They are split into four bytes, lower half first,
 * so the half that holds a trigger comes after the half that does not, however software writes.
 */
#include "lib/model/vtd/page.h"

enum { HALF = 4 };

static bool access_valid(uint64_t offset, unsigned size)
{
	return (size == 4 || size == 8) && !(offset % size) && offset < VIOMMU_VTD_SIZE;
}

static bool in_records(uint64_t offset)
{
	return offset >= VTD_FRCD && offset - VTD_FRCD < VTD_RECORDS * VTD_FRCD_SIZE;
}

uint32_t vtd_access_read(struct viommu_vtd *unit, uint64_t offset)
{
	return in_records(offset) ? vtd_record_read(unit, (unsigned)(offset - VTD_FRCD))
				  : vtd_register_read(unit, offset);
}

void vtd_access_write(struct viommu_vtd *unit, uint64_t offset, uint32_t value)
{
	if (in_records(offset)) {
		vtd_record_write(unit, (unsigned)(offset - VTD_FRCD), value);
		return;
	}
	unsigned effect = vtd_register_write(unit, offset, value);

	if (effect & VTD_EFFECT_COMMAND) {
		unit->next_command = value;
		unit->command_waits = true;
	}
	if (effect & (VTD_EFFECT_COMMAND | VTD_EFFECT_TRIGGER) && vtd_advance(unit))
		vtd_ask_poll(unit);
}

void vtd_access_serve_tail(struct viommu_vtd *unit)
{
	uint32_t tail;

	if (!vtd_page_tail_written(unit, &tail))
		return;
	atomic_store_explicit(&unit->page.shown[VTD_PAGE_TAIL], tail, memory_order_relaxed);
	vtd_access_write(unit, VTD_IQT, tail);
}

static uint32_t read_half(struct viommu_vtd *unit, uint64_t offset) REQUIRES(unit->lock)
{
	return unit->page.host ? vtd_page_load(unit, offset) : vtd_access_read(unit, offset);
}

static void write_half(struct viommu_vtd *unit, uint64_t offset, uint32_t value) REQUIRES(unit->lock)
{
	if (!unit->page.host) {
		vtd_access_write(unit, offset, value);
		return;
	}
	vtd_page_store(unit, offset, value);
	vtd_access_serve_tail(unit);
}

uint64_t viommu_vtd_read(struct viommu_vtd *unit, uint64_t offset, unsigned size)
{
	uint64_t value;

	if (!access_valid(offset, size))
		return 0;
	lock_take(&unit->lock);
	value = read_half(unit, offset);
	if (size == 8)
		value |= (uint64_t)read_half(unit, offset + HALF) << 32;
	vtd_unlock(unit);
	return value;
}

void viommu_vtd_write(struct viommu_vtd *unit, uint64_t offset, uint64_t value, unsigned size)
{
	if (!access_valid(offset, size))
		return;
	lock_take(&unit->lock);
	write_half(unit, offset, (uint32_t)value);
	if (size == 8)
		write_half(unit, offset + HALF, (uint32_t)(value >> 32));
	vtd_unlock(unit);
}
