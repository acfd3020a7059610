/* SPDX-License-Identifier: BSD-2-Clause */
/* Each request of the virtio-iommu with each status that it can give (virtio 1.2, 5.13.6). */
#include <string.h>

#include "lib/util/le.h"
#include "tests/support/virtio_driver.h"

enum { RW = VIO_MAP_F_READ | VIO_MAP_F_WRITE };

static void test_attach_ok_and_isolated(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_attach(d, 2, ENDPOINT_B), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x10000, 0x10fff, 0x3000, RW), VIO_S_OK);
	assert_true(driver_reads(d->a, 0x10000));
	assert_false(driver_reads(d->b, 0x10000));
}

static void test_attach_shares_a_domain(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_B), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x10000, 0x10fff, 0x3000, RW), VIO_S_OK);
	assert_true(driver_reads(d->a, 0x10000) && driver_reads(d->b, 0x10000));
}

static void test_attach_elsewhere_detaches_first(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x10000, 0x10fff, 0x3000, RW), VIO_S_OK);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK); /* again: nothing changes */
	assert_true(driver_reads(d->a, 0x10000));
	assert_int_equal(driver_attach(d, 2, ENDPOINT_A), VIO_S_OK);
	assert_false(driver_reads(d->a, 0x10000));
	/* Domain 1 lost its last endpoint and its mappings. */
	assert_int_equal(driver_map(d, 1, 0x20000, 0x20fff, 0x3000, RW), VIO_S_NOENT);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_false(driver_reads(d->a, 0x10000));
}

static void test_attach_noent_for_an_unknown_endpoint(void **state)
{
	assert_int_equal(driver_attach(*state, 1, NOBODY), VIO_S_NOENT);
}

static void test_attach_range_for_a_domain_out_of_range(void **state)
{
	assert_int_equal(driver_attach(*state, 0, ENDPOINT_A), VIO_S_RANGE);
	assert_int_equal(driver_attach(*state, 101, ENDPOINT_A), VIO_S_RANGE);
	assert_int_equal(driver_attach(*state, 100, ENDPOINT_A), VIO_S_OK);
}

static void test_attach_inval_for_reserved_and_flags(void **state)
{
	struct driver *d = *state;
	struct packet packet;

	packet_attach(&packet, 1, ENDPOINT_A, 0);
	packet.in[VIO_ATTACH_RESERVED + 3] = 1;
	assert_int_equal(driver_send(d, &packet), VIO_S_INVAL);
	packet_attach(&packet, 1, ENDPOINT_A, 2);
	assert_int_equal(driver_send(d, &packet), VIO_S_INVAL);
	/* The bypass flag is known only to a driver that accepted the feature. */
	viommu_virtio_set_features(d->dev, 1 << VIO_F_MAP_UNMAP);
	packet_attach(&packet, 1, ENDPOINT_A, VIO_ATTACH_F_BYPASS);
	assert_int_equal(driver_send(d, &packet), VIO_S_INVAL);
	assert_false(driver_reads(d->a, 0));
}

static void test_attach_bypass_domain(void **state)
{
	struct driver *d = *state;
	struct packet packet;

	packet_attach(&packet, 1, ENDPOINT_A, VIO_ATTACH_F_BYPASS);
	assert_int_equal(driver_send(d, &packet), VIO_S_OK);
	assert_true(driver_writes(d->a, 0x4000));
	assert_int_equal(driver_attach(d, 1, ENDPOINT_B), VIO_S_INVAL); /* flag missing */
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_unmap(d, 1, 0, 0xfff), VIO_S_INVAL);
	assert_int_equal(driver_attach(d, 2, ENDPOINT_B), VIO_S_OK);
	packet_attach(&packet, 2, ENDPOINT_A, VIO_ATTACH_F_BYPASS); /* flag too many */
	assert_int_equal(driver_send(d, &packet), VIO_S_INVAL);
	assert_int_equal(driver_detach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_false(driver_writes(d->a, 0x4000));
}

