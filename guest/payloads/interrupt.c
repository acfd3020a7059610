/* SPDX-License-Identifier: BSD-2-Clause */
#include "interrupt.h"

#include "payload.h"

enum {
	LAPIC_VERSION = 0x30,
	LAPIC_VERSION_DIRECTED_EOI = 1 << 24,
	LAPIC_TASK = 0x80,
	LAPIC_EOI = 0xb0,
	LAPIC_LOGICAL = 0xd0,
	LAPIC_SPURIOUS = 0xf0,
	LAPIC_ENABLE = 1 << 8,
	LAPIC_DIRECTED_EOI = 1 << 12,
	SPURIOUS_VECTOR = 0xff,
	MSR_APIC_BASE = 0x1b,
	APIC_BASE_X2APIC = 1 << 10,
	MSR_X2APIC = 0x800, /* and the register's offset / 16 */
	X2APIC_ID = 0x20,
	X2APIC_COMMAND = 0x300,
	COMMAND_INIT = 5 << 8,
	COMMAND_START = 6 << 8,
	COMMAND_ASSERT = 1 << 14,
	IOAPIC_WINDOW = 0x10,
	IOAPIC_EOI = 0x40,
	IOAPIC_TABLE = 0x10,
	GATE_INTERRUPT = 0x8e00, /* present, 32 bits, interrupts off inside */
	VECTOR_NMI = 2,
	ENTRY_SIZE = 16,
	PATIENCE = 20000,
};

#define LAPIC 0xfee00000u
#define IOAPIC 0xfec00000u

struct gate {
	uint16_t offset_low, selector, type, offset_high;
};

extern char exception_entries[], interrupt_entries[];

volatile uint32_t interrupts[VECTORS], nmis, nmis_expected;
void (*volatile interrupt_work)(unsigned index);
static struct gate idt[256];
static bool by_msr;

void handle_vector(uint32_t vector, uint32_t eip);

static void lapic_write(unsigned reg, uint32_t value)
{
	if (by_msr)
		write_msr(MSR_X2APIC + reg / 16, value);
	else
		write32(LAPIC + reg, value);
}

void lapic_set_logical(uint8_t id)
{
	lapic_write(LAPIC_LOGICAL, (uint32_t)id << 24);
}

void x2apic_enable(void)
{
	write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | APIC_BASE_X2APIC);
	by_msr = true;
}

uint32_t x2apic_id(void)
{
	return (uint32_t)read_msr(MSR_X2APIC + X2APIC_ID / 16);
}

static void command(uint32_t id, uint32_t what)
{
	write_msr(MSR_X2APIC + X2APIC_COMMAND / 16, (uint64_t)id << 32 | COMMAND_ASSERT | what);
}

void x2apic_init(uint32_t id)
{
	command(id, COMMAND_INIT);
}

void x2apic_start(uint32_t id)
{
	command(id, COMMAND_START | AP_PAGE >> 12);
}

void x2apic_send(uint32_t id, unsigned index)
{
	command(id, FIRST_VECTOR + index);
}

void handle_vector(uint32_t vector, uint32_t eip)
{
	const unsigned index = vector - FIRST_VECTOR;

	if (vector == VECTOR_NMI && nmis < nmis_expected) {
		nmis++;
		return;
	}
	if (vector < FIRST_VECTOR) {
		print("not ok exception %u at 0x%x\n", vector, eip);
		quit(1);
	}
	interrupts[index]++;
	if (interrupt_work)
		interrupt_work(index);
	lapic_write(LAPIC_EOI, 0);
}

static void set_gate(unsigned vector, const char *entry)
{
	idt[vector] = (struct gate){
		.offset_low = (uint16_t)(uint32_t)entry,
		.selector = SELECTOR_CODE,
		.type = GATE_INTERRUPT,
		.offset_high = (uint16_t)((uint32_t)entry >> 16),
	};
}

void interrupts_init(void)
{
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)idt};

	for (unsigned i = 0; i < EXCEPTIONS; i++)
		set_gate(i, exception_entries + i * ENTRY_SIZE);
	for (unsigned i = 0; i < VECTORS; i++)
		set_gate(FIRST_VECTOR + i, interrupt_entries + i * ENTRY_SIZE);
	__asm__ volatile("lidt %0" : : "m"(pointer));
	lapic_write(LAPIC_TASK, 0);
	lapic_write(LAPIC_SPURIOUS, LAPIC_ENABLE | SPURIOUS_VECTOR);
	__asm__ volatile("sti");
}

bool lapic_direct_eoi(void)
{
	if (!(read32(LAPIC + LAPIC_VERSION) & LAPIC_VERSION_DIRECTED_EOI))
		return false;
	lapic_write(LAPIC_SPURIOUS, LAPIC_DIRECTED_EOI | LAPIC_ENABLE | SPURIOUS_VECTOR);
	return true;
}

static void ioapic_write(unsigned reg, uint32_t value)
{
	write32(IOAPIC, reg);
	write32(IOAPIC + IOAPIC_WINDOW, value);
}

static uint32_t ioapic_read(unsigned reg)
{
	write32(IOAPIC, reg);
	return read32(IOAPIC + IOAPIC_WINDOW);
}

void ioapic_route(unsigned pin, unsigned index, bool masked)
{
	ioapic_write(IOAPIC_TABLE + 2 * pin + 1, 0);
	ioapic_write(IOAPIC_TABLE + 2 * pin,
		     (FIRST_VECTOR + index) | IOAPIC_ENTRY_LEVEL | (masked ? IOAPIC_ENTRY_MASKED : 0));
}

uint64_t ioapic_entry(unsigned pin)
{
	return ioapic_read(IOAPIC_TABLE + 2 * pin) | (uint64_t)ioapic_read(IOAPIC_TABLE + 2 * pin + 1) << 32;
}

void ioapic_set_entry(unsigned pin, uint64_t entry)
{
	ioapic_write(IOAPIC_TABLE + 2 * pin, IOAPIC_ENTRY_MASKED);
	ioapic_write(IOAPIC_TABLE + 2 * pin + 1, (uint32_t)(entry >> 32));
	ioapic_write(IOAPIC_TABLE + 2 * pin, (uint32_t)entry);
}

void ioapic_end(uint8_t vector)
{
	write32(IOAPIC + IOAPIC_EOI, vector);
}

bool wait_interrupts(unsigned index, uint32_t count)
{
	for (unsigned i = 0; i < PATIENCE && interrupts[index] < count; i++)
		breathe(1);
	return interrupts[index] >= count;
}

bool interrupts_stop_at(unsigned index, uint32_t count)
{
	breathe(200);
	const uint32_t seen = interrupts[index];

	breathe(200);
	return interrupts[index] == seen && (seen == count || seen == count + 1);
}
