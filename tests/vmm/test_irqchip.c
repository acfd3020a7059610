/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOAPIC as software programs it, with and without a remapper behind it: messages, level interrupts and their ends.
 */
#include <errno.h>

#include "tests/support/kvm_record.h"
#include "tests/support/test.h"
#include "vmm/irqchip/route.h"
#include "vmm/kvm/kvm.h"
#include "vmm/layout/layout.h"
#include "vmm/util/bus.h"

enum {
	PIN = 5,
	IOAPIC_ID = 0xf0f8,
	WINDOW = 0x10,
	EOI = 0x40,
	TABLE = 0x10,
	LEVEL = 1 << 15,
	REMOTE_IRR = 1 << 14,
	MASKED = 1 << 16,
	HANDLE = 0x8123,
	VECTOR = 0x51,
};

static struct irqchip *chip;
static struct bus *mmio;
static struct msi_message asked; /* of the remapper, last */
static uint32_t entry;           /* what it gives for HANDLE; 0: blocked */
static unsigned reports;

static int remap(void *opaque, uint16_t requester, const struct msi_message *in, struct msi_message *out,
		 uint32_t *index, bool report)
{
	(void)opaque;
	assert_int_equal(requester, IOAPIC_ID);
	asked = *in;
	/* Bit 4: the remappable format. Else it goes through nothing. */
	if (!(in->address & 0x10)) {
		*out = *in;
		return 0;
	}
	*index = (in->address >> 5 & 0x7fff) | (in->address >> 2 & 1) << 15;
	*out = (struct msi_message){0xfee07000, entry};
	reports += report && !entry;
	return entry ? 0 : -EACCES;
}

static const struct irq_remapper_ops ops = {.remap = remap};

static int set_up(void **state)
{
	struct kvm none = {.vm = -1};

	(void)state;
	kvm_record_reset();
	reports = 0;
	entry = VECTOR;
	assert_int_equal(bus_create(&mmio), 0);
	return irqchip_create(&none, mmio, &chip);
}

static int set_up_remapping(void **state)
{
	const struct irq_remapper remapper = {&ops, NULL, IOAPIC_ID};
	const int error = set_up(state);

	irqchip_set_remapper(chip, &remapper);
	return error;
}

static int tear_down(void **state)
{
	(void)state;
	irqchip_destroy(chip);
	bus_destroy(mmio);
	return 0;
}

static void write_register(unsigned reg, uint32_t value)
{
	bus_write(mmio, LAYOUT_IOAPIC, reg, 4);
	bus_write(mmio, LAYOUT_IOAPIC + WINDOW, value, 4);
}

static uint32_t read_register(unsigned reg)
{
	bus_write(mmio, LAYOUT_IOAPIC, reg, 4);
	return (uint32_t)bus_read(mmio, LAYOUT_IOAPIC + WINDOW, 4);
}

static void write_entry(uint32_t high, uint32_t low)
{
	write_register(TABLE + 2 * PIN + 1, high);
	write_register(TABLE + 2 * PIN, low);
}

/* As Linux does: the handle in place of the destination, the pin in place of the vector. */
static void write_remappable(uint32_t flags)
{
	write_entry((HANDLE & 0x7fff) << 17 | 1 << 16, (HANDLE >> 15) << 11 | PIN | flags);
}

static void test_an_edge_goes_where_the_entry_says(void **state)
{
	(void)state;
	write_entry(3u << 24, VECTOR);
	irq_set_pin(chip, PIN, true);
	irq_set_pin(chip, PIN, false);
	irq_set_pin(chip, PIN, true);
	assert_int_equal(kvm.sent, 2);
	assert_true(kvm.last.address == 0xfee03000 && kvm.last.data == VECTOR);
	assert_true(kvm.routed[PIN] && kvm.message[PIN].data == VECTOR);
	/* Bits 55:48 are no part of it. */
	write_register(TABLE + 2 * PIN + 1, 0x03ff0000);
	assert_int_equal(read_register(TABLE + 2 * PIN + 1), 0x03000000);
}

static void check_level(uint32_t data, void (*end)(void))
{
	irq_set_pin(chip, PIN, true);
	assert_int_equal(kvm.sent, 1);
	assert_int_equal(kvm.last.data, data);
	assert_true(read_register(TABLE + 2 * PIN) & REMOTE_IRR);
	end();
	assert_int_equal(kvm.sent, 2); /* the line is still up */
	irq_set_pin(chip, PIN, false);
	end();
	assert_int_equal(kvm.sent, 2);
	assert_false(read_register(TABLE + 2 * PIN) & REMOTE_IRR);
}

static void end_by_processor(void)
{
	irq_eoi(chip, VECTOR);
}

static void end_by_register(void)
{
	bus_write(mmio, LAYOUT_IOAPIC + EOI, PIN, 4);
}

static void test_a_level_interrupt_ends_at_the_processor(void **state)
{
	(void)state;
	write_entry(0, VECTOR | LEVEL);
	/* So that KVM tells of the end. */
	assert_int_equal(kvm.message[PIN].data, VECTOR | 0xc000);
	check_level(VECTOR | 0xc000, end_by_processor);
}

/* Compatibility format, which the remapper lets pass. */
static void test_a_level_interrupt_that_passes_ends_at_the_processor(void **state)
{
	(void)state;
	write_entry(0, VECTOR | LEVEL);
	assert_int_equal(asked.data, VECTOR | 0xc000);
	assert_int_equal(kvm.message[PIN].data, VECTOR | 0xc000);
	check_level(VECTOR | 0xc000, end_by_processor);
}

