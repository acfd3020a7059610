/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which units there are, and what is whose, as a system reads it that believes in all of it: "units=N" of them, "ir=0":
 * without interrupt remapping, "behind=MASK": a bit for each slot that the first unit translates for. The widths that
 * all units have in common are what some systems translate with, so there has to be one, unless "common=0" says that a
 * unit translates for nobody.
 */
#include "acpi.h"
#include "payload.h"
#include "pci.h"
#include "vtd.h"

enum {
	DMAR_FLAGS = 37,
	DMAR_UNITS = 48,
	DRHD = 0,
	DRHD_SIZE = 16,
	INCLUDE_ALL = 1,
	SCOPE_ENDPOINT = 1,
	SCOPE_IOAPIC = 3
};

/* All of DMAR that is of interest here. */
static struct {
	unsigned count, include_all, ioapics, strangers;
	bool last_includes_all;
	uint32_t named; /* slots of the units that do not include all */
	uint32_t common_widths, widths_of_first;
	unsigned without_remapping;
} found = {.common_widths = UINT32_MAX};

static void read_scope(uint32_t at, bool include_all)
{
	switch (read8(at)) {
	case SCOPE_IOAPIC:
		found.ioapics++;
		break;
	case SCOPE_ENDPOINT:
		found.strangers += include_all;
		found.named |= 1u << read8(at + 6);
		break;
	default:
		found.strangers++;
	}
}

static void read_unit(uint32_t at)
{
	const uint32_t end = at + read16(at + 2), registers = read32(at + 8);
	const bool include_all = read8(at + 4) & INCLUDE_ALL;
	const uint32_t widths = read32(registers + VTD_CAP) >> 8 & 0x1f;

	found.include_all += include_all;
	found.last_includes_all = include_all;
	found.common_widths &= widths;
	found.widths_of_first = found.count++ ? found.widths_of_first : widths;
	found.without_remapping += !(read32(registers + VTD_ECAP) & ECAP_IR);
	for (at += DRHD_SIZE; at < end; at += read8(at + 1))
		read_scope(at, include_all);
}

/* Every slot that has a function, but for the host bridge. */
static uint32_t present(void)
{
	uint32_t slots = 0;

	for (unsigned slot = 1; slot < PCI_SLOTS; slot++)
		if (read32(ecam(slot)) != UINT32_MAX)
			slots |= 1u << slot;
	return slots;
}

void payload(void)
{
	const uint32_t dmar = acpi_find("DMAR"), end = dmar ? dmar + read32(dmar + ACPI_LENGTH) : 0;
	const uint32_t behind = parameter("behind", 0);
	const bool remaps = parameter("ir", 1);

	if (!check("DMAR is there", dmar != 0))
		return;
	for (uint32_t at = dmar + DMAR_UNITS; at < end; at += read16(at + 2))
		if (read16(at) == DRHD)
			read_unit(at);
	check_equal("units", found.count, parameter("units", 1));
	check_equal("DMAR says whether interrupts are remapped", read8(dmar + DMAR_FLAGS) & 1, remaps);
	check_equal("and so does each unit", found.without_remapping, remaps ? 0 : found.count);
	check_equal("the IOAPIC is in one scope, or in none without remapping", found.ioapics, remaps);
	check_equal("one unit includes all, unless others need none", found.include_all, behind == present() || remaps);
	check("and it is the last one", found.last_includes_all == !!found.include_all);
	check_equal("where all is included only the IOAPIC is named", found.strangers, 0);
	check_equal("devices that are named", found.named, found.include_all == found.count ? 0 : behind);
	check("the first unit translates", found.widths_of_first != 0);
	if (parameter("common", 1))
		check("there is a width that all units have", found.common_widths != 0);
	else
		check_equal("the second unit translates nothing", found.common_widths, 0);
}
