/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside vmm/acpi: tables are written one after the other into a buffer of fixed size that will lie at LAYOUT_ACPI.
 * What does not fit is dropped and remembered, so that only the end has to be checked. Numbers are little-endian.
 */
#ifndef VMM_ACPI_TABLE_H
#define VMM_ACPI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/acpi/acpi.h"

enum { ACPI_HEADER_SIZE = 36 };

struct acpi_buffer {
	uint8_t *data;
	size_t size, used;
	bool full;
};

/* Append a number of 1 to 8 bytes, bytes, or zeros. */
void acpi_put(struct acpi_buffer *buffer, uint64_t value, size_t bytes);
void acpi_put_bytes(struct acpi_buffer *buffer, const void *bytes, size_t count);
void acpi_put_zeros(struct acpi_buffer *buffer, size_t count);

/* Change a number that was appended before. */
void acpi_set(struct acpi_buffer *buffer, size_t offset, uint64_t value, size_t bytes);

/* A table's header; returns the table's offset in the buffer, for acpi_table_end(), which adds length and checksum. */
size_t acpi_table_begin(struct acpi_buffer *buffer, const char *signature, uint8_t revision);
void acpi_table_end(struct acpi_buffer *buffer, size_t table);

/* Make the bytes' sum zero by the one at `at`. */
void acpi_checksum(struct acpi_buffer *buffer, size_t first, size_t count, size_t at);

/* The tables. Each returns its offset in the buffer. */
size_t acpi_add_dmar(struct acpi_buffer *buffer, const struct acpi_config *config);
size_t acpi_add_dsdt(struct acpi_buffer *buffer, const struct acpi_config *config);
size_t acpi_add_fadt(struct acpi_buffer *buffer, uint64_t dsdt);
size_t acpi_add_madt(struct acpi_buffer *buffer, const struct acpi_config *config);
size_t acpi_add_mcfg(struct acpi_buffer *buffer);
size_t acpi_add_viot(struct acpi_buffer *buffer, const struct acpi_config *config);

#endif