/* The table's entry says edge, so only the register ends it; the vector there is the one in the pin's entry. */
static void test_a_remapped_level_interrupt_ends_by_the_register(void **state)
{
	(void)state;
	write_remappable(LEVEL);
	assert_int_equal(asked.address, 0xfee00010 | (HANDLE & 0x7fff) << 5 | 1 << 2);
	assert_int_equal(kvm.message[PIN].data, VECTOR);
	assert_int_equal(kvm.message[PIN].address, 0xfee07000);
	check_level(VECTOR, end_by_register);
}

static void test_a_pins_route_follows_its_table_entry(void **state)
{
	(void)state;
	write_remappable(0);
	const unsigned tables = kvm.tables;

	entry = VECTOR + 1;
	irqchip_remap_invalidate(chip, 0, HANDLE - 1);
	irqchip_remap_commit(chip);
	assert_int_equal(kvm.message[PIN].data, VECTOR);
	irqchip_remap_invalidate(chip, HANDLE, HANDLE);
	irqchip_remap_commit(chip);
	assert_int_equal(kvm.message[PIN].data, VECTOR + 1);
	assert_int_equal(kvm.tables, tables + 1);
	irq_set_pin(chip, PIN, true);
	assert_int_equal(kvm.last.data, VECTOR + 1);
}

static void test_a_blocked_pin_is_reported_and_tried_again(void **state)
{
	(void)state;
	entry = 0;
	write_remappable(LEVEL);
	assert_false(kvm.routed[PIN]);
	assert_int_equal(reports, 0);
	irq_set_pin(chip, PIN, true);
	assert_int_equal(reports, 1);
	assert_int_equal(kvm.sent, 0);
	assert_false(read_register(TABLE + 2 * PIN) & REMOTE_IRR);
	entry = VECTOR;
	write_remappable(LEVEL | MASKED);
	write_remappable(LEVEL);
	assert_int_equal(kvm.sent, 1);
	assert_true(kvm.routed[PIN]);
}

struct holder {
	struct irq_end_hook hook;
	unsigned ended;
	bool lets_go;
};

static void ended(void *opaque, unsigned gsi)
{
	struct holder *holder = opaque;

	assert_int_equal(gsi, PIN);
	holder->ended++;
	if (holder->lets_go)
		irq_set_pin(chip, gsi, false);
}

static struct holder holder_of(struct holder *holder, unsigned gsi)
{
	return (struct holder){.hook = {.gsi = gsi, .ended = ended, .opaque = holder}};
}

/* Several on one pin, and one on another; the line goes down before it would fire once more. */
static void check_hooks(void (*end)(void))
{
	struct holder first, second, other;

	first = holder_of(&first, PIN);
	second = holder_of(&second, PIN);
	other = holder_of(&other, PIN + 1);
	assert_int_equal(irq_end_hook_add(chip, &first.hook), 0);
	assert_int_equal(irq_end_hook_add(chip, &second.hook), 0);
	assert_int_equal(irq_end_hook_add(chip, &other.hook), 0);
	write_entry(0, VECTOR | LEVEL);
	irq_set_pin(chip, PIN, true);
	assert_int_equal(first.ended, 0);
	end();
	assert_int_equal(first.ended, 1);
	assert_int_equal(second.ended, 1);
	assert_int_equal(kvm.sent, 2); /* nobody has let go */

	second.lets_go = true;
	irq_end_hook_remove(chip, &first.hook);
	end();
	assert_int_equal(first.ended, 1);
	assert_int_equal(second.ended, 2);
	assert_int_equal(other.ended, 0);
	assert_int_equal(kvm.sent, 2);
	end(); /* of nothing */
	assert_int_equal(second.ended, 2);
	irq_end_hook_remove(chip, &second.hook);
	irq_end_hook_remove(chip, &other.hook);
}

static void test_hooks_hear_of_the_processors_end(void **state)
{
	(void)state;
	check_hooks(end_by_processor);
}

static void end_vector_by_register(void)
{
	bus_write(mmio, LAYOUT_IOAPIC + EOI, VECTOR, 4);
}

static void test_hooks_hear_of_the_registers_end(void **state)
{
	(void)state;
	check_hooks(end_vector_by_register);
}

static void test_a_hook_needs_a_pin(void **state)
{
	struct holder holder = holder_of(&holder, LAYOUT_IOAPIC_PINS);

	(void)state;
	assert_int_equal(irq_end_hook_add(chip, &holder.hook), -EINVAL);
}

#define TEST(function, begin) cmocka_unit_test_setup_teardown(function, begin, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_edge_goes_where_the_entry_says, set_up),
		TEST(test_hooks_hear_of_the_processors_end, set_up),
		TEST(test_hooks_hear_of_the_registers_end, set_up),
		TEST(test_a_hook_needs_a_pin, set_up),
		TEST(test_a_level_interrupt_ends_at_the_processor, set_up),
		TEST(test_a_level_interrupt_that_passes_ends_at_the_processor, set_up_remapping),
		TEST(test_a_remapped_level_interrupt_ends_by_the_register, set_up_remapping),
		TEST(test_a_pins_route_follows_its_table_entry, set_up_remapping),
		TEST(test_a_blocked_pin_is_reported_and_tried_again, set_up_remapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
