/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses that no driver makes: to everything, of every size and alignment, BARs anywhere, garbage in config space and
 * in the registers of the devices. Nothing may end the monitor, and the edu device must work afterwards.
 */
#include "edu.h"
#include "interrupt.h"
#include "payload.h"
#include "pci.h"

enum { SLOT = 2, PAGE = 4096, ROUNDS = 300 };

static uint32_t seed = 1;

static uint32_t random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static void touch(uint32_t address, uint32_t value)
{
	switch (random() % 6) {
	case 0:
		write8(address, (uint8_t)value);
		break;
	case 1:
		write16(address, (uint16_t)value);
		break;
	case 2:
		write32(address, value);
		break;
	case 3:
		read8(address);
		break;
	case 4:
		read16(address);
		break;
	case 5:
		read32(address);
	}
}

static void touch_port(uint16_t port, uint32_t value)
{
	switch (random() % 6) {
	case 0:
		outb(port, (uint8_t)value);
		break;
	case 1:
		outw(port, (uint16_t)value);
		break;
	case 2:
		outl(port, value);
		break;
	case 3:
		inb(port);
		break;
	case 4:
		inw(port);
		break;
	case 5:
		inl(port);
	}
}

/* Across the ends of what is there, where an access lies half inside. */
static void touch_edges(void)
{
	static const uint32_t ends[] = {0xc0000000, 0xe0000000, 0xe0001000, 0xf0000000,
					0xfec00000, 0xfec01000, 0xfee00000};

	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		for (uint32_t at = ends[i] - 4; at < ends[i] + 4; at++) {
			read16(at);
			read32(at);
			write16(at, 0);
		}
	}
	write32(UINT32_MAX - 3, 0);
	check("accesses across the ends of regions", true);
}

static void touch_ports(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		const uint32_t value = random();

		touch_port((uint16_t)(0xcf6 + random() % 12), value | random() << 24);
		touch_port((uint16_t)random() & 0xff ? 0x80 : 0x81, value);
	}
	/* The power ports without what they react to. */
	outw(PORT_SLEEP + 1, 0);
	outl(PORT_SLEEP - 2, 0);
	inl(PORT_RESET);
	inl(PORT_EXIT);
	outb(PORT_EXIT + 1, 1);
	outl(PORT_EXIT + 2, 1);
	check("ports at any size and alignment", true);
}

static void move_bar(void)
{
	static const uint32_t places[] = {0x0,        0x100000,   0x00f00000, 0xbff00000, 0xc0000000, 0xdff00000,
					  0xe0000000, 0xefffffff, 0xfec00000, 0xfee00000, 0xfff00000, 0xffffffff};
	const uint32_t at = ecam(SLOT) + PCI_BAR0, home = read32(at);

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		write32(at, places[i]);
		read32(places[i] & ~0xfffffu);
		for (unsigned half = 0; half < 4; half++)
			write8(at + half, (uint8_t)(places[i] >> 8 * (3 - half)));
		read32(at);
	}
	write32(at, UINT32_MAX);
	check_equal("BAR size", read32(at), 0xfff00000);
	write32(at, home);
	check_equal("edu answers at its old place", read32((home & ~0xfu)) & 0xff, 0xed);
}

/* Over another device's BAR: one of both answers, and the other one comes back when it may. */
static void overlap_bars(unsigned other)
{
	const uint32_t mine = ecam(SLOT) + PCI_BAR0, home = read32(mine);
	const uint32_t there = read32(ecam(other) + PCI_BAR0) & ~0xfffffu;

	write32(mine, there);
	read32(there);
	read32(there + 0x40000);
	write32(mine, home);
	check_equal("after overlapping BARs edu answers", read32((home & ~0xfu)) & 0xff, 0xed);
}

/* Garbage everywhere in a function's config space; then memory decoding alone, so that no DMA starts that hits us. */
static void scribble_config(unsigned slot)
{
	const uint32_t bar = read32(ecam(slot) + PCI_BAR0);

	for (unsigned i = 0; i < ROUNDS; i++)
		touch(ecam(slot) + random() % PAGE, random() << 16 | random());
	write32(ecam(slot) + PCI_BAR0, bar);
	write16(ecam(slot) + PCI_COMMAND, PCI_COMMAND_MEMORY);
}

/* Registers of a BAR: offsets up to the given size. */
static void scribble_registers(unsigned slot, uint32_t size)
{
	const uint32_t bar = read32(ecam(slot) + PCI_BAR0) & ~0xfu;

	for (unsigned i = 0; i < ROUNDS; i++) {
		const uint32_t value = random() % 4 ? random() % 32 : random() << 16 | random();

		touch(bar + random() % size, value);
	}
}

static void use_edu(void)
{
	const unsigned msi = pci_find_capability(SLOT, PCI_CAP_MSI);
	const uint32_t bar = pci_enable(SLOT);

	write16(ecam(SLOT) + msi + 2, 0);
	write32(bar + EDU_LIVENESS, 5);
	check_equal("edu lives", read32(bar + EDU_LIVENESS), ~5u);
	for (unsigned i = 0; i < 20000 && read32(bar + EDU_DMA_COMMAND) & EDU_DMA_RUN; i++)
		breathe(1);
	check_equal("no DMA is stuck", read32(bar + EDU_DMA_COMMAND) & EDU_DMA_RUN, 0);
}

/* Slot 2 holds an edu device; virtio devices may follow. */
void payload(void)
{
	touch_edges();
	touch_ports();
	pci_enable(SLOT);
	move_bar();
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		if (read32(ecam(slot)) == UINT32_MAX)
			continue;
		scribble_config(slot);
		check("garbage in config space", read32(ecam(slot)) != UINT32_MAX);
		if (!slot)
			continue;
		if (slot != SLOT)
			overlap_bars(slot);
		scribble_registers(slot, slot == SLOT ? 0x100 : 0x4000);
		check("garbage in registers", read32(ecam(slot)) != UINT32_MAX);
	}
	use_edu();
}
