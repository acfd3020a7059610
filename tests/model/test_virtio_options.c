/* SPDX-License-Identifier: BSD-2-Clause */
/* What the embedder chooses changes what the driver sees: the older BYPASS, reserved regions, the granule. */
#include <errno.h>
#include <string.h>

#include "lib/util/le.h"
#include "tests/support/virtio_driver.h"

enum { RW = VIO_MAP_F_READ | VIO_MAP_F_WRITE };

static void accept_features(struct driver *d, uint64_t features)
{
	viommu_virtio_reset(d->dev, false);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	viommu_virtio_set_features(d->dev, features);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
}

static struct driver *legacy_driver(void)
{
	return driver_create(
		&(struct viommu_virtio_config){.size = sizeof(struct viommu_virtio_config), .legacy_bypass = true});
}

static void test_legacy_bypass_is_offered_alone(void **state)
{
	struct driver *d = legacy_driver();
	struct viommu_virtio *dev;

	(void)state;
	assert_true(viommu_virtio_features(d->dev) & 1 << VIO_F_BYPASS);
	assert_false(viommu_virtio_features(d->dev) & 1 << VIO_F_BYPASS_CONFIG);
	assert_int_equal(
		viommu_virtio_create(d->v,
				     &(struct viommu_virtio_config){.size = sizeof(struct viommu_virtio_config),
								    .bypass = true,
								    .legacy_bypass = true},
				     &dev),
		-EINVAL);
	driver_destroy(d);
}

/* Blocked before any driver, with a driver that has not accepted the feature, and after a reset. */
static void test_legacy_bypass_lasts_while_it_is_accepted(void **state)
{
	struct driver *d = legacy_driver();

	(void)state;
	accept_features(d, 0);
	assert_false(driver_reads(d->a, 0));
	accept_features(d, 1 << VIO_F_MAP_UNMAP | 1 << VIO_F_BYPASS_CONFIG); /* not offered: ignored */
	assert_false(driver_reads(d->a, 0));
	accept_features(d, 1 << VIO_F_MAP_UNMAP | 1 << VIO_F_BYPASS);
	assert_true(driver_reads(d->a, 0) && driver_writes(d->b, DRIVER_RAM - 1));
	viommu_virtio_reset(d->dev, false);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	assert_true(!driver_reads(d->a, 0) && !driver_reads(d->b, 0));
	driver_destroy(d);
}

