/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI 6.5, section 5.2.9: the fixed description table of a hardware-reduced machine. */
#include "vmm/acpi/table.h"
#include "vmm/layout/layout.h"

enum {
	FADT_REVISION = 6,
	FADT_SIZE = 276,
	/* Offsets of what is not zero. */
	FADT_PM_TIMER = 76,
	FADT_PM_TIMER_LEN = 91,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REGISTER = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_X_PM_TIMER = 208,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_HYPERVISOR = 268,
	/* IA-PC boot architecture flags, table 5.11: no legacy devices, no 8042; and not there: */
	BOOT_NO_VGA = 1 << 2,
	BOOT_NO_CMOS_RTC = 1 << 5,
	/* Flags, table 5.10. */
	FLAG_WBINVD = 1 << 0,
	FLAG_PROC_C1 = 1 << 2,
	FLAG_NO_FIXED_POWER_BUTTON = 1 << 4,
	FLAG_NO_FIXED_SLEEP_BUTTON = 1 << 5,
	FLAG_RESET_REGISTER = 1 << 10,
	FLAG_HEADLESS = 1 << 12,
	FLAG_HARDWARE_REDUCED = 1 << 20,
	/* A generic address, section 5.2.3.2: in I/O space, a byte or a double word. */
	ADDRESS_IO = 1,
	ADDRESS_BYTE = 1,
	ADDRESS_DWORD = 3,
	PM_TIMER_SIZE = 4,
};

static void set_port(struct acpi_buffer *buffer, size_t offset, uint16_t port, unsigned access)
{
	acpi_set(buffer, offset, ADDRESS_IO | 8u << (access - 1) << 8 | access << 24, 4);
	acpi_set(buffer, offset + 4, port, 8);
}

size_t acpi_add_fadt(struct acpi_buffer *buffer, uint64_t dsdt)
{
	const size_t fadt = acpi_table_begin(buffer, "FACP", FADT_REVISION);

	acpi_put_zeros(buffer, FADT_SIZE - ACPI_HEADER_SIZE);
	/* Systems may ignore it where the hardware is reduced; those that do not learn the TSC's rate by it. */
	acpi_set(buffer, fadt + FADT_PM_TIMER, LAYOUT_PORT_PM_TIMER, 4);
	acpi_set(buffer, fadt + FADT_PM_TIMER_LEN, PM_TIMER_SIZE, 1);
	set_port(buffer, fadt + FADT_X_PM_TIMER, LAYOUT_PORT_PM_TIMER, ADDRESS_DWORD);
	acpi_set(buffer, fadt + FADT_BOOT_ARCH, BOOT_NO_VGA | BOOT_NO_CMOS_RTC, 2);
	acpi_set(buffer, fadt + FADT_FLAGS,
		 FLAG_WBINVD | FLAG_PROC_C1 | FLAG_NO_FIXED_POWER_BUTTON | FLAG_NO_FIXED_SLEEP_BUTTON |
			 FLAG_RESET_REGISTER | FLAG_HEADLESS | FLAG_HARDWARE_REDUCED,
		 4);
	set_port(buffer, fadt + FADT_RESET_REGISTER, LAYOUT_PORT_RESET, ADDRESS_BYTE);
	acpi_set(buffer, fadt + FADT_RESET_VALUE, LAYOUT_RESET_VALUE, 1);
	acpi_set(buffer, fadt + FADT_X_DSDT, dsdt, 8);
	set_port(buffer, fadt + FADT_SLEEP_CONTROL, LAYOUT_PORT_SLEEP, ADDRESS_BYTE);
	set_port(buffer, fadt + FADT_SLEEP_STATUS, LAYOUT_PORT_STATUS, ADDRESS_BYTE);
	acpi_set(buffer, fadt + FADT_HYPERVISOR, 0x554d4d4f4956ull, 8); /* "VIOMMU" */
	acpi_table_end(buffer, fadt);
	return fadt;
}
