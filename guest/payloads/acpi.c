/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI 6.5, sections 5.2.5 (RSDP), 5.2.8 (XSDT) and 5.2.9 (FADT). */
#include "acpi.h"

#include "payload.h"

enum { RSDP_FIRST = 0xe0000, RSDP_LAST = 0xffff0, RSDP_XSDT = 24, FADT_DSDT = 140 };

static bool begins(uint32_t address, const char *text)
{
	for (; *text; text++)
		if (read8(address++) != (uint8_t)*text)
			return false;
	return true;
}

uint32_t acpi_find(const char *signature)
{
	uint32_t rsdp = RSDP_FIRST;

	while (rsdp < RSDP_LAST && !begins(rsdp, "RSD PTR "))
		rsdp += 16;
	if (rsdp == RSDP_LAST)
		return 0;
	const uint32_t xsdt = read32(rsdp + RSDP_XSDT), end = xsdt + read32(xsdt + ACPI_LENGTH);

	for (uint32_t at = xsdt + ACPI_HEADER; at < end; at += 8)
		if (begins(read32(at), signature))
			return read32(at);
	return 0;
}

uint32_t acpi_find_dsdt(void)
{
	const uint32_t fadt = acpi_find("FACP");

	return fadt ? read32(fadt + FADT_DSDT) : 0;
}
