/* SPDX-License-Identifier: BSD-2-Clause */
/* The namespace: the PCI Express root, the memory that it takes, the serial port, and how to switch off. */
#include "vmm/acpi/aml.h"
#include "vmm/layout/layout.h"

enum {
	DSDT_REVISION = 2, /* integers of 64 bits */
	RESOURCES_MAX = 256,
	CONFIG_PORT_COUNT = 8,
	SERIAL_PORT_COUNT = 8,
	PINS = 4, /* A to D of a PCI slot */
};

static void name_integer(struct acpi_buffer *aml, const char *name, uint64_t value)
{
	aml_name(aml, name);
	aml_integer(aml, value);
}

static void name_eisa_id(struct acpi_buffer *aml, const char *name, const char *id)
{
	aml_name(aml, name);
	aml_eisa_id(aml, id);
}

/* What the operating system asks for (native hot-plug, error reporting, ...) is granted as it is. */
static void add_osc(struct acpi_buffer *aml)
{
	const size_t method = aml_open_method(aml, "_OSC", 4);

	aml_return_argument(aml, 3);
	aml_close(aml, method);
}

/* A pin of any function in this slot, and the IOAPIC's pin that it is wired to. */
static void add_route(struct acpi_buffer *aml, unsigned slot, unsigned pin)
{
	const size_t route = aml_open_package(aml, 4);

	aml_integer(aml, slot << 16 | 0xffff);
	aml_integer(aml, pin);
	aml_integer(aml, 0); /* no link device: the next is a GSI, level as PCI has it */
	aml_integer(aml, LAYOUT_INTX_GSI(slot, pin));
	aml_close(aml, route);
}

/* Section 6.2.13. Bridges turn the pins of what is behind them, so all four are wired. */
static void add_routes(struct acpi_buffer *aml)
{
	aml_name(aml, "_PRT");

	const size_t routes = aml_open_package(aml, LAYOUT_BUS_DEVICES * PINS);

	for (unsigned i = 0; i < LAYOUT_BUS_DEVICES * PINS; i++)
		add_route(aml, i / PINS, i % PINS);
	aml_close(aml, routes);
}

static void add_pci_root(struct acpi_buffer *aml, const struct acpi_config *config)
{
	uint8_t bytes[RESOURCES_MAX];
	struct acpi_buffer resources = {.data = bytes, .size = sizeof(bytes)};
	const size_t device = aml_open_device(aml, "PCI0");

	name_eisa_id(aml, "_HID", "PNP0A08");
	name_eisa_id(aml, "_CID", "PNP0A03");
	name_integer(aml, "_SEG", 0);
	name_integer(aml, "_BBN", 0);
	name_integer(aml, "_UID", 0);
	aml_bus_range(&resources, 0, LAYOUT_LAST_BUS);
	aml_ports(&resources, LAYOUT_PORT_PCI, CONFIG_PORT_COUNT);
	aml_window32(&resources, (uint32_t)LAYOUT_PCI32, (uint32_t)LAYOUT_PCI32_SIZE);
	if (config->pci64_size)
		aml_window64(&resources, config->pci64, config->pci64_size);
	aml_name(aml, "_CRS");
	aml_resources(aml, &resources);
	add_routes(aml);
	add_osc(aml);
	aml_close(aml, device);
}

/* Kernels believe in MCFG only if a motherboard device owns the memory, too. */
static void add_board(struct acpi_buffer *aml)
{
	uint8_t bytes[RESOURCES_MAX];
	struct acpi_buffer resources = {.data = bytes, .size = sizeof(bytes)};
	const size_t device = aml_open_device(aml, "MBRD");

	name_eisa_id(aml, "_HID", "PNP0C02");
	name_integer(aml, "_UID", 0);
	aml_fixed_memory(&resources, (uint32_t)LAYOUT_ECAM, (uint32_t)LAYOUT_ECAM_SIZE);
	aml_name(aml, "_CRS");
	aml_resources(aml, &resources);
	aml_close(aml, device);
}

static void add_serial(struct acpi_buffer *aml)
{
	uint8_t bytes[RESOURCES_MAX];
	struct acpi_buffer resources = {.data = bytes, .size = sizeof(bytes)};
	const size_t device = aml_open_device(aml, "COM1");

	name_eisa_id(aml, "_HID", "PNP0501");
	name_integer(aml, "_UID", 0);
	aml_ports(&resources, LAYOUT_PORT_SERIAL, SERIAL_PORT_COUNT);
	aml_interrupt(&resources, LAYOUT_GSI_SERIAL);
	aml_name(aml, "_CRS");
	aml_resources(aml, &resources);
	aml_close(aml, device);
}

size_t acpi_add_dsdt(struct acpi_buffer *buffer, const struct acpi_config *config)
{
	static const uint8_t soft_off[] = {LAYOUT_SLEEP_S5, LAYOUT_SLEEP_S5, 0, 0};
	const size_t dsdt = acpi_table_begin(buffer, "DSDT", DSDT_REVISION);
	const size_t scope = aml_open_scope(buffer, "\\_SB_");

	add_pci_root(buffer, config);
	add_board(buffer);
	add_serial(buffer);
	aml_close(buffer, scope);
	aml_name(buffer, "\\_S5_");
	aml_package(buffer, soft_off, sizeof(soft_off));
	acpi_table_end(buffer, dsdt);
	return dsdt;
}
