/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration by the ports 0xcf8 and 0xcfc: every size at every port, with every value of the address register's two
 * lowest bits. What a function's registers hold is written here by hand, so each byte tells where it came from.
 */
#include <linux/pci_regs.h>
#include <string.h>

#include "tests/support/test.h"
#include "vmm/layout/layout.h"
#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/util/bus.h"

enum { SLOT = 5, ADDRESS = LAYOUT_PORT_PCI, DATA = LAYOUT_PORT_PCI + 4, REGISTERS = 256, SCRATCH = 0x80 };

#define ENABLE (1u << 31)

static struct bus *mmio, *pio;
static struct pci_root *root;
static struct pci_dev dev;

static const struct pci_ops ops = {.destroy = pci_dev_fini};
static const struct pci_ids ids = {.vendor = 0x1234, .device = 1};

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(bus_create(&mmio), 0);
	assert_int_equal(bus_create(&pio), 0);
	const struct pci_root_config config = {.mmio = mmio, .pio = pio};

	assert_int_equal(pci_root_create(&config, &root), 0);
	dev = (struct pci_dev){0};
	assert_int_equal(pci_dev_init(&dev, &ops, &ids), 0);
	assert_int_equal(pci_bus_add(pci_root_bus(root), &dev, SLOT << 3), 0);
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		dev.config[i] = (uint8_t)(i * 7 + 1);
	memset(&dev.writable[SCRATCH], 0xff, PCI_CONFIG_SIZE - SCRATCH);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pci_root_destroy(root);
	bus_destroy(pio);
	bus_destroy(mmio);
	return 0;
}

static void select_register(unsigned reg)
{
	bus_write(pio, ADDRESS, ENABLE | SLOT << 11 | reg, 4);
}

static uint32_t ones(unsigned size)
{
	return size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
}

/* The bytes from `first` on. */
static uint32_t bytes_at(unsigned first, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)dev.config[first + i] << 8 * i;
	return value;
}

/* Does the access lie within the four ports? */
static bool fits(unsigned port, unsigned size)
{
	return port + size <= 4;
}

static void test_reads_begin_at_the_bits_of_address_and_port(void **state)
{
	unsigned tried = 0;

	(void)state;
	for (unsigned reg = 0; reg < REGISTERS; reg++) {
		select_register(reg);
		for (unsigned port = 0; port < 4; port++) {
			for (unsigned size = 1; size <= 4; size *= 2) {
				const unsigned first = reg | port;
				const bool there = fits(port, size) && first + size <= REGISTERS;

				assert_int_equal(bus_read(pio, DATA + port, size),
						 there ? bytes_at(first, size) : ones(size));
				tried++;
			}
		}
	}
	assert_int_equal(tried, REGISTERS * 4 * 3);
}

static void test_writes_go_where_reads_come_from(void **state)
{
	uint8_t before[PCI_CONFIG_SIZE];

	(void)state;
	for (unsigned reg = REGISTERS - 16; reg < REGISTERS; reg++) {
		select_register(reg);
		for (unsigned port = 0; port < 4; port++) {
			for (unsigned size = 1; size <= 4; size *= 2) {
				const unsigned first = reg | port;

				memcpy(before, dev.config, sizeof(before));
				bus_write(pio, DATA + port, ~bytes_at(first, size), size);
				for (unsigned i = 0; fits(port, size) && first + size <= REGISTERS && i < size; i++)
					before[first + i] = (uint8_t)~before[first + i];
				assert_memory_equal(dev.config + SCRATCH, before + SCRATCH, sizeof(before) - SCRATCH);
			}
		}
	}
}

/* The register takes and gives four bytes at once; anything else at its ports is an access to nothing. */
static void test_address_register_is_a_doubleword(void **state)
{
	(void)state;
	bus_write(pio, ADDRESS, UINT32_MAX, 4);
	assert_int_equal(bus_read(pio, ADDRESS, 4), 0x80ffffff);
	select_register(2);
	for (unsigned port = 0; port < 4; port++) {
		for (unsigned size = 1; size <= 4; size *= 2) {
			if (!port && size == 4)
				continue;
			assert_int_equal(bus_read(pio, ADDRESS + port, size), ones(size));
			bus_write(pio, ADDRESS + port, 0, size);
			assert_int_equal(bus_read(pio, ADDRESS, 4), ENABLE | SLOT << 11 | 2);
		}
	}
}

static void test_nothing_answers_while_it_is_not_enabled(void **state)
{
	uint8_t before[PCI_CONFIG_SIZE];

	(void)state;
	memcpy(before, dev.config, sizeof(before));
	bus_write(pio, ADDRESS, SLOT << 11 | SCRATCH, 4);
	for (unsigned port = 0; port < 4; port++) {
		for (unsigned size = 1; size <= 4; size *= 2) {
			assert_int_equal(bus_read(pio, DATA + port, size), ones(size));
			bus_write(pio, DATA + port, 0, size);
		}
	}
	assert_memory_equal(dev.config, before, sizeof(before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reads_begin_at_the_bits_of_address_and_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_writes_go_where_reads_come_from, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_address_register_is_a_doubleword, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_answers_while_it_is_not_enabled, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
