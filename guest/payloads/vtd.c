/* SPDX-License-Identifier: BSD-2-Clause */
/* A VT-d unit's registers, and where it is: VT-d 8 (DMAR). */
#include "vtd.h"

#include "acpi.h"
#include "payload.h"

enum {
	PATIENCE = 20000,
	DMAR_UNITS = 48,
	DRHD = 0,
	DRHD_SCOPES = 16,
	INCLUDE_ALL = 1,
};

static uint32_t base;
uint64_t vtd_cap, vtd_ecap;

/* Does the unit's structure name the function? On its own bus, so the path has one step. */
static bool names(uint32_t unit, uint16_t source)
{
	const uint32_t end = unit + read16(unit + 2);

	for (uint32_t at = unit + DRHD_SCOPES; at < end; at += read8(at + 1))
		if ((read8(at + 5) << 8 | read8(at + 6) << 3 | read8(at + 7)) == source)
			return true;
	return read8(unit + 4) & INCLUDE_ALL;
}

bool vtd_find(uint16_t source)
{
	const uint32_t dmar = acpi_find("DMAR"), end = dmar ? dmar + read32(dmar + 4) : 0;
	uint32_t at = dmar + DMAR_UNITS;

	while (at < end && !(read16(at) == DRHD && names(at, source)))
		at += read16(at + 2);
	if (at >= end)
		return false;
	base = read32(at + 8);
	vtd_cap = vtd_get64(VTD_CAP);
	vtd_ecap = vtd_get64(VTD_ECAP);
	return true;
}

unsigned vtd_levels(void)
{
	return vtd_cap & BIT64(11) ? 5 : vtd_cap & BIT64(10) ? 4 : 3;
}

uint32_t vtd_get(unsigned reg)
{
	return read32(base + reg);
}

uint64_t vtd_get64(unsigned reg)
{
	return vtd_get(reg) | (uint64_t)vtd_get(reg + 4) << 32;
}

void vtd_put(unsigned reg, uint32_t value)
{
	write32(base + reg, value);
}

void vtd_put64(unsigned reg, uint64_t value)
{
	vtd_put(reg, (uint32_t)value);
	vtd_put(reg + 4, (uint32_t)(value >> 32));
}

bool vtd_wait(unsigned reg, uint32_t bits, uint32_t wanted)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		if ((vtd_get(reg) & bits) == wanted)
			return true;
		breathe(1);
	}
	return false;
}

/* 11.4.4: one-shots must not be repeated with the switches. */
static uint32_t switches(void)
{
	return vtd_get(VTD_GSTS) & (CMD_TE | CMD_QIE | CMD_IRE | CMD_CFI);
}

bool vtd_switch(uint32_t bit, bool on)
{
	vtd_put(VTD_GCMD, on ? switches() | bit : switches() & ~bit);
	return vtd_wait(VTD_GSTS, bit, on ? bit : 0);
}

bool vtd_latch(uint32_t bit)
{
	vtd_put(VTD_GCMD, switches() | bit);
	return vtd_wait(VTD_GSTS, bit, bit);
}

/* 11.4.6.1: the lower half first, for ICC is in the upper one. */
unsigned vtd_register_context(unsigned granularity, uint16_t did, uint16_t source, unsigned function_mask)
{
	vtd_put(VTD_CCMD, did | (uint32_t)source << 16);
	vtd_put(VTD_CCMD + 4, 1u << 31 | granularity << 29 | function_mask);
	vtd_wait(VTD_CCMD + 4, 1u << 31, 0);
	return vtd_get(VTD_CCMD + 4) >> 27 & 3;
}

/* 11.4.6.3 */
unsigned vtd_register_iotlb(unsigned granularity, uint16_t did, uint64_t address_and_mask)
{
	const unsigned iva = (unsigned)(vtd_ecap >> 8 & 0x3ff) * 16, iotlb = iva + 8;

	vtd_put64(iva, address_and_mask);
	vtd_put(iotlb, 0);
	vtd_put(iotlb + 4, 1u << 31 | granularity << 28 | did);
	vtd_wait(iotlb + 4, 1u << 31, 0);
	return vtd_get(iotlb + 4) >> 25 & 3;
}

static unsigned record(unsigned index)
{
	return (unsigned)(vtd_cap >> 24 & 0x3ff) * 16 + index * 16;
}

struct fault fault_at(unsigned index)
{
	const uint32_t top = vtd_get(record(index) + 12), middle = vtd_get(record(index) + 8);

	if (!(top >> 31))
		return (struct fault){0};
	return (struct fault){
		.info = vtd_get64(record(index)),
		.pasid = top >> 8 & 0xfffff,
		.source = (uint16_t)middle,
		.reason = (uint8_t)top,
		.read = top >> 30 & 1,
		.has_pasid = middle >> 31,
	};
}

void fault_clear(unsigned index)
{
	vtd_put(record(index) + 12, 1u << 31);
}

unsigned fault_first(void)
{
	return vtd_get(VTD_FSTS) >> 8 & 0xff;
}

unsigned fault_records(void)
{
	return (unsigned)(vtd_cap >> 40 & 0xff) + 1;
}

struct fault fault_take(void)
{
	const unsigned first = fault_first();
	const struct fault fault = vtd_get(VTD_FSTS) & FSTS_PPF ? fault_at(first) : (struct fault){0};

	if (fault.reason)
		fault_clear(first);
	return fault;
}

bool check_in(const char *where, const char *name, bool good)
{
	print("%s %s: %s\n", good ? "ok" : "not ok", where, name);
	return check_quietly(good);
}
