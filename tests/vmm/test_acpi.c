/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables as a guest finds them: each sums up to zero, and iasl takes the DSDT apart and together again without
 * an error (where there is no iasl that test is skipped).
 */
#include "tests/support/test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/acpi/acpi.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

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

static void build_with(struct ram *ram, unsigned vcpus, const struct acpi_endpoint *endpoints, size_t count,
		       uint64_t *rsdp)
{
	const struct acpi_config config = {
		.vcpus = vcpus,
		.pci64 = 1ull << 36,
		.pci64_size = LAYOUT_PCI64_SIZE,
		.virtio_iommu_bdf = 1 << 3,
		.endpoints = endpoints,
		.endpoint_count = count,
	};

	assert_int_equal(ram_init(ram, 2 << 20), 0);
	assert_int_equal(acpi_build(ram, &config, rsdp), 0);
}

static void build(struct ram *ram, unsigned vcpus, uint64_t *rsdp)
{
	const struct acpi_endpoint endpoint = {.bdf = 2 << 3, .id = 2 << 3};

	build_with(ram, vcpus, &endpoint, 1, rsdp);
}

/* In the XSDT, or NULL. */
static const uint8_t *find_table(const struct ram *ram, uint64_t rsdp, const char *signature)
{
	const uint8_t *root = table_at(ram, number((uint8_t *)ram_at(ram, rsdp, 36) + 24, 8));
	const uint8_t *found = NULL;

	for (size_t at = HEADER_SIZE; at < number(root + 4, 4); at += 8) {
		const uint8_t *table = table_at(ram, number(root + at, 8));

		if (!memcmp(table, signature, 4))
			found = table;
	}
	return found;
}

/* The DSDT hangs on the FADT, at offset 140. */
static const uint8_t *find_dsdt(const struct ram *ram, uint64_t rsdp)
{
	const uint8_t *fadt = find_table(ram, rsdp, "FACP");

	assert_non_null(fadt);
	return table_at(ram, number(fadt + 140, 8));
}

/* ACPI 6.5, table 5.9 and section 5.2.3.2: both addresses say a double word in I/O space. Of 24 bits: flag 8 is off. */
static void test_fadt_has_the_power_management_timer(void **state)
{
	const uint8_t *fadt;
	struct ram ram;
	uint64_t rsdp;

	(void)state;
	build(&ram, 2, &rsdp);
	fadt = find_table(&ram, rsdp, "FACP");
	assert_non_null(fadt);
	assert_int_equal(number(fadt + 76, 4), LAYOUT_PORT_PM_TIMER);
	assert_int_equal(fadt[91], 4);
	assert_int_equal(number(fadt + 112, 4) & 1 << 8, 0);
	assert_int_equal(number(fadt + 208, 4), 1 | 32 << 8 | 3 << 24);
	assert_int_equal(number(fadt + 212, 8), LAYOUT_PORT_PM_TIMER);
	ram_fini(&ram);
}

static void test_tables_have_their_sums(void **state)
{
	struct ram ram;
	uint64_t rsdp;

	(void)state;
	build(&ram, 2, &rsdp);
	assert_true(sums_to_zero(ram_at(&ram, rsdp, 36), 20));
	assert_true(sums_to_zero(ram_at(&ram, rsdp, 36), 36));
	assert_int_equal(memcmp(find_dsdt(&ram, rsdp), "DSDT", 4), 0);
	ram_fini(&ram);
}

/* Ids in order; those that fit into a byte, but for the last one, in entries of type 0, the others in type 9. */
static void check_madt(unsigned vcpus)
{
	unsigned id = 0, by_type[16] = {0};
	const uint8_t *madt;
	struct ram ram;
	uint64_t rsdp;

	build(&ram, vcpus, &rsdp);
	madt = find_table(&ram, rsdp, "APIC");
	assert_non_null(madt);
	for (const uint8_t *at = madt + HEADER_SIZE + 8; at < madt + number(madt + 4, 4); at += at[1]) {
		assert_true(at[0] < 16 && at[1] >= 2);
		by_type[at[0]]++;
		if (at[0] == 0)
			assert_true(id < 255 && at[2] == id && at[3] == id++ && number(at + 4, 4) == 1);
		if (at[0] == 9) {
			assert_true(id >= 255 && number(at + 4, 4) == id && number(at + 12, 4) == id);
			assert_int_equal(number(at + 8, 4), 1);
			id++;
		}
		if (at[0] == 10)
			assert_true(number(at + 4, 4) == UINT32_MAX && at[8] == 1);
	}
	assert_int_equal(id, vcpus);
	assert_true(by_type[1] == 1 && by_type[4] == 1);
	assert_int_equal(by_type[10], vcpus > 255);
	ram_fini(&ram);
}

