/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/irqchip/ioapic.h"

#include <string.h>

enum {
	OFFSET_SELECT = 0x00,
	OFFSET_WINDOW = 0x10,
	OFFSET_EOI = 0x40,
	REGISTER_ID = 0,
	REGISTER_VERSION = 1,
	REGISTER_ARBITRATION = 2,
	REGISTER_TABLE = 0x10, /* two registers a pin */
	VERSION = 0x20,
	ID_SHIFT = 24,
	ID_MASK = 0x0f,
	MODE_FIXED = 0,
	MODE_LOWEST = 1,
};

#define ENTRY_VECTOR 0xffull
#define ENTRY_MODE_SHIFT 8
#define ENTRY_MODE_MASK 7ull
#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_PENDING (1ull << 12)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASKED (1ull << 16)
#define ENTRY_ADDRESS_SHIFT 48 /* from here on: bits 19:4 of the message's address */
#define ENTRY_READ_ONLY (ENTRY_PENDING | ENTRY_REMOTE_IRR)
#define ENTRY_DEFINED 0xff0000000001ffffull
#define ENTRY_REMAPPABLE 0x00ff000000000000ull

#define MSI_ADDRESS 0xfee00000ull
#define MSI_ADDRESS_LOGICAL (1ull << 2)
#define MSI_DATA_ASSERT (1u << 14)
#define MSI_DATA_LEVEL (1u << 15)

/*
 * An entry says in other places what a message says (SDM volume 3, section 11.11), in the remappable format as well
 * (VT-d 5.1.5.1): there the vector and mode mean nothing, as the message has no subhandle.
 */
static struct msi_message entry_message(uint64_t entry)
{
	struct msi_message message = {
		.address = MSI_ADDRESS | entry >> ENTRY_ADDRESS_SHIFT << 4,
		.data = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_MODE_MASK << ENTRY_MODE_SHIFT)),
	};

	if (entry & ENTRY_LOGICAL)
		message.address |= MSI_ADDRESS_LOGICAL;
	if (entry & ENTRY_LEVEL)
		message.data |= MSI_DATA_LEVEL | MSI_DATA_ASSERT;
	return message;
}

/* Only these two end with an EOI; an NMI on a level pin must not wait for one. */
static bool waits_for_eoi(uint64_t entry)
{
	const unsigned mode = entry >> ENTRY_MODE_SHIFT & ENTRY_MODE_MASK;

	return entry & ENTRY_LEVEL && (mode == MODE_FIXED || mode == MODE_LOWEST);
}

static void fire(struct ioapic *ioapic, unsigned pin)
{
	uint64_t *entry = &ioapic->entries[pin];

	if (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR))
		return;
	if (ioapic->ops->deliver(ioapic->opaque, pin) && waits_for_eoi(*entry))
		*entry |= ENTRY_REMOTE_IRR;
}

/* A level pin fires whenever its line is up and nobody works on it. */
static void fire_level(struct ioapic *ioapic, unsigned pin)
{
	if (ioapic->entries[pin] & ENTRY_LEVEL && ioapic->lines >> pin & 1)
		fire(ioapic, pin);
}

static void write_entry(struct ioapic *ioapic, unsigned pin, bool high, uint32_t half)
{
	const uint64_t old = ioapic->entries[pin];
	const uint64_t mask = high ? 0xffffffffull << 32 : 0xffffffffull;
	uint64_t entry = ((old & ~mask) | (high ? (uint64_t)half << 32 : half)) & ioapic->defined & ~ENTRY_READ_ONLY;

	/* Kernels turn a pin to edge and back to get rid of a stuck remote IRR. */
	if (entry & ENTRY_LEVEL)
		entry |= old & ENTRY_REMOTE_IRR;
	ioapic->entries[pin] = entry;
	if (entry & ENTRY_MASKED)
		return;
	/* First the route, so that the EOI of what fires is seen. */
	ioapic->ops->retarget(ioapic->opaque, pin, entry_message(entry));
	fire_level(ioapic, pin);
}

static void write_register(struct ioapic *ioapic, uint32_t value)
{
	const unsigned index = ioapic->select;

	if (index == REGISTER_ID)
		ioapic->id = value >> ID_SHIFT & ID_MASK;
	else if (index >= REGISTER_TABLE && index < REGISTER_TABLE + 2 * LAYOUT_IOAPIC_PINS)
		write_entry(ioapic, (index - REGISTER_TABLE) / 2, index % 2, value);
}

static uint32_t read_register(const struct ioapic *ioapic)
{
	const unsigned index = ioapic->select;

	if (index == REGISTER_ID || index == REGISTER_ARBITRATION)
		return (uint32_t)ioapic->id << ID_SHIFT;
	if (index == REGISTER_VERSION)
		return VERSION | (LAYOUT_IOAPIC_PINS - 1) << 16;
	if (index < REGISTER_TABLE || index >= REGISTER_TABLE + 2 * LAYOUT_IOAPIC_PINS)
		return 0;

	const uint64_t entry = ioapic->entries[(index - REGISTER_TABLE) / 2];

	return (uint32_t)(index % 2 ? entry >> 32 : entry);
}

void ioapic_init(struct ioapic *ioapic, const struct ioapic_ops *ops, void *opaque)
{
	memset(ioapic, 0, sizeof(*ioapic));
	ioapic->ops = ops;
	ioapic->opaque = opaque;
	ioapic->defined = ENTRY_DEFINED;
	for (unsigned pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++)
		ioapic->entries[pin] = ENTRY_MASKED;
}

void ioapic_make_remappable(struct ioapic *ioapic)
{
	ioapic->defined |= ENTRY_REMAPPABLE;
}

uint32_t ioapic_read(const struct ioapic *ioapic, uint64_t offset)
{
	if (offset == OFFSET_SELECT)
		return ioapic->select;
	return offset == OFFSET_WINDOW ? read_register(ioapic) : 0;
}

uint32_t ioapic_write(struct ioapic *ioapic, uint64_t offset, uint32_t value)
{
	if (offset == OFFSET_SELECT)
		ioapic->select = (uint8_t)value;
	else if (offset == OFFSET_WINDOW)
		write_register(ioapic, value);
	return offset == OFFSET_EOI ? ioapic_eoi(ioapic, (uint8_t)value) : 0;
}

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level)
{
	const uint32_t bit = 1u << pin;
	const bool rises = level && !(ioapic->lines & bit);

	ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
	/* An edge at a masked pin is lost, as in the original. */
	if (rises)
		fire(ioapic, pin);
}

uint32_t ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	uint32_t ended = 0;

	for (unsigned pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->entries[pin];

		if (!(*entry & ENTRY_REMOTE_IRR) || (*entry & ENTRY_VECTOR) != vector)
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
		ended |= 1u << pin;
	}
	return ended;
}

void ioapic_fire_again(struct ioapic *ioapic, uint32_t pins)
{
	for (unsigned pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++)
		if (pins >> pin & 1)
			fire_level(ioapic, pin);
}
