/* SPDX-License-Identifier: BSD-2-Clause */
/* The register file (chapter 11): a row for each register. */
#include "lib/model/vtd/unit.h"

enum { COMMAND = VTD_EFFECT_COMMAND, TRIGGER = VTD_EFFECT_TRIGGER, EVENT = VTD_EFFECT_EVENT };

struct row {
	uint16_t offset;
	uint8_t size;
	bool event;                                      /* `reg` is an enum vtd_event_register */
	bool write_only;                                 /* reads as 0 */
	unsigned reg;                                    /* enum vtd_register */
	unsigned effect;                                 /* VTD_EFFECT_ bits */
	uint64_t reset, writable, clearable;             /* clearable: by writing 1 */
	uint64_t (*read)(const struct viommu_vtd *unit); /* instead of reg: what never changes */
};

static uint64_t read_version(const struct viommu_vtd *unit)
{
	return unit->config.scalable ? 0x30 : 0x10;
}

static uint64_t read_cap(const struct viommu_vtd *unit)
{
	return unit->caps.cap;
}

static uint64_t read_ecap(const struct viommu_vtd *unit)
{
	return unit->caps.ecap;
}

static uint64_t read_zero(const struct viommu_vtd *unit)
{
	(void)unit;
	return 0;
}

#define EVENT_UPPER VTD_MASK(31, 0)

