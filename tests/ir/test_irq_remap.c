/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt remapping: each field of requests and entries by hand, each reserved bit, the order of the checks, entries
 * that change while they are read, and random ones against a decoder that picks its bits one by one.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ir/ir.h"
#include "tests/support/test.h"

enum { ENTRIES = 64, TABLE = 0x1000, REQUESTER = 0x0310, VECTOR = 0x41, CPU = 5 };

/* Guest memory, the table at TABLE. A script may change it: `step` runs before each read. */
struct memory {
	uint64_t words[2 * ENTRIES];
	unsigned reads;
	void (*step)(struct memory *memory, uint64_t word);
};

static int read_memory(void *opaque, uint64_t gpa, void *buffer, size_t len)
{
	struct memory *memory = opaque;

	if (gpa < TABLE || gpa - TABLE > sizeof(memory->words) - len)
		return -EFAULT;
	if (memory->step)
		memory->step(memory, (gpa - TABLE) / 8);
	memory->reads++;
	memcpy(buffer, (uint8_t *)memory->words + (gpa - TABLE), len);
	return 0;
}

static const struct ir_table xapic = {.gpa = TABLE, .count = ENTRIES, .enabled = true};
static const struct ir_table x2apic = {.gpa = TABLE, .count = ENTRIES, .enabled = true, .extended = true};

static const uint64_t good_low = 1 | (uint64_t)VECTOR << 16 | (uint64_t)CPU << 40;
static const uint64_t good_high = REQUESTER | 1 << 18;

static uint64_t remappable(unsigned handle, bool subhandle)
{
	return 0xfee00010u | (handle & 0x7fff) << 5 | (handle >> 15) << 2 | (unsigned)subhandle << 3;
}

static enum ir_outcome request(const struct ir_table *table, struct memory *memory, uint64_t address, uint32_t data,
			       struct ir_result *out)
{
	const struct ir_memory reader = {read_memory, memory};
	const struct viommu_irq_message in = {address, data};

	return ir_remap(table, &reader, REQUESTER, &in, out);
}

static void expect_fault(const struct ir_table *table, struct memory *memory, uint64_t address, uint32_t data,
			 unsigned fault)
{
	struct ir_result result;

	assert_int_equal(request(table, memory, address, data, &result), IR_BLOCKED);
	assert_int_equal(result.fault, fault);
}

/* Entry 0 and what it gives. */
static void expect_message(const struct ir_table *table, uint64_t low, uint64_t high, uint64_t address, uint32_t data)
{
	struct memory memory = {.words = {low, high}};
	struct ir_result result;

	assert_int_equal(request(table, &memory, remappable(0, false), 0, &result), IR_REMAPPED);
	assert_int_equal(result.message.address, address);
	assert_int_equal(result.message.data, data);
	assert_int_equal(result.index, 0);
}

