/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables as a guest finds them: each sums up to zero, and iasl takes the DSDT apart and together again without an
 * error (where there is no iasl that test is skipped).
 */
#include "tests/test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/acpi/acpi.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout.h"

enum { HEADER_SIZE = 36 };

static uint64_t number(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return value;
}

static bool sums_to_zero(const uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;

	while (size--)
		sum += *bytes++;
	return !sum;
}

static const uint8_t *table_at(const struct ram *ram, uint64_t gpa)
{
	const uint8_t *table = ram_at(ram, gpa, HEADER_SIZE);

	assert_non_null(table);
	assert_true(sums_to_zero(table, number(table + 4, 4)));
	return table;
}

static void build(struct ram *ram, uint64_t *rsdp)
{
	const struct acpi_endpoint endpoint = {.bdf = 2 << 3, .id = 2 << 3};
	const struct acpi_config config = {
		.vcpus = 2,
		.pci64 = 1ull << 36,
		.pci64_size = LAYOUT_PCI64_SIZE,
		.virtio_iommu_bdf = 1 << 3,
		.endpoints = &endpoint,
		.endpoint_count = 1,
	};

	assert_int_equal(ram_init(ram, 2 << 20), 0);
	assert_int_equal(acpi_build(ram, &config, rsdp), 0);
}

/* The DSDT hangs on the FADT, at offset 140. */
static const uint8_t *find_dsdt(const struct ram *ram, uint64_t rsdp)
{
	const uint8_t *root = table_at(ram, number((uint8_t *)ram_at(ram, rsdp, 36) + 24, 8));
	const uint8_t *dsdt = NULL;

	for (size_t at = HEADER_SIZE; at < number(root + 4, 4); at += 8) {
		const uint8_t *table = table_at(ram, number(root + at, 8));

		if (!memcmp(table, "FACP", 4))
			dsdt = table_at(ram, number(table + 140, 8));
	}
	assert_non_null(dsdt);
	return dsdt;
}

static void test_tables_have_their_sums(void **state)
{
	struct ram ram;
	uint64_t rsdp;

	(void)state;
	build(&ram, &rsdp);
	assert_true(sums_to_zero(ram_at(&ram, rsdp, 36), 20));
	assert_true(sums_to_zero(ram_at(&ram, rsdp, 36), 36));
	assert_int_equal(memcmp(find_dsdt(&ram, rsdp), "DSDT", 4), 0);
	ram_fini(&ram);
}

static int run(const char *format, const char *folder)
{
	char command[512];
	int status;

	snprintf(command, sizeof(command), format, folder);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Every pin of every slot has its line in _PRT: package, address, pin, no source, GSI. */
static void test_dsdt_is_good_aml(void **state)
{
	char folder[] = "/tmp/viommu-acpi-XXXXXX", path[64];
	const uint8_t *dsdt;
	struct ram ram;
	uint64_t rsdp;
	FILE *file;

	(void)state;
	if (run("iasl -v >%s", "/dev/null"))
		skip();
	build(&ram, &rsdp);
	dsdt = find_dsdt(&ram, rsdp);
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/dsdt.aml", folder);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(dsdt, number(dsdt + 4, 4), 1, file), 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(run("cd %s && iasl -d dsdt.aml >out 2>&1 && iasl -ve dsdt.dsl >>out 2>&1", folder), 0);
	assert_int_equal(run("test $(grep -c '0x[0-9A-F]*FFFF,' %s/dsdt.dsl) -ge 128", folder), 0);
	assert_int_equal(run("rm -r %s", folder), 0);
	ram_fini(&ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_have_their_sums),
		cmocka_unit_test(test_dsdt_is_good_aml),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
