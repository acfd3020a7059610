/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest finds that relies on firmware: where BARs are, that they answer, and the other registers that firmware
 * writes. And where the window for BARs of 64 bits lies.
 */
#include <errno.h>
#include <linux/pci_regs.h>

#include "tests/support/board.h"
#include "tests/support/kvm_record.h"
#include "tests/support/test.h"
#include "vmm/kvm/kvm.h"
#include "vmm/layout/layout.h"
#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/util/loop.h"

enum { DEVICES = 20, FIRST_SLOT = 2, ANSWER = 0x5a };

#define GIB (1ull << 30)
#define WINDOW64 (1ull << 36)

static struct board board;
static struct loop *loop;
static struct pci_root *root;
static struct pci_dev devices[DEVICES];
static unsigned count;

static uint64_t bar_read(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size)
{
	(void)bar;
	(void)offset;
	(void)size;
	return ANSWER + (unsigned)(dev - devices);
}

static const struct pci_ops ops = {.bar_read = bar_read, .destroy = pci_dev_fini};
static const struct pci_ids ids = {.vendor = 0x1234, .device = 1};

static void create(uint64_t window64_size)
{
	count = 0;
	assert_int_equal(loop_create(&loop), 0);
	board_create(&board);
	const struct pci_root_config config = {.mmio = board.mmio,
					       .pio = board.pio,
					       .irqchip = board.chip,
					       .bar64 = WINDOW64,
					       .bar64_size = window64_size};

	assert_int_equal(pci_root_create(&config, &root), 0);
}

static int set_up(void **state)
{
	(void)state;
	create(LAYOUT_PCI64_SIZE);
	return 0;
}

