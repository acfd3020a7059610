/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges on a bus: which one an access reaches, and what the others read. */
#include <errno.h>

#include "tests/support/test.h"
#include "vmm/util/bus.h"

static struct bus *bus;
static uint64_t last_offset, last_value;

static uint64_t take_read(void *opaque, uint64_t offset, unsigned size)
{
	last_offset = offset;
	return *(const uint64_t *)opaque + size;
}

static void take_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	(void)opaque;
	(void)size;
	last_offset = offset;
	last_value = value;
}

static int set_up(void **state)
{
	(void)state;
	last_offset = last_value = 99;
	return bus_create(&bus);
}

static int tear_down(void **state)
{
	(void)state;
	bus_destroy(bus);
	return 0;
}

static void test_an_access_reaches_the_range_that_covers_it(void **state)
{
	static const struct bus_ops ops = {.read = take_read, .write = take_write};
	uint64_t base = 0x1100;
	struct bus_range range = {.first = 0x10, .last = 0x17, .ops = &ops, .opaque = &base};
	struct bus_range other = {.first = 0x17, .last = 0x20, .ops = &ops, .opaque = &base};

	(void)state;
	assert_int_equal(bus_add(bus, &range), 0);
	assert_int_equal(bus_add(bus, &other), -EEXIST);
	assert_int_equal(bus_read(bus, 0x14, 4), 0x1104);
	assert_int_equal(last_offset, 4);
	assert_int_equal(bus_read(bus, 0x13, 1), 0x01); /* so many bytes of what the range says */
	bus_write(bus, 0x17, 0x55, 1);
	assert_int_equal(last_offset, 7);
	assert_int_equal(last_value, 0x55);
	bus_write(bus, 0x16, 0x66, 4); /* only in part */
	assert_int_equal(last_value, 0x55);
	assert_int_equal(bus_read(bus, 0x16, 4), UINT32_MAX);
	bus_remove(bus, &range);
	assert_int_equal(bus_read(bus, 0x14, 4), UINT32_MAX);
}

static void test_a_range_without_functions_reads_0_and_swallows_writes(void **state)
{
	static const struct bus_ops reads = {.read = take_read}, writes = {.write = take_write};
	uint64_t base = 0;
	struct bus_range readable = {.first = 0, .last = 7, .ops = &reads, .opaque = &base};
	struct bus_range writable = {.first = 8, .last = 15, .ops = &writes};

	(void)state;
	assert_int_equal(bus_add(bus, &readable), 0);
	assert_int_equal(bus_add(bus, &writable), 0);
	bus_write(bus, 0, 0x77, 4);
	assert_int_equal(last_value, 99);
	assert_int_equal(bus_read(bus, 0, 4), 4);
	assert_int_equal(bus_read(bus, 8, 4), 0);
	bus_write(bus, 12, 0x77, 4);
	assert_int_equal(last_offset, 4);
	assert_int_equal(last_value, 0x77);
	bus_remove(bus, &readable);
	bus_remove(bus, &writable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_access_reaches_the_range_that_covers_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_range_without_functions_reads_0_and_swallows_writes, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
