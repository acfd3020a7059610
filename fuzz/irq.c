/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt requests against a table of entries that a guest wrote. The outcome is what the specification's chapter 5.1
 * gives, told once more with plain numbers; entries are read inside the table alone.
 */
#include <errno.h>

#include "fuzz/fuzz.h"
#include "lib/ir/ir.h"

enum { ENTRY = 16, ENTRIES_MAX = 64, TABLE = 0x7000 };

struct world {
	struct ir_table table;
	uint64_t entries[2 * ENTRIES_MAX];
	uint32_t readable; /* bytes of the table that have memory */
};

static int read_guest(void *opaque, uint64_t gpa, void *buffer, size_t len)
{
	const struct world *w = opaque;
	const uint64_t offset = gpa - TABLE;

	CHECK(gpa >= TABLE && offset + len <= (uint64_t)w->table.count * ENTRY, "read at 0x%llx",
	      (unsigned long long)gpa);
	if (offset + len > w->readable)
		return -EFAULT;
	memcpy(buffer, (const uint8_t *)w->entries + offset, len);
	return 0;
}

static bool sender_allowed(uint64_t high, uint16_t sender)
{
	static const unsigned kept[] = {0xffff, 0xfffb, 0xfff9, 0xfff8};
	const unsigned source = high & 0xffff, qualifier = high >> 16 & 3, validation = high >> 18 & 3;

	if (validation == 1)
		return (source & kept[qualifier]) == (sender & kept[qualifier]);
	if (validation == 2)
		return sender >> 8 >= source >> 8 && sender >> 8 <= (source & 0xff);
	return !validation;
}

/* 0, or the fault's number. */
static unsigned expect_entry(uint64_t low, uint64_t high, bool extended, uint16_t sender)
{
	const unsigned mode = low >> 5 & 7;
	const uint64_t reserved = extended ? 0x00000000ff00f000 : 0xffff00ffff00f000;

	if (!(low & 1))
		return 0x22;
	if (low & reserved || high >> 20 || mode == 3 || mode == 6)
		return 0x24;
	return sender_allowed(high, sender) ? 0 : 0x26;
}

static void check_message(uint64_t low, bool extended, const struct viommu_irq_message *message)
{
	const uint64_t destination = extended ? low >> 32 : low >> 40 & 0xff;
	const uint64_t address = 0xfee00000 | (destination & 0xff) << 12 | (destination & ~0xffull) << 32 |
				 (low >> 2 & 1) << 2 | (low >> 3 & 1) << 3;
	const uint32_t data = (low >> 16 & 0xff) | (low >> 5 & 7) << 8 | (low & 0x10 ? 0xc000 : 0);

	CHECK(message->address == address && message->data == data, "0x%llx, 0x%x",
	      (unsigned long long)message->address, message->data);
}

/* 0, 1: passes as it is, or the fault's number. */
static unsigned expect(const struct world *w, uint16_t sender, const struct viommu_irq_message *in, uint32_t *index)
{
	*index = UINT32_MAX;
	if (!w->table.enabled)
		return 1;
	if (in->address < 0xfee00000 || in->address > 0xfeefffff)
		return 0x20;
	if (!(in->address & 0x10))
		return w->table.extended || !w->table.compatibility_passes ? 0x25 : 1;
	*index = (in->address >> 5 & 0x7fff) | (in->address >> 2 & 1) << 15;
	if (in->address & 8) {
		if (in->data >> 16)
			return *index = UINT32_MAX, 0x20;
		*index += in->data;
	}
	if (*index >= w->table.count)
		return 0x21;
	if ((*index + 1ull) * ENTRY > w->readable)
		return 0x23;
	return expect_entry(w->entries[2 * *index], w->entries[2 * *index + 1], w->table.extended, sender);
}

static void check_request(const struct world *w, uint16_t sender, const struct viommu_irq_message *in)
{
	const struct ir_memory memory = {read_guest, (void *)w};
	struct ir_result result;
	uint32_t index;
	const unsigned wanted = expect(w, sender, in, &index);
	const enum ir_outcome outcome = ir_remap(&w->table, &memory, sender, in, &result);

	CHECK((outcome == IR_BLOCKED) == (wanted > 1), "outcome %d instead of 0x%x", outcome, wanted);
	if (outcome == IR_BLOCKED)
		CHECK(result.fault == wanted, "fault 0x%x instead of 0x%x", result.fault, wanted);
	if (wanted == 1)
		CHECK(outcome == IR_PASSED && result.message.address == in->address && result.message.data == in->data,
		      "changed");
	if (!wanted)
		check_message(w->entries[2 * index], w->table.extended, &result.message);
	if (!wanted || (wanted >= 0x21 && wanted != 0x25))
		CHECK(result.index == index, "entry %u instead of %u", result.index, index);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	const uint8_t flags = tape_u8(&tape);
	struct world w = {.table = {TABLE, 2u << flags % 6, flags & 0x10, flags & 0x20, flags & 0x40}};

	w.readable = flags & 0x80 ? tape_below(&tape, 65) * ENTRY : sizeof(w.entries);
	while (tape.left) {
		const uint8_t at = tape_u8(&tape) % ENTRIES_MAX;
		const uint16_t sender = tape_u16(&tape);
		struct viommu_irq_message in = {tape_u64(&tape), tape_u32(&tape)};

		w.entries[2 * at] = tape_u64(&tape);
		w.entries[2 * at + 1] = tape_u64(&tape);
		check_request(&w, sender, &in);
		/* And one that leads there. */
		in = (struct viommu_irq_message){0xfee00010 | (uint64_t)at << 5 | (in.address & 0xc), in.data};
		check_request(&w, sender, &in);
	}
	return 0;
}