static int set_up_without_window64(void **state)
{
	(void)state;
	create(0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pci_root_destroy(root);
	board_destroy(&board);
	loop_destroy(loop);
	return 0;
}

static int try_add(uint64_t size, bool is64, bool pin)
{
	struct pci_dev *dev = &devices[count];

	*dev = (struct pci_dev){0};
	assert_int_equal(pci_dev_init(dev, &ops, &ids), 0);
	if (size)
		pci_add_bar(dev, 0, size, is64, false);
	if (pin)
		pci_add_intx(dev);
	int err = pci_bus_add(pci_root_bus(root), dev, (FIRST_SLOT + count) << 3);

	if (err)
		pci_dev_fini(dev);
	else
		count++;
	return err;
}

static void add(uint64_t size, bool is64, bool pin)
{
	assert_int_equal(try_add(size, is64, pin), 0);
}

/* As a guest finds it, by configuration space alone. */
static uint64_t get(unsigned index, unsigned reg, unsigned size)
{
	return pci_root_config_read(root, 0, (FIRST_SLOT + index) << 3, reg, size);
}

static uint64_t address_of(unsigned index)
{
	const uint64_t low = get(index, PCI_BASE_ADDRESS_0, 4);
	const bool is64 = (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;

	return (low & ~0xfull) | (is64 ? get(index, PCI_BASE_ADDRESS_1, 4) << 32 : 0);
}

static bool is_low(unsigned index, uint64_t size)
{
	const uint64_t at = address_of(index);

	return at >= LAYOUT_PCI32 && at + size <= LAYOUT_PCI32 + LAYOUT_PCI32_SIZE && at % size == 0;
}

static bool is_high(unsigned index, uint64_t size)
{
	const uint64_t at = address_of(index);

	return at >= WINDOW64 && at + size <= WINDOW64 + LAYOUT_PCI64_SIZE && at % size == 0;
}

static void test_every_bar_answers_without_the_guest(void **state)
{
	const uint64_t sizes[] = {0x4000, 0x100000, 0x1000, 0x2000000};

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		add(sizes[i % 4], i & 1, false);
	assert_int_equal(pci_firmware_setup(root), 0);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(is_low(i, sizes[i % 4]));
		assert_int_equal(bus_read(board.mmio, address_of(i), 4), ANSWER + i);
		assert_int_equal(bus_read(board.mmio, address_of(i) + sizes[i % 4] - 4, 4), ANSWER + i);
	}
}

/* Memory decoding alone: no function may do DMA before its driver says so. */
static void test_command_register_has_decoding_and_no_bus_mastering(void **state)
{
	(void)state;
	add(0x4000, false, true);
	add(0, false, true);
	assert_int_equal(pci_firmware_setup(root), 0);
	assert_int_equal(get(0, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	assert_int_equal(get(1, PCI_COMMAND, 2), 0);
	assert_int_equal(pci_root_config_read(root, 0, 0, PCI_COMMAND, 2), 0);
}

static void test_interrupt_line_names_the_pins_gsi(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DEVICES; i++)
		add(0x1000, false, i % 3);
	assert_int_equal(pci_firmware_setup(root), 0);
	for (unsigned i = 0; i < DEVICES; i++) {
		assert_int_equal(get(i, PCI_INTERRUPT_PIN, 1), i % 3 ? 1 : 0);
		assert_int_equal(get(i, PCI_INTERRUPT_LINE, 1), i % 3 ? LAYOUT_INTX_GSI(FIRST_SLOT + i, 0) : 0);
	}
}

/*
 * Half of the window below 4 GiB is theirs. What does not fit there lies above, and BARs of 32 bits find room whatever
 * came before.
 */
static void test_bars_of_64_bits_lie_below_4_gib_while_there_is_room(void **state)
{
	(void)state;
	add(0x4000000, true, false); /* 64 MiB, four times */
	add(0x4000000, true, false);
	add(0x4000000, true, false);
	add(0x4000000, true, false);
	add(0x4000000, true, false);
	add(0x20000000, true, false);
	add(0x10000000, false, false);
	assert_int_equal(pci_firmware_setup(root), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_true(is_low(i, 0x4000000));
	assert_true(is_high(4, 0x4000000));
	assert_true(is_high(5, 0x20000000));
	assert_true(is_low(6, 0x10000000));
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(bus_read(board.mmio, address_of(i), 4), ANSWER + i);
}

static void test_a_bar_that_fits_nowhere_is_refused(void **state)
{
	(void)state;
	add(0x10000000, true, false);
	assert_int_equal(try_add(0x20000000, true, false), -ENOSPC);
	add(0x10000000, false, false);
	assert_int_equal(try_add(0x1000, false, false), -ENOSPC);
	assert_int_equal(pci_firmware_setup(root), 0);
	assert_int_equal(bus_read(board.mmio, address_of(0), 4), ANSWER);
	/* Without a window above, a BAR that the guest moves there does not answer, wherever "there" is. */
	pci_root_config_write(root, 0, FIRST_SLOT << 3, PCI_BASE_ADDRESS_1, WINDOW64 >> 32, 4);
	assert_int_equal(bus_read(board.mmio, WINDOW64, 4), UINT32_MAX);
}

/*
 * Above memory, within the address width, at a multiple of its size; smaller where it has to be, and not there at all
 * below 1 GiB.
 */
static void test_window64_is_within_the_address_width(void **state)
{
	static const struct {
		uint64_t top;
		unsigned bits;
		uint64_t first, size;
	} cases[] = {
		{4 * GIB, 46, 64 * GIB, 64 * GIB},
		{4 * GIB, 52, 64 * GIB, 64 * GIB},
		{4 * GIB, 39, 64 * GIB, 64 * GIB},
		{4 * GIB, 37, 64 * GIB, 64 * GIB},
		{4 * GIB, 36, 32 * GIB, 32 * GIB},
		{33 * GIB, 36, 48 * GIB, 16 * GIB},
		{63 * GIB, 36, 63 * GIB, 1 * GIB},
		{64 * GIB, 36, 0, 0},
		{65 * GIB, 36, 0, 0},
		{500 * GIB, 39, 504 * GIB, 8 * GIB},
		{4 * GIB, 32, 0, 0},
		{65536 * GIB - GIB / 2, 52, 0, 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t first, size;

		pci_window64(cases[i].top, cases[i].bits, &first, &size);
		assert_int_equal(first, cases[i].first);
		assert_int_equal(size, cases[i].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_bar_answers_without_the_guest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_command_register_has_decoding_and_no_bus_mastering, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_interrupt_line_names_the_pins_gsi, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bars_of_64_bits_lie_below_4_gib_while_there_is_room, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_bar_that_fits_nowhere_is_refused, set_up_without_window64,
						tear_down),
		cmocka_unit_test(test_window64_is_within_the_address_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
