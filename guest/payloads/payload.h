/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What test payloads share: a console, results, and the exit port. A payload is a function payload(); for each thing
 * that it tests it prints "ok NAME" or "not ok NAME: WHY", and at its end it writes 0 to the exit port if all went well
 * (the monitor's status is then 1), else 1 (status 3).
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PORT_EXIT = 0xf4, PORT_SERIAL = 0x3f8, PORT_SLEEP = 0x600, PORT_RESET = 0x602 };

/* The test. */
void payload(void);

/* How the processor was entered. */
struct entry_state {
	uint32_t eax, ebx, cr0, cr4, eflags;
};

extern struct entry_state entry_state;

/* %s %u %x and %c only. */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);

/* One result line; the values are printed where they differ. */
bool check_equal(const char *name, uint32_t found, uint32_t wanted);
bool check(const char *name, bool good);

/* Count a result that the caller prints himself. */
bool check_quietly(bool good);

/* End now with this value at the exit port. */
__attribute__((noreturn)) void quit(uint32_t value);

size_t length(const char *text);
bool same_text(const char *a, const char *b);

/* The number behind "NAME=" on the command line, decimal or 0x...; or what is given. */
uint32_t parameter(const char *name, uint32_t otherwise);
bool has_parameter(const char *name, const char *value);

/* Let some time pass with exits to the monitor, whose other threads run meanwhile. */
void breathe(unsigned exits);

#define IO_ACCESSORS(suffix, type)                                                                                     \
	static inline type in##suffix(uint16_t port)                                                                   \
	{                                                                                                              \
		type value;                                                                                            \
                                                                                                                       \
		__asm__ volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port) : "memory");                        \
		return value;                                                                                          \
	}                                                                                                              \
	static inline void out##suffix(uint16_t port, type value)                                                      \
	{                                                                                                              \
		__asm__ volatile("out" #suffix " %0, %1" : : "a"(value), "Nd"(port) : "memory");                       \
	}

IO_ACCESSORS(b, uint8_t)
IO_ACCESSORS(w, uint16_t)
IO_ACCESSORS(l, uint32_t)

static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* What firmware leaves there: MTRRs on, everything write-back. */
enum { MSR_MTRR_DEF_TYPE = 0x2ff, MTRR_ON_WRITE_BACK = 0x806 };

/* Device memory: accesses of just this size, at any alignment. */
#define MMIO_ACCESSORS(bits, suffix, constraint)                                                                       \
	static inline uint##bits##_t read##bits(uint32_t address)                                                      \
	{                                                                                                              \
		uint##bits##_t value;                                                                                  \
                                                                                                                       \
		__asm__ volatile("mov" suffix " (%1), %0" : "=" constraint(value) : "r"(address) : "memory");          \
		return value;                                                                                          \
	}                                                                                                              \
	static inline void write##bits(uint32_t address, uint##bits##_t value)                                         \
	{                                                                                                              \
		__asm__ volatile("mov" suffix " %0, (%1)" : : constraint(value), "r"(address) : "memory");             \
	}

MMIO_ACCESSORS(8, "b", "q")
MMIO_ACCESSORS(16, "w", "r")
MMIO_ACCESSORS(32, "l", "r")

#endif
