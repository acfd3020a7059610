/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The edu device at slot 2: identification, liveness, factorial, DMA, and its interrupts by INTx and MSI. "dma=blocked"
 * on the command line: an IOMMU is to keep it from memory.
 */
#include "edu.h"

#include "interrupt.h"
#include "payload.h"
#include "pci.h"

enum { SLOT = 2, COUNT = 64, BY_PIN = 0, BY_MESSAGE = 1 };

static uint32_t bar;
static uint8_t from[COUNT], to[COUNT];

static uint32_t get(unsigned reg)
{
	return read32(bar + reg);
}

static void set(unsigned reg, uint32_t value)
{
	write32(bar + reg, value);
}

static void check_registers(void)
{
	check_equal("identification", get(0), 0x010000ed);
	set(EDU_LIVENESS, 0x12345678);
	check_equal("liveness", get(EDU_LIVENESS), ~0x12345678u);
	set(EDU_FACTORIAL, 10);
	check_equal("factorial", get(EDU_FACTORIAL), 3628800);
	check_equal("no interrupt without the bit", get(EDU_INTERRUPTS), 0);
}

static void dma(uint32_t source, uint32_t target, uint32_t count, uint32_t command)
{
	set(EDU_DMA_SOURCE, source);
	set(EDU_DMA_TARGET, target);
	set(EDU_DMA_COUNT, count);
	set(EDU_DMA_COMMAND, EDU_DMA_RUN | command);
	for (unsigned i = 0; i < 20000 && get(EDU_DMA_COMMAND) & EDU_DMA_RUN; i++)
		breathe(1);
}

/* How many bytes of `to` are not those of `from`. */
static unsigned differences(void)
{
	const volatile uint8_t *a = from, *b = to;
	unsigned count = 0;

	for (unsigned i = 0; i < COUNT; i++)
		count += a[i] != b[i];
	return count;
}

static void check_dma(bool blocked)
{
	for (unsigned i = 0; i < COUNT; i++)
		from[i] = (uint8_t)(i + 1);
	dma((uint32_t)from, EDU_BUFFER, COUNT, 0);
	dma(EDU_BUFFER, (uint32_t)to, COUNT, EDU_DMA_TO_RAM);
	check_equal("DMA ends", get(EDU_DMA_COMMAND) & EDU_DMA_RUN, 0);
	check_equal(blocked ? "DMA is blocked" : "DMA there and back", differences(), blocked ? COUNT : 0);
	dma(EDU_BUFFER + 4096 - COUNT + 1, (uint32_t)from, COUNT, EDU_DMA_TO_RAM);
	check_equal("DMA beyond the buffer does nothing", from[0], 1);
	dma((uint32_t)from, EDU_BUFFER, COUNT, EDU_DMA_INTERRUPT);
	check_equal("DMA with interrupt", get(EDU_INTERRUPTS), EDU_REASON_DMA);
	set(EDU_ACKNOWLEDGE, EDU_REASON_DMA);
	write16(ecam(SLOT) + PCI_COMMAND, PCI_COMMAND_MEMORY);
	dma(EDU_BUFFER, (uint32_t)from, COUNT, EDU_DMA_TO_RAM);
	check_equal("DMA without bus mastering does nothing", from[0], 1);
	pci_enable(SLOT);
}

static void check_status(void)
{
	set(EDU_STATUS, 0xff);
	check_equal("status: only its interrupt bit can be set", get(EDU_STATUS), EDU_STATUS_INTERRUPT);
	set(EDU_FACTORIAL, 5);
	check_equal("factorial with interrupt", get(EDU_INTERRUPTS), EDU_REASON_FACTORIAL);
	set(EDU_RAISE, 0x30);
	check_equal("raised reasons add up", get(EDU_INTERRUPTS), 0x31);
	check_equal("PCI status shows it", read16(ecam(SLOT) + PCI_STATUS) & PCI_STATUS_INTERRUPT,
		    PCI_STATUS_INTERRUPT);
	set(EDU_ACKNOWLEDGE, 0x31);
	check_equal("acknowledged", get(EDU_INTERRUPTS), 0);
	check_equal("PCI status is clear", read16(ecam(SLOT) + PCI_STATUS) & PCI_STATUS_INTERRUPT, 0);
	set(EDU_STATUS, 0);
}

