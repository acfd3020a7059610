/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI tables as they lie in memory. */
#ifndef PAYLOAD_ACPI_H
#define PAYLOAD_ACPI_H

#include <stdint.h>

enum { ACPI_HEADER = 36, ACPI_LENGTH = 4 };

/*
 * Where the table with this signature begins, by RSDP and XSDT; 0: there is none. The DSDT is found by way of the FADT.
 */
uint32_t acpi_find(const char *signature);
uint32_t acpi_find_dsdt(void);

#endif
