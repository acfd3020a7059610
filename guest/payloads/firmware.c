/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What firmware does before anything else runs: every function has its addresses, within the windows that ACPI tells of
 * and the processor's reach, answers there, and says which pin of the IOAPIC is its own. Nothing is assigned here; an
 * edu device at slot 2 is used as it is found. Then all of that is changed and the machine reset: it has to be as at
 * first.
 */
#include "acpi.h"
#include "edu.h"
#include "interrupt.h"
#include "payload.h"
#include "pci.h"

enum { EDU_SLOT = 2, BARS = 6, BAR_64 = 4, LINES = 24, RESET_VALUE = 1, COUNT = 64 };
enum { DWORD_SPACE = 0x87, QWORD_SPACE = 0x8a, SPACE_LENGTH = 1, SPACE_KIND = 3, KIND_MEMORY = 0 };
enum { CAP_VENDOR = 9, CAP_COMMON = 1, NUM_QUEUES = 18 };

#define MARK 0x6d726966u
static uint32_t *const mark = (uint32_t *)0x800000; /* outside of what is loaded */

/* Both ends of the windows in _CRS; 0: there is none. */
static uint32_t low_first, low_last;
static uint64_t high_first, high_last;
static uint8_t from[COUNT];

static uint64_t read64(uint32_t address)
{
	return read32(address) | (uint64_t)read32(address + 4) << 32;
}

/*
 * The descriptors of the DSDT (ACPI 6.5, section 6.4.3.5), wherever they stand: kind, length and type tell them from
 * other bytes.
 */
static void find_windows(void)
{
	const uint32_t dsdt = acpi_find_dsdt(), end = dsdt ? dsdt + read32(dsdt + ACPI_LENGTH) : 0;

	for (uint32_t at = dsdt + ACPI_HEADER; at < end; at++) {
		const unsigned tag = read8(at);

		if (tag == DWORD_SPACE && read16(at + SPACE_LENGTH) == 23 && read8(at + SPACE_KIND) == KIND_MEMORY) {
			low_first = read32(at + 10);
			low_last = read32(at + 14);
		}
		if (tag == QWORD_SPACE && read16(at + SPACE_LENGTH) == 43 && read8(at + SPACE_KIND) == KIND_MEMORY) {
			high_first = read64(at + 14);
			high_last = read64(at + 22);
		}
	}
}

/* CPUID 0x80000008: bits of an address. */
static unsigned address_bits(void)
{
	uint32_t eax = 0x80000008, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return eax & 0xff;
}

static void check_windows(void)
{
	find_windows();
	check("_CRS has a window below 4 GiB", low_first && low_last > low_first);
	check("the one above is within the processor's addresses", !(high_last >> address_bits()));
	check("and no smaller than 1 GiB, where there is one", !high_first || high_last - high_first >= 0x3fffffff);
}

/* How large a BAR is; it is written back. */
static uint32_t size_of(unsigned slot, unsigned bar)
{
	const uint32_t at = ecam(slot) + PCI_BAR0 + 4 * bar, home = read32(at);
	uint32_t mask;

	write32(at, UINT32_MAX);
	mask = read32(at) & ~0xfu;
	write32(at, home);
	return ~mask + 1;
}

/* How many of a function's BARs are not where they should be. */
static unsigned wrong_bars(unsigned slot, unsigned *found)
{
	unsigned wrong = 0;

	for (unsigned bar = 0; bar < BARS; bar++) {
		const uint32_t value = read32(ecam(slot) + PCI_BAR0 + 4 * bar), first = value & ~0xfu;
		const uint32_t size = size_of(slot, bar);

		if (!size)
			continue;
		++*found;
		wrong += first < low_first || first > low_last || size - 1 > low_last - first || first & (size - 1);
		if (value & BAR_64)
			wrong += read32(ecam(slot) + PCI_BAR0 + 4 * ++bar) != 0;
	}
	return wrong;
}

