/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/acpi/aml.h"

#include <string.h>

/* Opcodes, table 20.3. */
enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_EXTENDED = 0x5b,
	OP_DEVICE = 0x82,
	OP_ARGUMENT0 = 0x68,
	OP_RETURN = 0xa4,
	END_TAG = 0x79,
};

static void put_name(struct acpi_buffer *aml, const char *name)
{
	acpi_put_bytes(aml, name, strlen(name));
}

size_t aml_open_scope(struct acpi_buffer *aml, const char *name)
{
	acpi_put(aml, OP_SCOPE, 1);

	const size_t open = aml->used;

	put_name(aml, name);
	return open;
}

size_t aml_open_device(struct acpi_buffer *aml, const char *name)
{
	acpi_put(aml, OP_EXTENDED, 1);
	acpi_put(aml, OP_DEVICE, 1);

	const size_t open = aml->used;

	put_name(aml, name);
	return open;
}

size_t aml_open_method(struct acpi_buffer *aml, const char *name, unsigned arguments)
{
	acpi_put(aml, OP_METHOD, 1);

	const size_t open = aml->used;

	put_name(aml, name);
	acpi_put(aml, arguments, 1); /* not serialised */
	return open;
}

size_t aml_open_package(struct acpi_buffer *aml, uint8_t elements)
{
	acpi_put(aml, OP_PACKAGE, 1);

	const size_t open = aml->used;

	acpi_put(aml, elements, 1);
	return open;
}

/* Section 20.2.4: one byte up to 63; else the low nibble and a count of further bytes. The length counts itself. */
static size_t encode_length(uint8_t out[4], size_t body)
{
	size_t bytes = 1;

	if (body + 1 < 64) {
		out[0] = (uint8_t)(body + 1);
		return 1;
	}
	while (body + bytes + 1 >= (size_t)1 << (4 + 8 * bytes))
		bytes++;

	const size_t length = body + bytes + 1;

	out[0] = (uint8_t)(bytes << 6 | (length & 0xf));
	for (size_t i = 0; i < bytes; i++)
		out[1 + i] = (uint8_t)(length >> (4 + 8 * i));
	return bytes + 1;
}

/* The length stands before what it measures: move the body to make room. */
void aml_close(struct acpi_buffer *aml, size_t open)
{
	uint8_t length[4];
	const size_t body = aml->used - open;
	const size_t bytes = encode_length(length, body);

	acpi_put_zeros(aml, bytes);
	if (aml->full)
		return;
	memmove(aml->data + open + bytes, aml->data + open, body);
	memcpy(aml->data + open, length, bytes);
}

void aml_name(struct acpi_buffer *aml, const char *name)
{
	acpi_put(aml, OP_NAME, 1);
	put_name(aml, name);
}

void aml_integer(struct acpi_buffer *aml, uint64_t value)
{
	if (value <= 1) {
		acpi_put(aml, value ? OP_ONE : OP_ZERO, 1);
	} else if (value <= UINT8_MAX) {
		acpi_put(aml, OP_BYTE, 1);
		acpi_put(aml, value, 1);
	} else if (value <= UINT16_MAX) {
		acpi_put(aml, OP_WORD, 1);
		acpi_put(aml, value, 2);
	} else if (value <= UINT32_MAX) {
		acpi_put(aml, OP_DWORD, 1);
		acpi_put(aml, value, 4);
	} else {
		acpi_put(aml, OP_QWORD, 1);
		acpi_put(aml, value, 8);
	}
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Section 19.3.4: three letters of five bits, four hexadecimal digits, big-endian. */
void aml_eisa_id(struct acpi_buffer *aml, const char *id)
{
	const unsigned letters = (id[0] & 0x1fu) << 10 | (id[1] & 0x1fu) << 5 | (id[2] & 0x1fu);
	const unsigned digits =
		hex_digit(id[3]) << 12 | hex_digit(id[4]) << 8 | hex_digit(id[5]) << 4 | hex_digit(id[6]);

	aml_integer(aml, __builtin_bswap32(letters << 16 | digits));
}

void aml_package(struct acpi_buffer *aml, const uint8_t *integers, uint8_t count)
{
	const size_t open = aml_open_package(aml, count);

	for (unsigned i = 0; i < count; i++)
		aml_integer(aml, integers[i]);
	aml_close(aml, open);
}

void aml_return_argument(struct acpi_buffer *aml, unsigned argument)
{
	acpi_put(aml, OP_RETURN, 1);
	acpi_put(aml, OP_ARGUMENT0 + argument, 1);
}

void aml_resources(struct acpi_buffer *aml, struct acpi_buffer *resources)
{
	acpi_put(resources, END_TAG, 1);
	acpi_put(resources, 0, 1); /* no checksum */
	aml->full |= resources->full;
	acpi_put(aml, OP_BUFFER, 1);

	const size_t open = aml->used;

	aml_integer(aml, resources->used);
	acpi_put_bytes(aml, resources->data, resources->used);
	aml_close(aml, open);
}
