/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with more processors than 8-bit APIC ids: the payload "cpus" starts one of the last and interrupts it. */
#include <unistd.h>

#include "tests/support/test.h"
#include "vmm/config/config.h"
#include "vmm/kvm/ram.h"
#include "vmm/machine.h"

enum { MEMORY = 64 << 20, LONGEST = 120 };

/* What the payload writes to the exit port: 0, all went well. */
static uint32_t run(unsigned count, char *cmdline)
{
	const struct run_config config = {
		.kernel = (char *)PAYLOADS "/cpus",
		.cmdline = cmdline,
		.cpus = count,
		.memory.size = MEMORY,
		.iommu.eim = true,
		.serial = SERIAL_NONE,
	};
	struct machine *machine;
	struct ram ram;
	uint32_t value;

	if (access("/dev/kvm", R_OK | W_OK))
		skip();
	alarm(LONGEST);
	assert_int_equal(ram_init(&ram, MEMORY), 0);
	assert_int_equal(machine_create(&config, &(struct machine_host){&ram, NULL, -1}, &machine), 0);
	assert_int_equal(machine_run(machine), VM_END_EXIT);
	value = machine_exit_value(machine);
	machine_destroy(machine);
	ram_fini(&ram);
	alarm(0);
	return value;
}

static void test_the_last_of_301_starts_and_is_interrupted(void **state)
{
	(void)state;
	assert_int_equal(run(301, (char[]){"cpu=300"}), 0);
}

/* To an APIC with 8-bit ids that one means everybody. */
static void test_id_255_is_a_processor_like_others(void **state)
{
	(void)state;
	assert_int_equal(run(257, (char[]){"cpu=255"}), 0);
}

/* The test can fail: nobody has this id, which is 44 in eight bits. */
static void test_an_id_that_nobody_has_is_not_cut_off(void **state)
{
	(void)state;
	assert_int_equal(run(60, (char[]){"cpu=300"}), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_of_301_starts_and_is_interrupted),
		cmocka_unit_test(test_id_255_is_a_processor_like_others),
		cmocka_unit_test(test_an_id_that_nobody_has_is_not_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
