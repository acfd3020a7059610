/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration mechanism #1 shows the same registers as ECAM, and follows the rules of its two ports. */
#include "payload.h"
#include "pci.h"

enum { REGISTERS = 256, SCRATCH = PCI_LINE };

static void select(unsigned slot, unsigned reg)
{
	outl(PORT_PCI_ADDRESS, port_address(slot, reg));
}

static void check_same_registers(void)
{
	unsigned present = 0, wrong = 0;

	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		select(slot, 0);
		wrong += inl(PORT_PCI_DATA) != read32(ecam(slot));
		if (read32(ecam(slot)) == UINT32_MAX)
			continue;
		present++;
		for (unsigned reg = 0; reg < REGISTERS; reg += 4) {
			select(slot, reg);
			wrong += inl(PORT_PCI_DATA) != read32(ecam(slot) + reg);
		}
	}
	check("functions are found", present >= 2);
	check_equal("same doublewords by ports and ECAM", wrong, 0);
}

static void check_widths(void)
{
	unsigned wrong = 0;

	for (unsigned reg = 0; reg < 64; reg++) {
		select(2, reg);
		wrong += inb((uint16_t)(PORT_PCI_DATA + reg % 4)) != read8(ecam(2) + reg);
		if (reg % 2 == 0)
			wrong += inw((uint16_t)(PORT_PCI_DATA + reg % 4)) != read16(ecam(2) + reg);
	}
	check_equal("same bytes and words", wrong, 0);
}

/* A byte is named by the address register, by the port, or by both. */
static void check_low_bits(void)
{
	unsigned wrong = 0;

	for (unsigned reg = 0; reg < 64; reg++) {
		for (unsigned port = 0; port < 4; port++) {
			const unsigned first = reg | port;

			outl(PORT_PCI_ADDRESS, port_address(2, reg) | reg % 4);
			wrong += inb((uint16_t)(PORT_PCI_DATA + port)) != read8(ecam(2) + first);
			if (port < 3 && first % 2 == 0)
				wrong += inw((uint16_t)(PORT_PCI_DATA + port)) != read16(ecam(2) + first);
		}
		wrong += reg % 4 == 0 && inl(PORT_PCI_DATA) != read32(ecam(2) + reg);
	}
	check_equal("the address's low bits select the byte", wrong, 0);
}

static void check_address_port(void)
{
	outl(PORT_PCI_ADDRESS, UINT32_MAX);
	check_equal("address register: reserved bits stay 0", inl(PORT_PCI_ADDRESS), 0x80ffffff);
	select(2, 0);
	outb(PORT_PCI_ADDRESS + 3, 0);
	outw(PORT_PCI_ADDRESS, 0x55aa);
	check_equal("address register: bytes and words go elsewhere", inl(PORT_PCI_ADDRESS), port_address(2, 0));
	check_equal("address register: as a byte it reads ones", inb(PORT_PCI_ADDRESS + 3), 0xff);
	outl(PORT_PCI_ADDRESS, port_address(2, 0) & ~(1u << 31));
	check_equal("not enabled: reads ones", inl(PORT_PCI_DATA), UINT32_MAX);
	outl(PORT_PCI_ADDRESS, port_address(2, SCRATCH) & ~(1u << 31));
	outb(PORT_PCI_DATA, (uint8_t)~read8(ecam(2) + SCRATCH));
	select(2, SCRATCH);
	check_equal("not enabled: writes nothing", inb(PORT_PCI_DATA), read8(ecam(2) + SCRATCH));
}

static void check_writes(void)
{
	const uint8_t old = read8(ecam(2) + SCRATCH);

	select(2, SCRATCH);
	outb(PORT_PCI_DATA, 0x5a);
	check_equal("a write by ports is seen by ECAM", read8(ecam(2) + SCRATCH), 0x5a);
	outl(PORT_PCI_ADDRESS, port_address(2, SCRATCH) | SCRATCH % 4 | 1);
	outb(PORT_PCI_DATA, 0xa5);
	check_equal("a read-only byte beside it is another one", read8(ecam(2) + SCRATCH), 0x5a);
	select(2, SCRATCH);
	write8(ecam(2) + SCRATCH, old);
	check_equal("a write by ECAM is seen by ports", inb(PORT_PCI_DATA), old);
	select(2, PCI_COMMAND);
	outw(PORT_PCI_DATA, PCI_COMMAND_MEMORY);
	check_equal("a word written has its effect", read32(read32(ecam(2) + PCI_BAR0) & ~0xfu) & 0xff, 0xed);
	outw(PORT_PCI_DATA, 0);
	check_equal("and so has the next", read32(read32(ecam(2) + PCI_BAR0) & ~0xfu), UINT32_MAX);
}

static void check_absent(void)
{
	outl(PORT_PCI_ADDRESS, port_address(31, 0));
	check_equal("an absent slot reads ones", inl(PORT_PCI_DATA), UINT32_MAX);
	outl(PORT_PCI_ADDRESS, port_address(2, 0) | 1 << 8);
	check_equal("an absent function reads ones", inl(PORT_PCI_DATA), UINT32_MAX);
	outl(PORT_PCI_ADDRESS, port_address(2, 0) | 1 << 16);
	check_equal("an absent bus reads ones", inl(PORT_PCI_DATA), UINT32_MAX);
	outl(PORT_PCI_DATA, 0);
}

/* Slot 2 holds an edu device. */
void payload(void)
{
	check_same_registers();
	check_widths();
	check_low_bits();
	check_address_port();
	check_writes();
	check_absent();
}
