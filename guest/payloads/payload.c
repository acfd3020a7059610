/* SPDX-License-Identifier: BSD-2-Clause */
#include "payload.h"

#include <stdarg.h>

#include "bootinfo.h"

enum { SERIAL_LSR = 5, SERIAL_EMPTY = 0x20, PORT_UNUSED = 0x80 };

static unsigned failures;

static void put(char c)
{
	while (!(inb(PORT_SERIAL + SERIAL_LSR) & SERIAL_EMPTY)) {
	}
	outb(PORT_SERIAL, (uint8_t)c);
}

static void put_text(const char *text)
{
	while (*text)
		put(*text++);
}

static void put_number(uint32_t number, uint32_t base)
{
	char digits[10];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	while (count)
		put(digits[--count]);
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			put_text(va_arg(args, const char *));
			break;
		case 'u':
			put_number(va_arg(args, uint32_t), 10);
			break;
		case 'x':
			put_number(va_arg(args, uint32_t), 16);
			break;
		case 'c':
			put((char)va_arg(args, int));
			break;
		}
	}
	va_end(args);
}

bool check(const char *name, bool good)
{
	print("%s %s\n", good ? "ok" : "not ok", name);
	failures += !good;
	return good;
}

bool check_quietly(bool good)
{
	failures += !good;
	return good;
}

bool check_equal(const char *name, uint32_t found, uint32_t wanted)
{
	if (found == wanted)
		return check(name, true);
	print("not ok %s: 0x%x instead of 0x%x\n", name, found, wanted);
	failures++;
	return false;
}

void quit(uint32_t value)
{
	outl(PORT_EXIT, value);
	for (;;)
		__asm__ volatile("cli; hlt");
}

size_t length(const char *text)
{
	size_t len = 0;

	while (text[len])
		len++;
	return len;
}

bool same_text(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* What stands behind "NAME=" in a word of the command line, or NULL. */
static const char *find_parameter(const char *name)
{
	const size_t len = length(name);
	const char *at = boot.cmdline;

	while (*at) {
		size_t i = 0;

		while (i < len && at[i] == name[i])
			i++;
		if (i == len && at[i] == '=')
			return at + i + 1;
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	return NULL;
}

bool has_parameter(const char *name, const char *value)
{
	const char *at = find_parameter(name);

	while (at && *value && *at == *value) {
		at++;
		value++;
	}
	return at && !*value && (!*at || *at == ' ');
}

uint32_t parameter(const char *name, uint32_t otherwise)
{
	const char *at = find_parameter(name);
	uint32_t value = 0, base = 10;

	if (!at)
		return otherwise;
	if (at[0] == '0' && at[1] == 'x') {
		base = 16;
		at += 2;
	}
	for (; *at && *at != ' '; at++)
		value = value * base + (uint32_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return value;
}

void breathe(unsigned exits)
{
	while (exits--)
		inb(PORT_UNUSED);
}

void payload_main(void);

void payload_main(void)
{
	bootinfo_read();
	payload();
	quit(failures ? 1 : 0);
}