static void test_processors_have_entries_for_their_ids(void **state)
{
	(void)state;
	check_madt(1);
	check_madt(255);
	check_madt(256);
	check_madt(LAYOUT_MAX_VCPUS);
}

/*
 * A DRHD from `at`: its flags, its page of registers, its scopes (type, id, bus and device); returns what follows it.
 */
static const uint8_t *check_unit(const uint8_t *at, uint8_t flags, uint64_t registers, const uint8_t (*scopes)[4],
				 unsigned count)
{
	assert_int_equal(number(at, 2), 0);
	assert_int_equal(number(at + 2, 2), 16 + 8 * count);
	assert_int_equal(at[4], flags);
	assert_int_equal(number(at + 6, 2), 0);
	assert_int_equal(number(at + 8, 8), registers);
	at += 16;
	for (unsigned i = 0; i < count; i++, at += 8) {
		assert_int_equal(at[0], scopes[i][0]);
		assert_int_equal(at[1], 8);
		assert_int_equal(at[4], scopes[i][1]);
		assert_int_equal(at[5], scopes[i][2]);
		assert_int_equal(at[6], scopes[i][3]);
		assert_int_equal(at[7], 0);
	}
	return at;
}

/*
 * Linux turns interrupt remapping off for all where it finds no unit for the IOAPIC; the unit with INCLUDE_ALL has what
 * no other one names (VT-d 8.4). Where there are no other devices, one has everything.
 */
static void check_dmar(struct acpi_dmar wanted)
{
	const struct acpi_endpoint endpoints[] = {{.bdf = 2 << 3}, {.bdf = 5 << 3}};
	const uint8_t devices[][4] = {{1, 0, 0, 2}, {1, 0, 0, 5}};
	const uint8_t rest[][4] = {{3, LAYOUT_IOAPIC_ID, LAYOUT_IOAPIC_RID >> 8, LAYOUT_IOAPIC_RID >> 3 & 0x1f}};
	struct acpi_config config = {
		.vcpus = 1,
		.pci64 = 1ull << 36,
		.pci64_size = LAYOUT_PCI64_SIZE,
		.virtio_iommu_bdf = -1,
		.dmar = wanted,
		.endpoints = endpoints,
		.endpoint_count = 2,
	};
	struct ram ram;
	uint64_t rsdp;

	assert_int_equal(ram_init(&ram, 2 << 20), 0);
	assert_int_equal(acpi_build(&ram, &config, &rsdp), 0);
	assert_null(find_table(&ram, rsdp, "VIOT"));
	const uint8_t *dmar = find_table(&ram, rsdp, "DMAR"), *at = dmar + 48;

	assert_non_null(dmar);
	assert_int_equal(dmar[36], LAYOUT_HOST_BITS - 1);
	assert_int_equal(dmar[37], (wanted.intremap ? 1 : 0) | (wanted.intremap && !wanted.eim ? 2 : 0));
	if (wanted.others)
		at = check_unit(at, 0, LAYOUT_VTD, devices, 2);
	if (!wanted.others)
		at = check_unit(at, 1, LAYOUT_VTD, rest, wanted.intremap);
	else if (wanted.intremap)
		at = check_unit(at, 1, LAYOUT_VTD + 4096, rest, 1);
	if (wanted.ats) {
		assert_int_equal(number(at, 8), 2 | 8 << 16 | 1ull << 32); /* ATSR for all root ports */
		at += 8;
	}
	assert_ptr_equal(at, dmar + number(dmar + 4, 4));
	ram_fini(&ram);
}

static void test_dmar_has_the_units_and_what_belongs_to_them(void **state)
{
	(void)state;
	for (unsigned others = 0; others < 2; others++) {
		check_dmar((struct acpi_dmar){true, true, true, true, others});
		check_dmar((struct acpi_dmar){true, true, false, false, others});
		check_dmar((struct acpi_dmar){true, false, false, true, others});
		check_dmar((struct acpi_dmar){true, false, false, false, others});
	}
}

static int run(const char *format, const char *folder)
{
	char command[512];
	int status;

	snprintf(command, sizeof(command), format, folder);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_table(const char *path, const uint8_t *table)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(table, number(table + 4, 4), 1, file), 1);
	assert_int_equal(fclose(file), 0);
}

