/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A little of AML, the byte code of ACPI's namespace (ACPI 6.5, chapter 20). Names are written as AML has them:
 * segments of four characters, "\\" in front of absolute ones. What is opened is closed in reverse order.
 */
#ifndef VMM_ACPI_AML_H
#define VMM_ACPI_AML_H

#include "vmm/acpi/table.h"

/* Each returns where it began, for aml_close(). */
size_t aml_open_scope(struct acpi_buffer *aml, const char *name);
size_t aml_open_device(struct acpi_buffer *aml, const char *name);
size_t aml_open_method(struct acpi_buffer *aml, const char *name, unsigned arguments);
size_t aml_open_package(struct acpi_buffer *aml, uint8_t elements);
void aml_close(struct acpi_buffer *aml, size_t open);

/* Name (NAME, value): the value follows. */
void aml_name(struct acpi_buffer *aml, const char *name);

/* Values. */
void aml_integer(struct acpi_buffer *aml, uint64_t value);
void aml_eisa_id(struct acpi_buffer *aml, const char *id); /* "PNP0A08" */
void aml_package(struct acpi_buffer *aml, const uint8_t *integers, uint8_t count);
void aml_return_argument(struct acpi_buffer *aml, unsigned argument);

/* Resource descriptors (section 6.4) are collected in a buffer of their own; then they are a value. */
void aml_resources(struct acpi_buffer *aml, struct acpi_buffer *resources);
void aml_bus_range(struct acpi_buffer *resources, uint8_t first, uint8_t last);
void aml_ports(struct acpi_buffer *resources, uint16_t first, uint8_t count);
void aml_interrupt(struct acpi_buffer *resources, uint32_t gsi);
void aml_fixed_memory(struct acpi_buffer *resources, uint32_t address, uint32_t size);
void aml_window32(struct acpi_buffer *resources, uint32_t address, uint32_t size);
void aml_window64(struct acpi_buffer *resources, uint64_t address, uint64_t size);

#endif
