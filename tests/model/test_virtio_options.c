/* SPDX-License-Identifier: BSD-2-Clause */
/* What the embedder chooses changes what the driver sees: the older BYPASS. */
#include <errno.h>
#include <string.h>

#include "lib/util/le.h"
#include "tests/model/virtio_driver.h"

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
	return driver_create(&(struct viommu_virtio_config){.legacy_bypass = true});
}

static void test_legacy_bypass_is_offered_alone(void **state)
{
	struct driver *d = legacy_driver();
	struct viommu_virtio *dev;

	(void)state;
	assert_true(viommu_virtio_features(d->dev) & 1 << VIO_F_BYPASS);
	assert_false(viommu_virtio_features(d->dev) & 1 << VIO_F_BYPASS_CONFIG);
	assert_int_equal(
		viommu_virtio_create(d->v, &(struct viommu_virtio_config){.bypass = true, .legacy_bypass = true}, &dev),
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy_bypass_is_offered_alone),
		cmocka_unit_test(test_legacy_bypass_lasts_while_it_is_accepted),
		cmocka_unit_test(test_legacy_bypass_of_unattached_endpoints_only),
		cmocka_unit_test(test_legacy_bypass_has_no_flag_and_no_field),
		cmocka_unit_test(test_legacy_bypass_ends_when_nobody_uses_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