/* What iasl takes apart and puts together again is the same, byte by byte: it knows every field. */
static void test_dmar_is_what_iasl_knows(void **state)
{
	const struct acpi_endpoint endpoint = {.bdf = 2 << 3};
	const struct acpi_config config = {
		.vcpus = 1,
		.pci64 = 1ull << 36,
		.pci64_size = LAYOUT_PCI64_SIZE,
		.virtio_iommu_bdf = -1,
		.dmar = {true, true, false, true},
		.endpoints = &endpoint,
		.endpoint_count = 1,
	};
	char folder[] = "/tmp/viommu-acpi-XXXXXX", path[64];
	struct ram ram;
	uint64_t rsdp;

	(void)state;
	if (run("iasl -v >%s", "/dev/null"))
		skip();
	assert_int_equal(ram_init(&ram, 2 << 20), 0);
	assert_int_equal(acpi_build(&ram, &config, &rsdp), 0);
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/dmar.aml", folder);
	write_table(path, find_table(&ram, rsdp, "DMAR"));
	assert_int_equal(run("cd %s && iasl -d dmar.aml >out 2>&1 && iasl -p again dmar.dsl >>out 2>&1", folder), 0);
	assert_int_equal(run("cd %s && ! grep -iE 'invalid|error|unknown' dmar.dsl", folder), 0);
	/* iasl writes its own name and version into the header, so the sum differs, too. */
	assert_int_equal(run("cd %s && test $(stat -c %%s dmar.aml) = $(stat -c %%s again.aml)", folder), 0);
	assert_int_equal(run("cd %s && cmp -i 36 dmar.aml again.aml", folder), 0);
	assert_int_equal(run("rm -r %s", folder), 0);
	ram_fini(&ram);
}

/* VIOT's PCI ranges, at the offsets of ACPI 6.5, table 5.142: their count, and the BDFs of the last one. */
static unsigned viot_ranges(const struct acpi_endpoint *endpoints, size_t count, unsigned *first, unsigned *last)
{
	unsigned ranges = 0;
	struct ram ram;
	uint64_t rsdp;

	build_with(&ram, 1, endpoints, count, &rsdp);
	const uint8_t *viot = find_table(&ram, rsdp, "VIOT"), *at;

	assert_non_null(viot);
	for (at = viot + number(viot + 38, 2); at < viot + number(viot + 4, 4); at += number(at + 2, 2)) {
		assert_true(number(at + 2, 2) >= 16);
		if (at[0] != 1)
			continue;
		assert_int_equal(number(at + 4, 4), number(at + 12, 2)); /* the first endpoint id */
		*first = (unsigned)number(at + 12, 2);
		*last = (unsigned)number(at + 14, 2);
		ranges++;
	}
	assert_ptr_equal(at, viot + number(viot + 4, 4));
	ram_fini(&ram);
	return ranges;
}

/*
 * A unit without a range makes Linux 6.12 run into a null pointer: with no device behind it, it has its own function.
 */
static void test_viot_has_a_range_always(void **state)
{
	const struct acpi_endpoint endpoints[] = {{.bdf = 16, .id = 16}, {.bdf = 17, .id = 17}, {.bdf = 40, .id = 40}};
	unsigned first, last;

	(void)state;
	assert_int_equal(viot_ranges(NULL, 0, &first, &last), 1);
	assert_true(first == 8 && last == 8);
	assert_int_equal(viot_ranges(endpoints, 2, &first, &last), 1);
	assert_true(first == 16 && last == 17);
	assert_int_equal(viot_ranges(endpoints, 3, &first, &last), 2);
	assert_true(first == 40 && last == 40);
}

/* Every pin of every slot has its line in _PRT: package, address, pin, no source, GSI. */
static void test_dsdt_is_good_aml(void **state)
{
	char folder[] = "/tmp/viommu-acpi-XXXXXX", path[64];
	const uint8_t *dsdt;
	struct ram ram;
	uint64_t rsdp;

	(void)state;
	if (run("iasl -v >%s", "/dev/null"))
		skip();
	build(&ram, 2, &rsdp);
	dsdt = find_dsdt(&ram, rsdp);
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/dsdt.aml", folder);
	write_table(path, dsdt);
	assert_int_equal(run("cd %s && iasl -d dsdt.aml >out 2>&1 && iasl -ve dsdt.dsl >>out 2>&1", folder), 0);
	assert_int_equal(run("test $(grep -c '0x[0-9A-F]*FFFF,' %s/dsdt.dsl) -ge 128", folder), 0);
	assert_int_equal(run("rm -r %s", folder), 0);
	ram_fini(&ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_have_their_sums),
		cmocka_unit_test(test_fadt_has_the_power_management_timer),
		cmocka_unit_test(test_processors_have_entries_for_their_ids),
		cmocka_unit_test(test_dmar_has_the_units_and_what_belongs_to_them),
		cmocka_unit_test(test_viot_has_a_range_always),
		cmocka_unit_test(test_dsdt_is_good_aml),
		cmocka_unit_test(test_dmar_is_what_iasl_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