static void test_detach_statuses(void **state)
{
	struct driver *d = *state;
	struct packet packet;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_detach(d, 1, NOBODY), VIO_S_NOENT);
	assert_int_equal(driver_detach(d, 2, ENDPOINT_A), VIO_S_INVAL);
	assert_int_equal(driver_detach(d, 1, ENDPOINT_B), VIO_S_INVAL);
	packet_detach(&packet, 1, ENDPOINT_A);
	memset(packet.in + 12, 0xff, 8); /* reserved: ignored */
	assert_int_equal(driver_send(d, &packet), VIO_S_OK);
	assert_int_equal(driver_detach(d, 1, ENDPOINT_A), VIO_S_INVAL);
	assert_int_equal(driver_unmap(d, 1, 0, 0xfff), VIO_S_NOENT);
}

static void test_map_range_for_what_is_not_aligned(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x10800, 0x10fff, 0, RW), VIO_S_RANGE);
	assert_int_equal(driver_map(d, 1, 0x10000, 0x107ff, 0, RW), VIO_S_RANGE);
	assert_int_equal(driver_map(d, 1, 0x10000, 0x10fff, 0x800, RW), VIO_S_RANGE);
}

static void test_map_range_beyond_the_limits(void **state)
{
	struct driver *d = *state;
	uint64_t top = 1ull << 48;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, top, top + 0xfff, 0, RW), VIO_S_RANGE);
	assert_int_equal(driver_map(d, 1, top - 0x1000, top + 0xfff, 0, RW), VIO_S_RANGE);
	assert_int_equal(driver_map(d, 1, 0, UINT64_MAX, 0, RW), VIO_S_RANGE);
	assert_int_equal(driver_map(d, 1, 0, 0x1fff, UINT64_MAX - 0xfff, RW), VIO_S_RANGE);
	assert_int_equal(driver_map(d, 1, top - 0x1000, top - 1, 0, RW), VIO_S_OK);
}

static void test_map_inval(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x10000, 0x11fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x11000, 0x12fff, 0, RW), VIO_S_INVAL); /* overlap */
	assert_int_equal(driver_map(d, 1, 0x20000, 0x20fff, 0, 8), VIO_S_INVAL);  /* unknown flag */
	assert_int_equal(driver_map(d, 1, 0x21000, 0x20fff, 0, RW), VIO_S_INVAL); /* order */
	assert_int_equal(driver_map(d, 1, MSI_FIRST, MSI_FIRST + 0xfff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(d, 1, 0x3ffff000, 0x40000fff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(d, 1, 0x12000, 0x12fff, 0, RW), VIO_S_OK);
}

static void test_map_mmio_needs_its_feature(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x10000, 0x10fff, 0, RW | VIO_MAP_F_MMIO), VIO_S_OK);
	assert_false(driver_reads(d->a, 0x10000)); /* guest memory is not device memory */
	viommu_virtio_set_features(d->dev, 1 << VIO_F_MAP_UNMAP);
	assert_int_equal(driver_map(d, 1, 0x20000, 0x20fff, 0, RW | VIO_MAP_F_MMIO), VIO_S_INVAL);
}

static void test_map_noent_without_the_domain(void **state)
{
	assert_int_equal(driver_map(*state, 1, 0, 0xfff, 0, RW), VIO_S_NOENT);
	assert_int_equal(driver_unmap(*state, 1, 0, 0xfff), VIO_S_NOENT);
}

static void test_map_keeps_rights_apart(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x10000, 0x10fff, 0x3000, VIO_MAP_F_READ), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x11000, 0x11fff, 0x4000, VIO_MAP_F_WRITE), VIO_S_OK);
	assert_true(driver_reads(d->a, 0x10000) && !driver_writes(d->a, 0x10000));
	assert_true(driver_writes(d->a, 0x11000) && !driver_reads(d->a, 0x11000));
	assert_int_equal(d->ram[0x3000], 3);
	assert_int_equal(d->ram[0x4000], 0xff);
}

