/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI 6.5, section 5.2.12 (MADT): CPUs and the IOAPIC; PCI firmware specification 3.3, table 4-2 (MCFG). */
#include "vmm/acpi/table.h"
#include "vmm/layout/layout.h"

enum {
	MADT_REVISION = 5,
	MADT_LAPIC = 0,
	MADT_LAPIC_SIZE = 8,
	MADT_LAPIC_ENABLED = 1,
	MADT_IOAPIC = 1,
	MADT_IOAPIC_SIZE = 12,
	MADT_LAPIC_NMI = 4,
	MADT_LAPIC_NMI_SIZE = 6,
	MADT_ALL_PROCESSORS = 0xff,
	MADT_X2APIC = 9,
	MADT_X2APIC_SIZE = 16,
	MADT_X2APIC_NMI = 10,
	MADT_X2APIC_NMI_SIZE = 12,
	NMI_LINT = 1,
	MCFG_REVISION = 1,
};

#define MADT_ALL_X2APICS 0xffffffffu

static void add_lapic(struct acpi_buffer *buffer, unsigned id)
{
	acpi_put(buffer, MADT_LAPIC, 1);
	acpi_put(buffer, MADT_LAPIC_SIZE, 1);
	acpi_put(buffer, id, 1); /* processor */
	acpi_put(buffer, id, 1); /* local APIC */
	acpi_put(buffer, MADT_LAPIC_ENABLED, 4);
}

/* Section 5.2.12.12: for ids that a byte does not hold, and only for those. */
static void add_x2apic(struct acpi_buffer *buffer, unsigned id)
{
	acpi_put(buffer, MADT_X2APIC, 1);
	acpi_put(buffer, MADT_X2APIC_SIZE, 1);
	acpi_put(buffer, 0, 2);
	acpi_put(buffer, id, 4); /* local APIC */
	acpi_put(buffer, MADT_LAPIC_ENABLED, 4);
	acpi_put(buffer, id, 4); /* processor */
}

static void add_x2apic_nmi(struct acpi_buffer *buffer)
{
	acpi_put(buffer, MADT_X2APIC_NMI, 1);
	acpi_put(buffer, MADT_X2APIC_NMI_SIZE, 1);
	acpi_put(buffer, 0, 2); /* polarity and trigger as usual */
	acpi_put(buffer, MADT_ALL_X2APICS, 4);
	acpi_put(buffer, NMI_LINT, 1);
	acpi_put_zeros(buffer, 3);
}

static void add_ioapic(struct acpi_buffer *buffer, unsigned id)
{
	acpi_put(buffer, MADT_IOAPIC, 1);
	acpi_put(buffer, MADT_IOAPIC_SIZE, 1);
	acpi_put(buffer, id, 1);
	acpi_put(buffer, 0, 1);
	acpi_put(buffer, LAYOUT_IOAPIC, 4);
	acpi_put(buffer, 0, 4); /* first GSI */
}

static void add_lapic_nmi(struct acpi_buffer *buffer)
{
	acpi_put(buffer, MADT_LAPIC_NMI, 1);
	acpi_put(buffer, MADT_LAPIC_NMI_SIZE, 1);
	acpi_put(buffer, MADT_ALL_PROCESSORS, 1);
	acpi_put(buffer, 0, 2); /* polarity and trigger as usual */
	acpi_put(buffer, NMI_LINT, 1);
}

size_t acpi_add_madt(struct acpi_buffer *buffer, const struct acpi_config *config)
{
	const size_t madt = acpi_table_begin(buffer, "APIC", MADT_REVISION);

	acpi_put(buffer, LAYOUT_LAPIC, 4);
	acpi_put(buffer, 0, 4); /* flags: no 8259s */
	for (unsigned i = 0; i < config->vcpus; i++)
		if (i < LAYOUT_XAPIC_VCPUS)
			add_lapic(buffer, i);
		else
			add_x2apic(buffer, i);
	add_ioapic(buffer, LAYOUT_IOAPIC_ID);
	add_lapic_nmi(buffer);
	if (config->vcpus > LAYOUT_XAPIC_VCPUS)
		add_x2apic_nmi(buffer);
	acpi_table_end(buffer, madt);
	return madt;
}

size_t acpi_add_mcfg(struct acpi_buffer *buffer)
{
	const size_t mcfg = acpi_table_begin(buffer, "MCFG", MCFG_REVISION);

	acpi_put_zeros(buffer, 8);
	acpi_put(buffer, LAYOUT_ECAM, 8);
	acpi_put(buffer, 0, 2); /* segment */
	acpi_put(buffer, 0, 1);
	acpi_put(buffer, LAYOUT_LAST_BUS, 1);
	acpi_put_zeros(buffer, 4);
	acpi_table_end(buffer, mcfg);
	return mcfg;
}
