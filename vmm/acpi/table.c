/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI 6.5, section 5.2.6: the header that all tables share. */
#include "vmm/acpi/table.h"

#include <string.h>

enum {
	HEADER_LENGTH = 4,
	HEADER_CHECKSUM = 9,
	TABLE_ALIGN = 16,
	OEM_REVISION = 1,
};

static bool make_room(struct acpi_buffer *buffer, size_t count)
{
	if (count > buffer->size - buffer->used)
		buffer->full = true;
	return !buffer->full;
}

void acpi_put_bytes(struct acpi_buffer *buffer, const void *bytes, size_t count)
{
	if (!make_room(buffer, count))
		return;
	memcpy(buffer->data + buffer->used, bytes, count);
	buffer->used += count;
}

void acpi_put(struct acpi_buffer *buffer, uint64_t value, size_t bytes)
{
	acpi_put_bytes(buffer, &value, bytes);
}

void acpi_put_zeros(struct acpi_buffer *buffer, size_t count)
{
	if (!make_room(buffer, count))
		return;
	memset(buffer->data + buffer->used, 0, count);
	buffer->used += count;
}

void acpi_set(struct acpi_buffer *buffer, size_t offset, uint64_t value, size_t bytes)
{
	if (!buffer->full)
		memcpy(buffer->data + offset, &value, bytes);
}

size_t acpi_table_begin(struct acpi_buffer *buffer, const char *signature, uint8_t revision)
{
	acpi_put_zeros(buffer, -buffer->used % TABLE_ALIGN);

	const size_t table = buffer->used;

	acpi_put_bytes(buffer, signature, 4);
	acpi_put(buffer, 0, 4); /* length */
	acpi_put(buffer, revision, 1);
	acpi_put(buffer, 0, 1); /* checksum */
	acpi_put_bytes(buffer, "VIOMMU", 6);
	acpi_put_bytes(buffer, "VIOMMUVM", 8);
	acpi_put(buffer, OEM_REVISION, 4);
	acpi_put_bytes(buffer, "VIOM", 4);
	acpi_put(buffer, OEM_REVISION, 4);
	return table;
}

void acpi_table_end(struct acpi_buffer *buffer, size_t table)
{
	const size_t length = buffer->used - table;

	acpi_set(buffer, table + HEADER_LENGTH, length, 4);
	acpi_checksum(buffer, table, length, table + HEADER_CHECKSUM);
}

void acpi_checksum(struct acpi_buffer *buffer, size_t first, size_t count, size_t at)
{
	uint8_t sum = 0;

	if (buffer->full)
		return;
	buffer->data[at] = 0;
	for (size_t i = 0; i < count; i++)
		sum += buffer->data[first + i];
	buffer->data[at] = -sum;
}