static void test_legacy_bypass_of_unattached_endpoints_only(void **state)
{
	struct driver *d = legacy_driver();

	(void)state;
	accept_features(d, viommu_virtio_features(d->dev));
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_true(!driver_reads(d->a, 0) && driver_reads(d->b, 0));
	assert_int_equal(driver_map(d, 1, 0x10000, 0x10fff, 0x3000, RW), VIO_S_OK);
	assert_true(driver_reads(d->a, 0x10000));
	assert_int_equal(driver_detach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_true(driver_reads(d->a, 0));
	driver_destroy(d);
}

/* ATTACH knows no BYPASS flag, and the configuration no `bypass`: both belong to BYPASS_CONFIG. */
static void test_legacy_bypass_has_no_flag_and_no_field(void **state)
{
	struct driver *d = legacy_driver();
	struct packet packet;
	uint8_t value = 0;

	(void)state;
	accept_features(d, viommu_virtio_features(d->dev) | 1 << VIO_F_BYPASS_CONFIG);
	packet_attach(&packet, 1, ENDPOINT_A, VIO_ATTACH_F_BYPASS);
	assert_int_equal(driver_send(d, &packet), VIO_S_INVAL);
	viommu_virtio_config_write(d->dev, VIO_CONFIG_BYPASS, &value, 1);
	assert_true(driver_reads(d->a, 0));
	viommu_virtio_config_read(d->dev, VIO_CONFIG_BYPASS, &value, 1);
	assert_int_equal(value, 0);
	driver_destroy(d);
}

/* Taking it away at a reset waits for who is inside, as any invalidation does. */
static void test_legacy_bypass_ends_when_nobody_uses_it(void **state)
{
	struct driver *d = legacy_driver();
	struct viommu_section section;

	(void)state;
	accept_features(d, viommu_virtio_features(d->dev));
	assert_int_equal(viommu_dma_begin(d->a, &section), 0);
	viommu_virtio_reset(d->dev, false);
	assert_false(driver_reads(d->a, 0));
	assert_int_equal(viommu_virtio_poll(d->dev), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	driver_destroy(d);
}

/* As many as there may be, each of one page, with a page between them, the last one the MSI window. */
static void make_regions(struct viommu_reserved *resv, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t first = 0x100000 + (uint64_t)i * 0x2000;

		resv[i] = (struct viommu_reserved){{first}, {first + 0xfff}, i == count - 1};
	}
}

static void test_reserved_regions_as_many_as_there_may_be(void **state)
{
	enum { COUNT = 32 };
	struct viommu_reserved resv[COUNT + 1];
	struct driver *d;
	struct packet packet;
	struct viommu_virtio *dev;

	(void)state;
	make_regions(resv, COUNT + 1);
	d = driver_create(&(struct viommu_virtio_config){
		.size = sizeof(struct viommu_virtio_config), .resv = resv + 1, .resv_count = COUNT});
	packet_probe(&packet, ENDPOINT_B, COUNT * VIO_RESV_SIZE);
	assert_int_equal(driver_send(d, &packet), VIO_S_OK);
	for (unsigned i = 0; i < COUNT; i++) {
		const uint8_t *property = packet.out + i * VIO_RESV_SIZE;

		assert_true(le64_get(property + VIO_RESV_START) == resv[i + 1].first.value);
		assert_true(le64_get(property + VIO_RESV_END) == resv[i + 1].last.value);
		assert_int_equal(property[VIO_RESV_SUBTYPE], i == COUNT - 1 ? VIO_RESV_T_MSI : VIO_RESV_T_RESERVED);
	}
	assert_int_equal(
		viommu_virtio_create(d->v,
				     &(struct viommu_virtio_config){.size = sizeof(struct viommu_virtio_config),
								    .resv = resv,
								    .resv_count = COUNT + 1},
				     &dev),
		-EINVAL);
	driver_destroy(d);
}

static void test_map_into_a_reserved_region_is_inval(void **state)
{
	static const struct viommu_reserved resv[] = {{{0x100000}, {0x101fff}, false}, {{0}, {0xfff}, false}};
	struct driver *d = driver_create(&(struct viommu_virtio_config){
		.size = sizeof(struct viommu_virtio_config), .resv = resv, .resv_count = 2});

	(void)state;
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x100000, 0x100fff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(d, 1, 0x101000, 0x102fff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(d, 1, 0xff000, 0x100fff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(d, 1, 0xff000, 0x102fff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(d, 1, 0, UINT64_MAX, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(d, 1, 0x1000, 0xfffff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x102000, UINT64_MAX, 0, RW), VIO_S_OK);
	assert_true(driver_reads(d->a, 0xfffff) && driver_reads(d->a, 0x102000));
	assert_true(!driver_reads(d->a, 0) && !driver_reads(d->a, 0x100000) && !driver_reads(d->a, 0x101fff));
	/* UNMAP may spill over what is not mapped, section 5.13.6.6: reserved or not. */
	assert_int_equal(driver_unmap(d, 1, 0, UINT64_MAX), VIO_S_OK);
	assert_false(driver_reads(d->a, 0x102000));
	driver_destroy(d);
}

static struct driver *driver_with_granule(uint64_t mask)
{
	return driver_create(
		&(struct viommu_virtio_config){.size = sizeof(struct viommu_virtio_config), .page_size_mask = mask});
}

static void test_page_size_mask_is_what_was_asked_for(void **state)
{
	static const uint64_t masks[] = {0x40201000, ~0xffffull, 1 << 16, 1ull << 63};

	(void)state;
	for (unsigned i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		struct driver *d = driver_with_granule(masks[i]);
		uint8_t bytes[8];

		viommu_virtio_config_read(d->dev, VIO_CONFIG_PAGE_SIZE_MASK, bytes, sizeof(bytes));
		assert_true(le64_get(bytes) == masks[i]);
		driver_destroy(d);
	}
}

/* Only the lowest bit counts: the others are advice, section 5.13.4. */
static void test_map_range_for_what_is_not_a_multiple_of_the_granule(void **state)
{
	static const uint64_t masks[] = {~0xffffull, 1 << 16};

	(void)state;
	for (unsigned i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		struct driver *d = driver_with_granule(masks[i]);

		assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
		assert_int_equal(driver_map(d, 1, 0x10000, 0x10fff, 0, RW), VIO_S_RANGE);
		assert_int_equal(driver_map(d, 1, 0x11000, 0x1ffff, 0, RW), VIO_S_RANGE);
		assert_int_equal(driver_map(d, 1, 0x10000, 0x2efff, 0, RW), VIO_S_RANGE);
		assert_int_equal(driver_map(d, 1, 0x10000, 0x1ffff, 0x1000, RW), VIO_S_RANGE);
		assert_int_equal(driver_map(d, 1, 0x10000, 0x3ffff, 0x20000, RW), VIO_S_OK);
		assert_true(driver_reads(d->a, 0x10000) && driver_reads(d->a, 0x3ffff) && !driver_reads(d->a, 0x40000));
		driver_destroy(d);
	}
}

/*
 * An UNMAP whose end lies inside of a granule would cut the mapping there; where nothing is mapped it may end anywhere.
 */
static void test_unmap_range_for_what_cuts_a_granule(void **state)
{
	struct driver *d = driver_with_granule(~0xffffull);

	(void)state;
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x10000, 0x1ffff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_unmap(d, 1, 0x10000, 0x1efff), VIO_S_RANGE);
	assert_int_equal(driver_unmap(d, 1, 0x11000, 0x1ffff), VIO_S_RANGE);
	assert_true(driver_reads(d->a, 0x10000) && driver_reads(d->a, 0x1ffff));
	assert_int_equal(driver_unmap(d, 1, 0xf123, 0x20fff), VIO_S_OK);
	assert_false(driver_reads(d->a, 0x10000));
	driver_destroy(d);
}

static void test_configurations_that_do_not_fit_the_granule_are_refused(void **state)
{
	static const struct viommu_reserved small[] = {{{0x1000}, {0x1fff}, false}};
	static const struct viommu_reserved fits[] = {{{0x10000}, {0x1ffff}, false}};
	const struct viommu_virtio_config bad[] = {
		{.size = sizeof(struct viommu_virtio_config), .page_size_mask = 0x800},
		{.size = sizeof(struct viommu_virtio_config), .page_size_mask = ~0x7ffull},
		{.size = sizeof(struct viommu_virtio_config),
		 .page_size_mask = ~0xffffull,
		 .resv = small,
		 .resv_count = 1},
		{.size = sizeof(struct viommu_virtio_config), .page_size_mask = 1ull << 33, .input_bits = 32},
	};
	struct driver *d = driver_with_granule(0);
	struct viommu_virtio *dev;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(viommu_virtio_create(d->v, &bad[i], &dev), -EINVAL);
	assert_int_equal(
		viommu_virtio_create(d->v,
				     &(struct viommu_virtio_config){.size = sizeof(struct viommu_virtio_config),
								    .page_size_mask = ~0xffffull,
								    .resv = fits,
								    .resv_count = 1},
				     &dev),
		0);
	viommu_virtio_destroy(dev);
	driver_destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy_bypass_is_offered_alone),
		cmocka_unit_test(test_legacy_bypass_lasts_while_it_is_accepted),
		cmocka_unit_test(test_legacy_bypass_of_unattached_endpoints_only),
		cmocka_unit_test(test_legacy_bypass_has_no_flag_and_no_field),
		cmocka_unit_test(test_legacy_bypass_ends_when_nobody_uses_it),
		cmocka_unit_test(test_reserved_regions_as_many_as_there_may_be),
		cmocka_unit_test(test_map_into_a_reserved_region_is_inval),
		cmocka_unit_test(test_page_size_mask_is_what_was_asked_for),
		cmocka_unit_test(test_map_range_for_what_is_not_a_multiple_of_the_granule),
		cmocka_unit_test(test_unmap_range_for_what_cuts_a_granule),
		cmocka_unit_test(test_configurations_that_do_not_fit_the_granule_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