static void check_functions(const char *when)
{
	unsigned bars = 0, misplaced = 0, commands = 0, lines = 0;

	print("# %s\n", when);
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		unsigned own = 0;

		if (read32(ecam(slot)) == UINT32_MAX)
			continue;
		const unsigned command = read16(ecam(slot) + PCI_COMMAND), pin = read8(ecam(slot) + PCI_PIN);

		misplaced += wrong_bars(slot, &own);
		commands += command != (own ? PCI_COMMAND_MEMORY : 0);
		lines += pin && (pin != 1 || read8(ecam(slot) + PCI_LINE) != LINES - 8 + slot % 8);
		bars += own;
	}
	check_equal("BARs", bars, 1 + parameter("virtio", 0));
	check_equal("BARs lie in the window below 4 GiB", misplaced, 0);
	check_equal("memory decoding is on, bus mastering off", commands, 0);
	check_equal("interrupt lines name the pins' GSIs", lines, 0);
}

/* At once, or a processor that is quick is interrupted again before it has returned, and again. */
static void acknowledge(unsigned index)
{
	(void)index;
	write32(read32(ecam(EDU_SLOT) + PCI_BAR0) + EDU_ACKNOWLEDGE, UINT32_MAX);
}

/* No register of configuration space has been written. */
static void use_edu(void)
{
	const uint32_t bar = read32(ecam(EDU_SLOT) + PCI_BAR0);

	interrupt_work = acknowledge;
	check_equal("edu answers at its BAR", read32(bar), 0x010000ed);
	write32(bar + EDU_FACTORIAL, 10);
	check_equal("and works", read32(bar + EDU_FACTORIAL), 3628800);
	from[0] = 1;
	write32(bar + EDU_DMA_SOURCE, EDU_BUFFER);
	write32(bar + EDU_DMA_TARGET, (uint32_t)from);
	write32(bar + EDU_DMA_COUNT, COUNT);
	write32(bar + EDU_DMA_COMMAND, EDU_DMA_RUN | EDU_DMA_TO_RAM);
	for (unsigned i = 0; i < 20000 && read32(bar + EDU_DMA_COMMAND) & EDU_DMA_RUN; i++)
		breathe(1);
	check_equal("but for DMA, which its driver has to allow", from[0], 1);
	ioapic_route(read8(ecam(EDU_SLOT) + PCI_LINE), 0, false);
	write32(bar + EDU_RAISE, 1);
	check("its pin is where the line register says", wait_interrupts(0, 1));
	ioapic_route(read8(ecam(EDU_SLOT) + PCI_LINE), 0, true);
}

static uint32_t common_of(unsigned slot)
{
	const uint32_t config = ecam(slot), bar = read32(config + PCI_BAR0);

	for (unsigned at = read8(config + PCI_CAPABILITIES); at; at = read8(config + at + 1))
		if (read8(config + at) == CAP_VENDOR && read8(config + at + 3) == CAP_COMMON)
			return bar + read32(config + at + 8);
	return 0;
}

static void use_virtio(void)
{
	unsigned devices = 0;

	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		if (read16(ecam(slot)) != 0x1af4)
			continue;
		const uint32_t common = common_of(slot);

		check("a virtio device's registers are there",
		      common && read16(common + NUM_QUEUES) > 0 && read16(common + NUM_QUEUES) < 64);
		devices++;
	}
	check_equal("virtio devices", devices, parameter("virtio", 0));
}

/* What a system leaves behind that cares for nothing. */
static void scribble(void)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		for (unsigned bar = 0; bar < BARS; bar++)
			write32(ecam(slot) + PCI_BAR0 + 4 * bar, 0);
		write8(ecam(slot) + PCI_LINE, 0xff);
		write16(ecam(slot) + PCI_COMMAND, PCI_COMMAND_MASTER);
	}
}

void payload(void)
{
	const bool again = *mark == MARK;

	check_windows();
	check_functions(again ? "after a reset" : "at first");
	interrupts_init();
	use_edu();
	use_virtio();
	if (again)
		return;
	scribble();
	*mark = MARK;
	outb(PORT_RESET, RESET_VALUE);
	for (;;)
		__asm__ volatile("cli; hlt");
}
