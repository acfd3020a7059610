/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI 6.5, section 6.4: resource descriptors. */
#include "vmm/acpi/aml.h"

enum {
	/* Small descriptors have their length in the tag. */
	SMALL_PORTS = 0x47,
	LARGE_FIXED_MEMORY32 = 0x86,
	LARGE_DWORD = 0x87,
	LARGE_WORD = 0x88,
	LARGE_INTERRUPT = 0x89,
	LARGE_QWORD = 0x8a,
	PORTS_DECODE16 = 1,
	KIND_MEMORY = 0,
	KIND_BUS = 2,
	WINDOW_FIXED = 0x0c, /* both ends are fixed */
	MEMORY_WRITABLE = 1,
	INTERRUPT_CONSUMER = 1 << 0,
	INTERRUPT_EDGE = 1 << 1, /* active high, not shared */
};

/* The three sizes of one layout: granularity, first, last, translation, length. */
static void put_window(struct acpi_buffer *resources, uint8_t tag, uint8_t kind, const uint64_t range[2])
{
	const size_t bytes = tag == LARGE_WORD ? 2 : tag == LARGE_DWORD ? 4 : 8;

	acpi_put(resources, tag, 1);
	acpi_put(resources, 3 + 5 * bytes, 2);
	acpi_put(resources, kind, 1);
	acpi_put(resources, WINDOW_FIXED, 1);
	acpi_put(resources, kind == KIND_MEMORY ? MEMORY_WRITABLE : 0, 1);
	acpi_put(resources, 0, bytes);
	acpi_put(resources, range[0], bytes);
	acpi_put(resources, range[1], bytes);
	acpi_put(resources, 0, bytes);
	acpi_put(resources, range[1] - range[0] + 1, bytes);
}

void aml_bus_range(struct acpi_buffer *resources, uint8_t first, uint8_t last)
{
	put_window(resources, LARGE_WORD, KIND_BUS, (const uint64_t[]){first, last});
}

void aml_window32(struct acpi_buffer *resources, uint32_t address, uint32_t size)
{
	put_window(resources, LARGE_DWORD, KIND_MEMORY, (const uint64_t[]){address, address + (uint64_t)size - 1});
}

void aml_window64(struct acpi_buffer *resources, uint64_t address, uint64_t size)
{
	put_window(resources, LARGE_QWORD, KIND_MEMORY, (const uint64_t[]){address, address + size - 1});
}

void aml_ports(struct acpi_buffer *resources, uint16_t first, uint8_t count)
{
	acpi_put(resources, SMALL_PORTS, 1);
	acpi_put(resources, PORTS_DECODE16, 1);
	acpi_put(resources, first, 2);
	acpi_put(resources, first, 2);
	acpi_put(resources, 1, 1); /* alignment */
	acpi_put(resources, count, 1);
}

void aml_interrupt(struct acpi_buffer *resources, uint32_t gsi)
{
	acpi_put(resources, LARGE_INTERRUPT, 1);
	acpi_put(resources, 6, 2);
	acpi_put(resources, INTERRUPT_CONSUMER | INTERRUPT_EDGE, 1);
	acpi_put(resources, 1, 1);
	acpi_put(resources, gsi, 4);
}

void aml_fixed_memory(struct acpi_buffer *resources, uint32_t address, uint32_t size)
{
	acpi_put(resources, LARGE_FIXED_MEMORY32, 1);
	acpi_put(resources, 9, 2);
	acpi_put(resources, MEMORY_WRITABLE, 1);
	acpi_put(resources, address, 4);
	acpi_put(resources, size, 4);
}