static void acknowledge_third(unsigned index)
{
	if (index == BY_PIN && interrupts[BY_PIN] == 3)
		set(EDU_ACKNOWLEDGE, UINT32_MAX);
}

/* The handler ends the interrupt twice without looking at the device: it has to come again each time. */
static void check_pin(void)
{
	const unsigned pin = read8(ecam(SLOT) + PCI_LINE);

	check_equal("interrupt pin A", read8(ecam(SLOT) + PCI_PIN), 1);
	check_equal("interrupt line", pin, 16 + SLOT % 8);
	ioapic_route(pin, BY_PIN, false);
	interrupt_work = acknowledge_third;
	set(EDU_RAISE, 1);
	wait_interrupts(BY_PIN, 3);
	check("level: comes again until the device lets go", interrupts_stop_at(BY_PIN, 3));
	check_equal("remote IRR is clear", (uint32_t)ioapic_entry(pin) & 1 << 14, 0);
}

static void check_masking(void)
{
	const unsigned pin = read8(ecam(SLOT) + PCI_LINE);

	interrupts[BY_PIN] = 2; /* the next one is acknowledged */
	ioapic_route(pin, BY_PIN, true);
	set(EDU_RAISE, 1);
	breathe(200);
	check_equal("masked in the IOAPIC: waits", interrupts[BY_PIN], 2);
	ioapic_route(pin, BY_PIN, false);
	check("unmasked: comes", wait_interrupts(BY_PIN, 3));
	interrupts[BY_PIN] = 2;
	write16(ecam(SLOT) + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	set(EDU_RAISE, 1);
	breathe(200);
	check_equal("disabled in the function: waits", interrupts[BY_PIN], 2);
	check_equal("disabled: PCI status shows it", read16(ecam(SLOT) + PCI_STATUS) & PCI_STATUS_INTERRUPT,
		    PCI_STATUS_INTERRUPT);
	pci_enable(SLOT);
	check("enabled: comes", wait_interrupts(BY_PIN, 3));
}

static void check_message(void)
{
	const unsigned msi = pci_find_capability(SLOT, PCI_CAP_MSI);
	const uint32_t at = ecam(SLOT) + msi;

	if (!check("MSI capability", msi != 0))
		return;
	check_equal("MSI: 64 bits, one message, off", read16(at + 2), 0x80);
	write32(at + 4, MSI_ADDRESS);
	write32(at + 8, 0);
	write16(at + 12, MSI_DATA(BY_MESSAGE));
	write16(at + 2, 1);
	interrupts[BY_PIN] = 0;
	set(EDU_RAISE, 2);
	check("MSI comes", wait_interrupts(BY_MESSAGE, 1));
	breathe(200);
	check_equal("MSI comes once", interrupts[BY_MESSAGE], 1);
	set(EDU_RAISE, 4);
	check("MSI comes for each reason", wait_interrupts(BY_MESSAGE, 2));
	check_equal("the pin is silent meanwhile", interrupts[BY_PIN], 0);
	set(EDU_ACKNOWLEDGE, UINT32_MAX);
	set(EDU_STATUS, EDU_STATUS_INTERRUPT);
	set(EDU_FACTORIAL, 3);
	check("MSI of a factorial", wait_interrupts(BY_MESSAGE, 3));
	set(EDU_ACKNOWLEDGE, UINT32_MAX);
	dma((uint32_t)from, EDU_BUFFER, COUNT, EDU_DMA_INTERRUPT);
	check("MSI of a DMA", wait_interrupts(BY_MESSAGE, 4));
	interrupts[BY_PIN] = 2;
	write16(at + 2, 0);
	check("MSI off: the pin takes over", wait_interrupts(BY_PIN, 3));
}

void payload(void)
{
	if (!check_equal("edu is at its slot", pci_find(EDU_ID, 0), SLOT))
		return;
	bar = pci_enable(SLOT);
	check_registers();
	check_dma(has_parameter("dma", "blocked"));
	check_status();
	interrupts_init();
	check_pin();
	check_masking();
	check_message();
}