/* The seven examples of section 5.13.6.6, with pages for bytes. */
static void test_unmap_examples_of_the_specification(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_unmap(d, 1, 0, 0x4fff), VIO_S_OK); /* (1) */
	assert_int_equal(driver_map(d, 1, 0, 0x9fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_unmap(d, 1, 0, 0x4fff), VIO_S_RANGE); /* (4) */
	assert_true(driver_reads(d->a, 0) && driver_reads(d->a, 0x9fff));
	assert_int_equal(driver_unmap(d, 1, 0, 0x9fff), VIO_S_OK); /* (2) */
	assert_false(driver_reads(d->a, 0));
	assert_int_equal(driver_map(d, 1, 0, 0x4fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x5000, 0x9fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_unmap(d, 1, 0, 0x4fff), VIO_S_OK); /* (5) */
	assert_true(!driver_reads(d->a, 0) && driver_reads(d->a, 0x5000));
	assert_int_equal(driver_map(d, 1, 0, 0x4fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_unmap(d, 1, 0, 0x9fff), VIO_S_OK); /* (3) */
	assert_true(!driver_reads(d->a, 0) && !driver_reads(d->a, 0x5000));
	assert_int_equal(driver_map(d, 1, 0, 0x4fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_unmap(d, 1, 0, 0x9fff), VIO_S_OK); /* (6) */
	assert_int_equal(driver_map(d, 1, 0, 0x4fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0xa000, 0xefff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_unmap(d, 1, 0, 0xefff), VIO_S_OK); /* (7) */
	assert_true(!driver_reads(d->a, 0) && !driver_reads(d->a, 0xa000));
}

static void test_unmap_inval(void **state)
{
	struct driver *d = *state;
	struct packet packet;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_unmap(d, 1, 0x1000, 0xfff), VIO_S_INVAL);
	packet_unmap(&packet, 1, 0, 0xfff);
	packet.in[VIO_UNMAP_RESERVED] = 1;
	assert_int_equal(driver_send(d, &packet), VIO_S_INVAL);
	assert_true(driver_reads(d->a, 0));
}

static void test_probe_lists_reserved_regions(void **state)
{
	struct driver *d = *state;
	struct packet packet;

	packet_probe(&packet, ENDPOINT_A, 2 * VIO_RESV_SIZE);
	assert_int_equal(driver_send(d, &packet), VIO_S_OK);
	assert_int_equal(packet.request.written, 2 * VIO_RESV_SIZE + VIO_TAIL_SIZE);
	assert_int_equal(le32_get(packet.out), 20 << 16 | VIO_PROPERTY_T_RESV_MEM);
	assert_int_equal(le32_get(packet.out + VIO_RESV_SUBTYPE), VIO_RESV_T_MSI);
	assert_true(le64_get(packet.out + VIO_RESV_START) == MSI_FIRST);
	assert_true(le64_get(packet.out + VIO_RESV_END) == MSI_LAST);
	assert_int_equal(le32_get(packet.out + VIO_RESV_SIZE + VIO_RESV_SUBTYPE), VIO_RESV_T_RESERVED);
	assert_true(le64_get(packet.out + VIO_RESV_SIZE + VIO_RESV_START) == 0x40000000);
}

static void test_probe_noent_and_inval(void **state)
{
	struct driver *d = *state;
	struct packet packet;

	packet_probe(&packet, NOBODY, 2 * VIO_RESV_SIZE);
	assert_int_equal(driver_send(d, &packet), VIO_S_NOENT);
	assert_int_equal(packet.request.written, 2 * VIO_RESV_SIZE + VIO_TAIL_SIZE);
	assert_int_equal(le64_get(packet.out), 0);
	packet_probe(&packet, ENDPOINT_A, 2 * VIO_RESV_SIZE - 1); /* too small: no property */
	assert_int_equal(driver_send(d, &packet), VIO_S_INVAL);
	assert_int_equal(le64_get(packet.out), 0);
}

static void test_what_cannot_be_understood_goes_back_unwritten(void **state)
{
	static const uint8_t types[] = {0, 6, 0x7f, 0xff};
	struct driver *d = *state;
	struct packet packet;

	for (unsigned i = 0; i < sizeof(types); i++) {
		packet_attach(&packet, 1, ENDPOINT_A, 0);
		packet.in[0] = types[i];
		assert_int_equal(driver_send(d, &packet), NOT_WRITTEN);
		assert_int_equal(packet.out[0], 0xcc);
	}
	packet_attach(&packet, 1, ENDPOINT_A, 0);
	packet.in_iov.iov_len = VIO_ATTACH_SIZE - 1;
	assert_int_equal(driver_send(d, &packet), NOT_WRITTEN);
	packet_attach(&packet, 1, ENDPOINT_A, 0);
	packet.out_iov.iov_len = VIO_TAIL_SIZE - 1;
	assert_int_equal(driver_send(d, &packet), NOT_WRITTEN);
	packet_attach(&packet, 1, ENDPOINT_A, 0);
	packet.request.in_count = packet.request.out_count = 0;
	assert_int_equal(driver_send(d, &packet), NOT_WRITTEN);
	assert_int_equal(driver_unmap(d, 1, 0, 0xfff), VIO_S_NOENT); /* none of them attached */
	viommu_virtio_set_features(d->dev, 1 << VIO_F_MAP_UNMAP);
	packet_probe(&packet, ENDPOINT_A, 2 * VIO_RESV_SIZE);
	assert_int_equal(driver_send(d, &packet), NOT_WRITTEN);
}

static void test_reserved_bytes_of_the_head_are_ignored(void **state)
{
	struct driver *d = *state;
	struct packet packet;

	packet_attach(&packet, 1, ENDPOINT_A, 0);
	memset(packet.in + 1, 0xff, 3);
	assert_int_equal(driver_send(d, &packet), VIO_S_OK);
}

/* Any cut into descriptors means the same. */
static void test_buffers_in_single_bytes(void **state)
{
	struct driver *d = *state;
	struct iovec in[VIO_PROBE_SIZE], out[2 * VIO_RESV_SIZE + VIO_TAIL_SIZE];
	struct packet packet;

	packet_probe(&packet, ENDPOINT_A, 2 * VIO_RESV_SIZE);
	for (unsigned i = 0; i < VIO_PROBE_SIZE; i++)
		in[i] = (struct iovec){packet.in + i, 1};
	for (unsigned i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		out[i] = (struct iovec){packet.out + i, 1};
	packet.request = (struct viommu_virtio_request){in, VIO_PROBE_SIZE, out, sizeof(out) / sizeof(out[0]), 0};
	assert_int_equal(driver_send(d, &packet), VIO_S_OK);
	assert_true(le64_get(packet.out + VIO_RESV_START) == MSI_FIRST);
}

static void test_map_nomem_at_the_table_limit(void **state)
{
	struct driver *d = *state;
	int status = VIO_S_OK;
	uint64_t at = 0;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	for (; status == VIO_S_OK && at < 1ull << 47; at += 1 << 30)
		status = driver_map(d, 1, at + (3ull << 30), at + (3ull << 30) + 0xfff, 0, RW);
	assert_int_equal(status, VIO_S_NOMEM);
	assert_int_equal(driver_unmap(d, 1, 0, (1ull << 48) - 1), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_OK);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, driver_setup, driver_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_attach_ok_and_isolated),
		CASE(test_attach_shares_a_domain),
		CASE(test_attach_elsewhere_detaches_first),
		CASE(test_attach_noent_for_an_unknown_endpoint),
		CASE(test_attach_range_for_a_domain_out_of_range),
		CASE(test_attach_inval_for_reserved_and_flags),
		CASE(test_attach_bypass_domain),
		CASE(test_detach_statuses),
		CASE(test_map_range_for_what_is_not_aligned),
		CASE(test_map_range_beyond_the_limits),
		CASE(test_map_inval),
		CASE(test_map_mmio_needs_its_feature),
		CASE(test_map_noent_without_the_domain),
		CASE(test_map_keeps_rights_apart),
		CASE(test_map_nomem_at_the_table_limit),
		CASE(test_unmap_examples_of_the_specification),
		CASE(test_unmap_inval),
		CASE(test_probe_lists_reserved_regions),
		CASE(test_probe_noent_and_inval),
		CASE(test_what_cannot_be_understood_goes_back_unwritten),
		CASE(test_reserved_bytes_of_the_head_are_ignored),
		CASE(test_buffers_in_single_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
