/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the Linux driver does, step by step (drivers/iommu/virtio-iommu.c, 6.x): start-up, a DMA domain in use, an
 * identity domain, VFIO taking the device over, removal.
 */
#include <string.h>

#include "lib/util/le.h"
#include "tests/support/virtio_driver.h"

enum { RW = VIO_MAP_F_READ | VIO_MAP_F_WRITE };

static const struct viommu_reserved msi = {{MSI_FIRST}, {MSI_LAST}, true};

static int linux_setup(void **state)
{
	const struct viommu_virtio_config config = {
		.size = sizeof(struct viommu_virtio_config), .resv = &msi, .resv_count = 1};

	*state = driver_create(&config);
	return 0;
}

static uint64_t config64(struct driver *d, size_t offset)
{
	uint8_t bytes[8];

	viommu_virtio_config_read(d->dev, offset, bytes, sizeof(bytes));
	return le64_get(bytes);
}

/* viommu_probe(): needs VERSION_1 (the transport's) and MAP_UNMAP, then reads the configuration. */
static void test_start_up(void **state)
{
	struct driver *d = *state;
	uint64_t features = viommu_virtio_features(d->dev);

	assert_true(features >> VIO_F_MAP_UNMAP & 1);
	assert_false(features >> 3 & 1); /* BYPASS is not offered beside BYPASS_CONFIG */
	assert_true(config64(d, VIO_CONFIG_PAGE_SIZE_MASK) == ~0xfffull);
	assert_true(config64(d, VIO_CONFIG_INPUT_START) == 0);
	assert_true(config64(d, VIO_CONFIG_INPUT_END) == UINT64_MAX);
	assert_true(config64(d, VIO_CONFIG_DOMAIN_START) == (uint64_t)UINT32_MAX << 32);
	assert_true(config64(d, VIO_CONFIG_PROBE_SIZE) == VIO_RESV_SIZE); /* and bypass = 0 */
	assert_true(config64(d, VIO_CONFIG_SIZE) == 0);
	/* Accepts what it knows; all but MMIO and unknown bits. */
	viommu_virtio_set_features(d->dev, features | 1ull << 63);
}

/* viommu_probe_endpoint(), then viommu_attach_dev() with a fresh domain. */
static void probe_and_attach(struct driver *d, uint32_t domain, uint32_t flags)
{
	struct packet packet;

	packet_probe(&packet, ENDPOINT_A, VIO_RESV_SIZE);
	assert_int_equal(driver_send(d, &packet), VIO_S_OK);
	assert_int_equal(packet.request.written, VIO_RESV_SIZE + VIO_TAIL_SIZE);
	packet_attach(&packet, domain, ENDPOINT_A, flags);
	assert_int_equal(driver_send(d, &packet), VIO_S_OK);
}

/* Streaming DMA: IOVAs from the top of 32 bits downwards, mapped, used, unmapped one by one. */
static void test_dma_domain_in_use(void **state)
{
	struct driver *d = *state;

	probe_and_attach(d, 0, 0);
	for (uint64_t at = 0xfffff000; at > 0xffff0000; at -= 0x1000) {
		assert_int_equal(driver_map(d, 0, at, at + 0xfff, at & 0xf000, VIO_MAP_F_WRITE), VIO_S_OK);
		assert_true(driver_writes(d->a, at) && !driver_reads(d->a, at));
		assert_int_equal(driver_unmap(d, 0, at, at + 0xfff), VIO_S_OK);
		assert_false(driver_writes(d->a, at));
	}
}

/* iommu=pt: with BYPASS_CONFIG a bypass domain, without it everything mapped around the MSI window. */
static void test_identity_domain(void **state)
{
	struct driver *d = *state;

	probe_and_attach(d, 0, VIO_ATTACH_F_BYPASS);
	assert_true(driver_reads(d->a, 0) && driver_reads(d->a, DRIVER_RAM - 1));

	viommu_virtio_set_features(d->dev, viommu_virtio_features(d->dev) & ~(1u << VIO_F_BYPASS_CONFIG));
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_false(driver_reads(d->a, 0));
	assert_int_equal(driver_map(d, 1, 0, MSI_FIRST - 1, 0, RW), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, MSI_LAST + 1ull, UINT64_MAX, MSI_LAST + 1ull, RW), VIO_S_OK);
	assert_true(driver_reads(d->a, 0) && driver_reads(d->a, DRIVER_RAM - 1));
	assert_false(driver_reads(d->a, MSI_FIRST));
}

/* VFIO: a blocked period is an empty domain; mappings are replayed when the domain gets its first endpoint. */
static void test_handed_to_vfio_and_back(void **state)
{
	struct driver *d = *state;

	probe_and_attach(d, 0, 0);
	assert_int_equal(driver_map(d, 0, 0xffffe000, 0xffffefff, 0x7000, RW), VIO_S_OK);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_false(driver_reads(d->a, 0xffffe000));
	assert_int_equal(driver_map(d, 1, 0x100000, 0x1fffff, 0, RW), VIO_S_OK);
	assert_true(driver_reads(d->a, 0x1f0000));
	assert_int_equal(driver_unmap(d, 1, 0x100000, 0x1fffff), VIO_S_OK);
	assert_int_equal(driver_attach(d, 0, ENDPOINT_A), VIO_S_OK); /* its mappings are gone: replayed */
	assert_false(driver_reads(d->a, 0xffffe000));
	assert_int_equal(driver_map(d, 0, 0xffffe000, 0xffffefff, 0x7000, RW), VIO_S_OK);
	assert_true(driver_reads(d->a, 0xffffe000));
}

/* Release of the device detaches; removal of the driver resets. */
static void test_removal(void **state)
{
	struct driver *d = *state;

	probe_and_attach(d, 0, 0);
	assert_int_equal(driver_map(d, 0, 0, 0xfff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_detach(d, 0, ENDPOINT_A), VIO_S_OK);
	assert_false(driver_reads(d->a, 0));
	viommu_virtio_reset(d->dev, false);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	viommu_virtio_set_features(d->dev, viommu_virtio_features(d->dev));
	probe_and_attach(d, 0, 0);
	assert_false(driver_reads(d->a, 0));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, linux_setup, driver_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_start_up),        CASE(test_dma_domain_in_use),
		CASE(test_identity_domain), CASE(test_handed_to_vfio_and_back),
		CASE(test_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