static const struct row rows[] = {
	{VTD_VER, 4, .read = read_version},
	{VTD_CAP, 8, .read = read_cap},
	{VTD_ECAP, 8, .read = read_ecap},
	{VTD_GCMD, 4, .read = read_zero, .effect = COMMAND},
	{VTD_GSTS, 4, .reg = REG_GSTS},
	{VTD_RTADDR, 8, .reg = REG_RTADDR, .writable = VTD_RTADDR_TABLE | VTD_RTADDR_TTM},
	{VTD_CCMD, 8, .reg = REG_CCMD, .writable = VTD_MASK(63, 61) | VTD_MASK(33, 0), .effect = TRIGGER},
	{VTD_FSTS, 4, .event = true, .reg = EVENT_FSTS,
	 .clearable = VTD_FSTS_PFO | VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE,
	 .effect = EVENT | TRIGGER /* a queue that had stopped may go on */},
	{VTD_FECTL, 4, .event = true, .reg = EVENT_FECTL, .reset = VTD_EVENT_IM, .writable = VTD_EVENT_IM,
	 .effect = EVENT},
	{VTD_FEDATA, 4, .event = true, .reg = EVENT_FEDATA, .writable = VTD_MASK(31, 0)},
	{VTD_FEADDR, 4, .event = true, .reg = EVENT_FEADDR, .writable = VTD_MASK(31, 2)},
	{VTD_FEUADDR, 4, .event = true, .reg = EVENT_FEUADDR, .writable = EVENT_UPPER},
	{VTD_PMEN, 4, .read = read_zero},
	{VTD_IQH, 8, .reg = REG_IQH},
	{VTD_IQT, 8, .reg = REG_IQT, .writable = VTD_IQ_POINTER, .effect = TRIGGER},
	{VTD_IQA, 8, .reg = REG_IQA, .writable = VTD_IQA_BASE | VTD_IQA_DW | VTD_IQA_QS},
	{VTD_ICS, 4, .event = true, .reg = EVENT_ICS, .clearable = VTD_ICS_IWC, .effect = EVENT},
	{VTD_IECTL, 4, .event = true, .reg = EVENT_IECTL, .reset = VTD_EVENT_IM, .writable = VTD_EVENT_IM,
	 .effect = EVENT},
	{VTD_IEDATA, 4, .event = true, .reg = EVENT_IEDATA, .writable = VTD_MASK(31, 0)},
	{VTD_IEADDR, 4, .event = true, .reg = EVENT_IEADDR, .writable = VTD_MASK(31, 2)},
	{VTD_IEUADDR, 4, .event = true, .reg = EVENT_IEUADDR, .writable = EVENT_UPPER},
	{VTD_IQERCD, 8, .reg = REG_IQERCD},
	{VTD_IRTA, 8, .reg = REG_IRTA, .writable = VTD_IRTA_BASE | VTD_IRTA_EIME | VTD_IRTA_S},
	{VTD_IVA, 8, .write_only = true, .reg = REG_IVA, .writable = VTD_MASK(63, 12) | VTD_MASK(6, 0)},
	{VTD_IOTLB, 8, .reg = REG_IOTLB, .writable = VTD_BIT(63) | VTD_MASK(61, 60) | VTD_MASK(49, 32),
	 .effect = TRIGGER},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* Bits that exist only where the unit has what they are for. */
static uint64_t writable(const struct viommu_vtd *unit, const struct row *row)
{
	bool eim = unit->config.eim;

	switch (row->offset) {
	case VTD_RTADDR:
		return unit->config.scalable ? row->writable : row->writable & ~VTD_RTADDR_TTM;
	case VTD_IQA:
		return unit->config.scalable ? row->writable : row->writable & ~VTD_IQA_DW;
	case VTD_IRTA:
		return !unit->config.intremap ? 0 : eim ? row->writable : row->writable & ~VTD_IRTA_EIME;
	case VTD_FEDATA:
	case VTD_IEDATA:
		return eim ? row->writable : VTD_MASK(15, 0);
	case VTD_FEUADDR:
	case VTD_IEUADDR:
		return eim ? row->writable : 0;
	default:
		return row->writable;
	}
}

static const struct row *find_row(uint64_t offset)
{
	for (unsigned i = 0; i < ROWS; i++)
		if (offset >= rows[i].offset && offset - rows[i].offset < rows[i].size)
			return &rows[i];
	return NULL;
}

static uint64_t row_value(struct viommu_vtd *unit, const struct row *row) REQUIRES(unit->lock)
{
	if (row->read)
		return row->read(unit);
	if (row->write_only)
		return 0;
	if (!row->event)
		return unit->regs[row->reg];
	lock_take(&unit->event_lock);
	uint64_t value = unit->event_regs[row->reg];

	lock_drop(&unit->event_lock);
	return value;
}

uint32_t vtd_register_read(struct viommu_vtd *unit, uint64_t offset)
{
	const struct row *row = find_row(offset);

	return row ? (uint32_t)(row_value(unit, row) >> 8 * (offset - row->offset)) : 0;
}

/* What a register holds when half of it has been written. */
static uint64_t changed(const struct viommu_vtd *unit, const struct row *row, uint64_t now, unsigned shift,
			uint32_t value)
{
	uint64_t half = (uint64_t)UINT32_MAX << shift, bits = (uint64_t)value << shift;
	uint64_t change = writable(unit, row) & half;

	return ((now & ~change) | (bits & change)) & ~(bits & row->clearable);
}

static void store(struct viommu_vtd *unit, const struct row *row, unsigned shift, uint32_t value) REQUIRES(unit->lock)
{
	if (!row->event) {
		unit->regs[row->reg] = changed(unit, row, unit->regs[row->reg], shift, value);
		return;
	}
	lock_take(&unit->event_lock);
	unit->event_regs[row->reg] = changed(unit, row, unit->event_regs[row->reg], shift, value);
	lock_drop(&unit->event_lock);
}

unsigned vtd_register_write(struct viommu_vtd *unit, uint64_t offset, uint32_t value)
{
	const struct row *row = find_row(offset);

	if (!row)
		return 0;
	if (!row->read)
		store(unit, row, 8 * (unsigned)(offset - row->offset), value);
	if (row->effect & EVENT)
		vtd_event_written(unit, row->reg);
	return row->effect;
}

void vtd_registers_reset(struct viommu_vtd *unit)
{
	lock_take(&unit->event_lock);
	for (const struct row *row = rows; row < rows + ROWS; row++)
		if (row->event)
			unit->event_regs[row->reg] = row->reset;
		else if (!row->read)
			unit->regs[row->reg] = row->reset;
	lock_drop(&unit->event_lock);
	vtd_records_reset(unit);
}