static void test_each_field_of_an_entry_reaches_the_message(void **state)
{
	static const struct {
		uint64_t low;
		uint64_t address;
		uint32_t data;
	} rows[] = {
		{0, 0xfee00000, 0},
		{1ull << 1, 0xfee00000, 0},
		{1ull << 2, 0xfee00004, 0},
		{1ull << 3, 0xfee00008, 0},
		{1ull << 4, 0xfee00000, 0xc000},
		{1ull << 5, 0xfee00000, 0x100}, /* lowest priority */
		{2ull << 5, 0xfee00000, 0x200}, /* SMI */
		{4ull << 5, 0xfee00000, 0x400}, /* NMI */
		{5ull << 5, 0xfee00000, 0x500}, /* INIT */
		{7ull << 5, 0xfee00000, 0x700}, /* ExtINT */
		{0xfull << 8, 0xfee00000, 0},   /* available to software */
		{0xa5ull << 16, 0xfee00000, 0xa5},
		{0xa5ull << 40, 0xfeea5000, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_message(&xapic, rows[i].low | 1, 0, rows[i].address, rows[i].data);
	expect_message(&x2apic, 1 | 0x123456a5ull << 32, 0, 0xfeea5000 | 0x12345600ull << 32, 0);
	expect_message(&x2apic, 1 | 0xffffffffull << 32, 0, 0xfeeff000 | 0xffffff00ull << 32, 0);
}

/* Reserved in an entry; with destinations of 32 bits their field is all in use. */
static bool low_reserved(unsigned bit, bool extended)
{
	return (bit >= 12 && bit <= 15) || (bit >= 24 && bit <= 31) ||
	       (!extended && ((bit >= 32 && bit <= 39) || bit >= 48));
}

static void test_every_reserved_bit_of_an_entry_blocks(void **state)
{
	(void)state;
	for (unsigned bit = 1; bit < 128; bit++) {
		for (unsigned extended = 0; extended < 2; extended++) {
			const bool reserved = bit < 64 ? low_reserved(bit, extended) : bit >= 84;
			struct memory memory = {.words = {1, 0}};
			struct ir_result result;

			memory.words[bit / 64] |= 1ull << bit % 64;
			const enum ir_outcome outcome =
				request(extended ? &x2apic : &xapic, &memory, remappable(0, false), 0, &result);

			if (reserved)
				assert_true(outcome == IR_BLOCKED && result.fault == 0x24 && !result.silent);
			else if (bit == 83) /* validation by bus: of bus 0 only */
				assert_true(outcome == IR_BLOCKED && result.fault == 0x26);
			else if (bit == 82)
				assert_true(outcome == IR_BLOCKED && result.fault == 0x26);
			else
				assert_int_equal(outcome, IR_REMAPPED);
		}
	}
}

static void test_reserved_delivery_modes_block(void **state)
{
	(void)state;
	for (uint64_t mode = 0; mode < 8; mode++) {
		struct memory memory = {.words = {good_low | mode << 5, good_high}};
		struct ir_result result;

		if (mode == 3 || mode == 6)
			expect_fault(&xapic, &memory, remappable(0, false), 0, 0x24);
		else
			assert_int_equal(request(&xapic, &memory, remappable(0, false), 0, &result), IR_REMAPPED);
	}
}

static bool from(uint16_t requester, uint64_t high)
{
	struct ir_result result;
	const struct vtd_irte irte = {good_low, high};

	if (ir_entry_remap(irte, false, requester, &result) == IR_REMAPPED)
		return true;
	assert_int_equal(result.fault, 0x26);
	return false;
}

static void test_sources_are_validated(void **state)
{
	const uint64_t none = 0, id = 1ull << 18, bus = 2ull << 18, reserved = 3ull << 18;

	(void)state;
	assert_true(from(0xffff, none | 0x1234));
	for (unsigned other = 0; other < 0x10000; other++) {
		assert_int_equal(from((uint16_t)other, id | 0x0312), other == 0x0312);
		assert_int_equal(from((uint16_t)other, id | 1 << 16 | 0x0312), (other & ~4u) == 0x0312);
		assert_int_equal(from((uint16_t)other, id | 2 << 16 | 0x0312), (other & ~6u) == 0x0310);
		assert_int_equal(from((uint16_t)other, id | 3 << 16 | 0x0312), (other & ~7u) == 0x0310);
		assert_int_equal(from((uint16_t)other, bus | 0x0305), other >> 8 >= 3 && other >> 8 <= 5);
		assert_false(from((uint16_t)other, bus | 0x0503));
		assert_false(from((uint16_t)other, reserved | other));
	}
	/* The qualifier is for ids alone. */
	assert_true(from(0x0400, bus | 3 << 16 | 0x0305));
}

static void test_handle_and_subhandle_name_the_entry(void **state)
{
	struct memory memory = {0};
	struct ir_result result;

	(void)state;
	for (unsigned i = 0; i < ENTRIES; i++) {
		memory.words[2 * i] = 1 | (uint64_t)i << 16;
		memory.words[2 * i + 1] = 0;
	}
	for (unsigned handle = 0; handle < ENTRIES; handle++) {
		/* Without a subhandle the data means nothing, and bits 1:0 of the address never do. */
		assert_int_equal(request(&xapic, &memory, remappable(handle, false) | 3, UINT32_MAX, &result),
				 IR_REMAPPED);
		assert_int_equal(result.index, handle);
		assert_int_equal(result.message.data, handle);
		for (unsigned sub = 0; handle + sub < ENTRIES; sub++) {
			assert_int_equal(request(&xapic, &memory, remappable(handle, true), sub, &result), IR_REMAPPED);
			assert_int_equal(result.index, handle + sub);
			assert_int_equal(result.message.data, handle + sub);
		}
	}
}

static void test_the_index_is_bounded_by_the_table(void **state)
{
	struct ir_table table = xapic;
	struct memory memory = {0};
	struct ir_result result;

	(void)state;
	for (table.count = 2; table.count <= ENTRIES; table.count *= 2) {
		assert_int_equal(request(&table, &memory, remappable(table.count - 1, false), 0, &result), IR_BLOCKED);
		assert_int_equal(result.fault, 0x22);
		expect_fault(&table, &memory, remappable(table.count, false), 0, 0x21);
		expect_fault(&table, &memory, remappable(table.count - 1, true), 1, 0x21);
	}
	/* Bit 15 of the handle, and a sum that does not fit into 16 bits. */
	assert_int_equal(request(&xapic, &memory, remappable(0x8000, false), 0, &result), IR_BLOCKED);
	assert_true(result.index == 0x8000 && result.fault == 0x21);
	table.count = VTD_IRTE_MAX;
	assert_int_equal(request(&table, &memory, remappable(0xffff, true), 0xffff, &result), IR_BLOCKED);
	assert_true(result.index == 0x1fffe && result.fault == 0x21);
	assert_int_equal(memory.reads % 3, 0);
}

static void test_reserved_bits_of_a_request_block(void **state)
{
	struct memory memory = {.words = {good_low, good_high}};
	struct ir_result result;

	(void)state;
	for (unsigned bit = 32; bit < 64; bit++)
		expect_fault(&xapic, &memory, remappable(0, false) | 1ull << bit, 0, 0x20);
	for (unsigned bit = 16; bit < 32; bit++) {
		expect_fault(&xapic, &memory, remappable(0, true), 1u << bit, 0x20);
		assert_int_equal(request(&xapic, &memory, remappable(0, false), 1u << bit, &result), IR_REMAPPED);
	}
	for (unsigned bit = 20; bit < 32; bit++)
		expect_fault(&xapic, &memory, remappable(0, false) ^ 1ull << bit, 0, 0x20);
}

static void test_the_table_must_be_readable(void **state)
{
	struct ir_table table = xapic;
	struct memory memory = {.words = {good_low, good_high}};

	(void)state;
	table.count = VTD_IRTE_MAX;
	expect_fault(&table, &memory, remappable(ENTRIES, false), 0, 0x23);
	table.gpa = UINT64_MAX & ~0xfffull;
	expect_fault(&table, &memory, remappable(0, false), 0, 0x23);
}

static void test_compatibility_format_passes_or_is_blocked(void **state)
{
	struct memory memory = {.words = {good_low, good_high}};
	struct ir_result result;

	(void)state;
	for (unsigned flags = 0; flags < 8; flags++) {
		const struct ir_table table = {
			.gpa = TABLE,
			.count = ENTRIES,
			.enabled = flags & 1,
			.extended = flags & 2,
			.compatibility_passes = flags & 4,
		};
		const bool passes = !table.enabled || (!table.extended && table.compatibility_passes);

		assert_int_equal(request(&table, &memory, 0xfee05000, 0x4041, &result),
				 passes ? IR_PASSED : IR_BLOCKED);
		assert_int_equal(result.index, IR_NO_INDEX);
		if (passes)
			assert_true(result.message.address == 0xfee05000 && result.message.data == 0x4041);
		else
			assert_true(result.fault == 0x25 && !result.silent);
	}
	/* Switched off, it looks at nothing. */
	const struct ir_table off = {0};

	assert_int_equal(request(&off, &memory, remappable(7, true), UINT32_MAX, &result), IR_PASSED);
	assert_int_equal(result.message.address, remappable(7, true));
	assert_int_equal(memory.reads, 0);
}

/*
 * An entry with everything wrong, mended step by step, shows its faults in order; FPD silences just the qualified ones.
 */
static void test_checks_come_in_order_and_fpd_silences(void **state)
{
	struct memory memory = {.words = {0x1000 | 2, (REQUESTER ^ 0x100) | 1 << 18}};
	struct ir_table table = xapic;
	struct ir_result result;

	(void)state;
	table.count = 2;
	assert_int_equal(request(&table, &memory, remappable(2, true) | 1ull << 32, 1 << 16, &result), IR_BLOCKED);
	assert_true(result.fault == 0x20 && !result.silent);
	assert_int_equal(request(&table, &memory, remappable(2, true), 0, &result), IR_BLOCKED);
	assert_true(result.fault == 0x21 && !result.silent);
	for (unsigned silent = 0; silent < 2; silent++) {
		const uint64_t fpd = (uint64_t)silent << 1;

		memory.words[0] = 0x1000 | fpd;
		assert_int_equal(request(&table, &memory, remappable(0, true), 0, &result), IR_BLOCKED);
		assert_true(result.fault == 0x22 && result.silent == silent);
		memory.words[0] |= 1;
		assert_int_equal(request(&table, &memory, remappable(0, true), 0, &result), IR_BLOCKED);
		assert_true(result.fault == 0x24 && result.silent == silent);
		memory.words[0] ^= 0x1000;
		assert_int_equal(request(&table, &memory, remappable(0, true), 0, &result), IR_BLOCKED);
		assert_true(result.fault == 0x26 && result.silent == silent && result.index == 0);
	}
}

/* A guest stores a new entry, one half after the other, after any read of ours: no mixture that never was in memory. */
static unsigned store_at, store_gap;

static void store_low_then_high(struct memory *memory, uint64_t word)
{
	(void)word;
	if (memory->reads == store_at)
		memory->words[0] = 1 | 0x99 << 16;
	if (memory->reads == store_at + store_gap)
		memory->words[1] = good_high;
}

static void store_high_then_low(struct memory *memory, uint64_t word)
{
	(void)word;
	if (memory->reads == store_at)
		memory->words[1] = 1 << 18 | 0x7777;
	if (memory->reads == store_at + store_gap)
		memory->words[0] = 1 | 0x99 << 16;
}

static void test_an_entry_in_change_is_read_as_it_stood(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 18; i++) {
		struct memory up = {.words = {good_low, 1 << 18 | 0x7777}, .step = store_low_then_high};
		struct memory down = {.words = {good_low, good_high}, .step = store_high_then_low};
		struct ir_result result;

		store_at = i % 6;
		store_gap = i / 6;
		/*
		 * In memory at once: {old, old}, {new, old}, {new, new}. The new source never comes with the old
		 * vector.
		 */
		const enum ir_outcome first = request(&xapic, &up, remappable(0, false), 0, &result);

		if (first == IR_REMAPPED)
			assert_int_equal(result.message.data, 0x99);
		else
			assert_int_equal(result.fault, 0x26);
		/* {old, old}, {old, new}, {new, new}: the old vector only with the old source. */
		const enum ir_outcome second = request(&xapic, &down, remappable(0, false), 0, &result);

		if (second == IR_REMAPPED)
			assert_int_equal(result.message.data, VECTOR);
		else
			assert_int_equal(result.fault, 0x26);
	}
}

static void never_the_same(struct memory *memory, uint64_t word)
{
	if (!word)
		memory->words[0] = 1 | (uint64_t)(memory->reads & 0xff) << 16;
}

static void test_an_entry_that_never_stands_still_is_unreadable(void **state)
{
	struct memory memory = {.step = never_the_same};

	(void)state;
	expect_fault(&xapic, &memory, remappable(0, false), 0, 0x23);
	assert_true(memory.reads < 32);
}

/* The naive decoder: a bit at a time, out of an array. */
static unsigned long bits(const uint64_t words[2], unsigned last, unsigned first)
{
	unsigned long value = 0;

	for (unsigned bit = last + 1; bit-- > first;)
		value = value << 1 | (words[bit / 64] >> bit % 64 & 1);
	return value;
}

static bool naive_source(const uint64_t e[2], unsigned requester)
{
	const unsigned long sid = bits(e, 79, 64), bus = requester >> 8;

	switch (bits(e, 83, 82)) {
	case 0:
		return true;
	case 1:
		switch (bits(e, 81, 80)) {
		case 0:
			return sid == requester;
		case 1:
			return (sid | 4) == (requester | 4);
		case 2:
			return (sid | 6) == (requester | 6);
		default:
			return (sid | 7) == (requester | 7);
		}
	case 2:
		return bits(e, 79, 72) <= bus && bits(e, 71, 64) >= bus;
	default:
		return false;
	}
}

static unsigned naive_fault(const uint64_t e[2], bool extended, unsigned requester)
{
	const unsigned long mode = bits(e, 7, 5);

	if (!bits(e, 0, 0))
		return 0x22;
	if (bits(e, 15, 12) || bits(e, 31, 24) || bits(e, 127, 84) || mode == 3 || mode == 6)
		return 0x24;
	if (!extended && (bits(e, 39, 32) || bits(e, 63, 48)))
		return 0x24;
	return naive_source(e, requester) ? 0 : 0x26;
}

static void check_against_naive(const uint64_t e[2], bool extended, uint16_t requester)
{
	const struct vtd_irte irte = {e[0], e[1]};
	const unsigned fault = naive_fault(e, extended, requester);
	const unsigned long destination = extended ? bits(e, 63, 32) : bits(e, 47, 40);
	struct ir_result result;

	if (fault) {
		assert_int_equal(ir_entry_remap(irte, extended, requester, &result), IR_BLOCKED);
		assert_int_equal(result.fault, fault);
		assert_int_equal(result.silent, bits(e, 1, 1));
		return;
	}
	assert_int_equal(ir_entry_remap(irte, extended, requester, &result), IR_REMAPPED);
	assert_int_equal(result.message.address, 0xfee00000ul + destination % 256 * 4096 + bits(e, 3, 3) * 8 +
							 bits(e, 2, 2) * 4 + destination / 256 * 256 * (1ul << 32));
	assert_int_equal(result.message.data, bits(e, 23, 16) + bits(e, 7, 5) * 256 + bits(e, 4, 4) * 0xc000);
}

static uint64_t random_word(void)
{
	return (uint64_t)(uint32_t)mrand48() << 32 | (uint32_t)mrand48();
}

/* Mostly entries with nothing reserved, with sources near the requester; a third has a bit flipped anywhere. */
static void test_random_entries_agree_with_the_naive_decoder(void **state)
{
	unsigned remapped = 0;

	(void)state;
	srand48(7);
	for (unsigned i = 0; i < 300000; i++) {
		const bool extended = mrand48() & 1;
		const uint16_t requester = (uint16_t)(random_word() & 0x070f);
		uint64_t e[2] = {random_word() & ~VTD_IRTE_LOW_RESERVED, random_word() & 0xf070f};
		struct ir_result result;

		if (!extended)
			e[0] &= ~VTD_IRTE_LOW_RESERVED_XAPIC;
		e[0] |= i % 8 != 0;
		if (i % 3 == 0) {
			const unsigned bit = (unsigned)random_word() % 128;

			e[bit / 64] ^= 1ull << bit % 64;
		}
		check_against_naive(e, extended, requester);
		remapped += !ir_entry_remap((struct vtd_irte){e[0], e[1]}, extended, requester, &result);
	}
	assert_in_range(remapped, 30000, 270000);
}

static void test_requests_are_dwords_in_the_window(void **state)
{
	(void)state;
	assert_true(viommu_irq_is_request(0xfee00000, 4));
	assert_true(viommu_irq_is_request(0xfeeffffc, 4));
	assert_false(viommu_irq_is_request(0xfeeffffc, 8));
	assert_false(viommu_irq_is_request(0xfee00002, 4));
	assert_false(viommu_irq_is_request(0xfedffffc, 4));
	assert_false(viommu_irq_is_request(0xfef00000, 4));
	assert_false(viommu_irq_is_request(0x1fee00000, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_field_of_an_entry_reaches_the_message),
		cmocka_unit_test(test_every_reserved_bit_of_an_entry_blocks),
		cmocka_unit_test(test_reserved_delivery_modes_block),
		cmocka_unit_test(test_sources_are_validated),
		cmocka_unit_test(test_handle_and_subhandle_name_the_entry),
		cmocka_unit_test(test_the_index_is_bounded_by_the_table),
		cmocka_unit_test(test_reserved_bits_of_a_request_block),
		cmocka_unit_test(test_the_table_must_be_readable),
		cmocka_unit_test(test_compatibility_format_passes_or_is_blocked),
		cmocka_unit_test(test_checks_come_in_order_and_fpd_silences),
		cmocka_unit_test(test_an_entry_in_change_is_read_as_it_stood),
		cmocka_unit_test(test_an_entry_that_never_stands_still_is_unreadable),
		cmocka_unit_test(test_random_entries_agree_with_the_naive_decoder),
		cmocka_unit_test(test_requests_are_dwords_in_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
