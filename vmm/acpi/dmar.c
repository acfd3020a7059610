/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel VT-d architecture specification, revision 3.3, chapter 8 (DMAR): the remapping units, and which devices belong
 * to each. The unit for everything that is not named comes last (8.4).
 */
#include "vmm/acpi/table.h"
#include "vmm/layout/layout.h"

enum {
	DMAR_REVISION = 1,
	DMAR_INTR_REMAP = 1 << 0,
	DMAR_X2APIC_OPT_OUT = 1 << 1,
	TYPE_DRHD = 0,
	TYPE_ATSR = 2,
	DRHD_INCLUDE_ALL = 1,
	DRHD_LENGTH = 2, /* offset of the structure's length */
	ATSR_ALL_PORTS = 1,
	ATSR_SIZE = 8,
	SCOPE_ENDPOINT = 1,
	SCOPE_IOAPIC = 3,
	SCOPE_SIZE = 8,
	UNIT_SIZE = 4096,
};

static void add_scope(struct acpi_buffer *buffer, uint8_t type, uint8_t id, uint16_t bdf)
{
	acpi_put(buffer, type, 1);
	acpi_put(buffer, SCOPE_SIZE, 1);
	acpi_put(buffer, 0, 2);
	acpi_put(buffer, id, 1);
	acpi_put(buffer, bdf >> 8, 1);
	acpi_put(buffer, bdf >> 3 & 0x1f, 1);
	acpi_put(buffer, bdf & 7, 1);
}

static size_t begin_unit(struct acpi_buffer *buffer, unsigned index, uint8_t flags)
{
	const size_t unit = buffer->used;

	acpi_put(buffer, TYPE_DRHD, 2);
	acpi_put(buffer, 0, 2); /* length */
	acpi_put(buffer, flags, 1);
	acpi_put(buffer, 0, 1); /* one page of registers */
	acpi_put(buffer, 0, 2); /* segment */
	acpi_put(buffer, LAYOUT_VTD + (uint64_t)index * UNIT_SIZE, 8);
	return unit;
}

static void end_unit(struct acpi_buffer *buffer, size_t unit)
{
	acpi_set(buffer, unit + DRHD_LENGTH, buffer->used - unit, 2);
}

/* What no unit names is this one's; of that only an IOAPIC may be named (8.3). */
static void add_unit_of_the_rest(struct acpi_buffer *buffer, const struct acpi_config *config, unsigned index)
{
	const size_t unit = begin_unit(buffer, index, DRHD_INCLUDE_ALL);

	if (config->dmar.intremap)
		add_scope(buffer, SCOPE_IOAPIC, LAYOUT_IOAPIC_ID, LAYOUT_IOAPIC_RID);
	end_unit(buffer, unit);
}

static void add_units(struct acpi_buffer *buffer, const struct acpi_config *config)
{
	if (!config->dmar.others) {
		add_unit_of_the_rest(buffer, config, 0);
		return;
	}

	const size_t unit = begin_unit(buffer, 0, 0);

	for (size_t i = 0; i < config->endpoint_count; i++)
		add_scope(buffer, SCOPE_ENDPOINT, 0, config->endpoints[i].bdf);
	end_unit(buffer, unit);
	if (config->dmar.intremap)
		add_unit_of_the_rest(buffer, config, 1);
}

static void add_atsr(struct acpi_buffer *buffer)
{
	acpi_put(buffer, TYPE_ATSR, 2);
	acpi_put(buffer, ATSR_SIZE, 2);
	acpi_put(buffer, ATSR_ALL_PORTS, 1);
	acpi_put(buffer, 0, 1);
	acpi_put(buffer, 0, 2); /* segment */
}

size_t acpi_add_dmar(struct acpi_buffer *buffer, const struct acpi_config *config)
{
	const size_t dmar = acpi_table_begin(buffer, "DMAR", DMAR_REVISION);
	uint8_t flags = config->dmar.intremap ? DMAR_INTR_REMAP : 0;

	if (config->dmar.intremap && !config->dmar.eim)
		flags |= DMAR_X2APIC_OPT_OUT;
	acpi_put(buffer, LAYOUT_HOST_BITS - 1, 1);
	acpi_put(buffer, flags, 1);
	acpi_put_zeros(buffer, 10);
	add_units(buffer, config);
	if (config->dmar.ats)
		add_atsr(buffer);
	acpi_table_end(buffer, dmar);
	return dmar;
}
