/* SPDX-License-Identifier: BSD-2-Clause */
/* Endpoints with limits of their own behind a virtio-iommu: PROBE, MAP and ATTACH, sections 5.13.6.3 to 5.13.6.8. */
#include <errno.h>
#include <stdlib.h>

#include "lib/util/le.h"
#include "tests/support/test_mirror.h"
#include "tests/support/virtio_driver.h"

enum { RW = VIO_MAP_F_READ | VIO_MAP_F_WRITE, ROOM = 6, ENDPOINT_C = 0x28, ENDPOINT_D = 0x30 };

static const struct viommu_reserved common[] = {{{MSI_FIRST}, {MSI_LAST}, true}, {{0x40000000}, {0x4000ffff}, false}};

struct fixture {
	struct driver *d;
	struct viommu_endpoint *c, *e;
};

static int limit(struct viommu_endpoint *endpoint, const struct viommu_reserved *reserved, size_t count,
		 uint64_t page_sizes, unsigned bits)
{
	return viommu_endpoint_set_limits(
		endpoint, &(struct viommu_endpoint_limits){.size = sizeof(struct viommu_endpoint_limits),
							   .reserved = reserved,
							   .reserved_count = count,
							   .page_sizes = page_sizes,
							   .address_bits = bits});
}

/* Endpoint C reserves what lies across the device's own regions, and all from 2^40 on; D has pages of 64 KiB. */
static int setup(void **state)
{
	static const struct viommu_reserved across[] = {
		{{0xfec00000}, {0xfeffffff}, false}, {{0x3ffff000}, {0x4001ffff}, false}, {{0x5000}, {0x5fff}, true}};
	struct fixture *f = calloc(1, sizeof(*f));

	f->d = driver_create(&(struct viommu_virtio_config){.size = sizeof(struct viommu_virtio_config),
							    .input_bits = 48,
							    .resv = common,
							    .resv_count = 2,
							    .resv_room = ROOM});
	assert_int_equal(viommu_endpoint_add(f->d->v, ENDPOINT_C, "c", &f->c), 0);
	assert_int_equal(viommu_endpoint_add(f->d->v, ENDPOINT_D, "d", &f->e), 0);
	assert_int_equal(limit(f->c, across, 3, 0, 40), 0);
	assert_int_equal(limit(f->e, NULL, 0, ~0xffffull, 0), 0);
	assert_int_equal(viommu_virtio_manage(f->d->dev, f->c), 0);
	assert_int_equal(viommu_virtio_manage(f->d->dev, f->e), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(f->d->v, &inval), 0);
	assert_int_equal(viommu_virtio_release(f->d->dev, f->c, inval), 0);
	assert_int_equal(viommu_virtio_release(f->d->dev, f->e, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
	assert_int_equal(viommu_endpoint_remove(f->c), 0);
	assert_int_equal(viommu_endpoint_remove(f->e), 0);
	viommu_inval_destroy(inval);
	driver_destroy(f->d);
	free(f);
	return 0;
}

/* PROBE lists exactly these regions in this order, and zeros behind them. */
static void assert_probe(struct fixture *f, uint32_t endpoint, const struct viommu_reserved *wanted, size_t count)
{
	const size_t size = (2 + ROOM) * VIO_RESV_SIZE;
	struct packet packet;

	packet_probe(&packet, endpoint, size);
	assert_int_equal(driver_send(f->d, &packet), VIO_S_OK);
	assert_int_equal(packet.request.written, size + VIO_TAIL_SIZE);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *property = packet.out + i * VIO_RESV_SIZE;

		assert_int_equal(le32_get(property), 20 << 16 | VIO_PROPERTY_T_RESV_MEM);
		assert_int_equal(le32_get(property + VIO_RESV_SUBTYPE),
				 wanted[i].msi ? VIO_RESV_T_MSI : VIO_RESV_T_RESERVED);
		assert_int_equal(le64_get(property + VIO_RESV_START), wanted[i].first.value);
		assert_int_equal(le64_get(property + VIO_RESV_END), wanted[i].last.value);
	}
	for (size_t i = count * VIO_RESV_SIZE; i < size; i++)
		assert_int_equal(packet.out[i], 0);
}

static void test_probe_tells_each_endpoint_its_own_regions(void **state)
{
	static const struct viommu_reserved wanted[] = {
		{{MSI_FIRST}, {MSI_LAST}, true},
		{{0x40000000}, {0x4000ffff}, false},
		{{0x5000}, {0x5fff}, false},
		{{0x3ffff000}, {0x3fffffff}, false},
		{{0x40010000}, {0x4001ffff}, false},
		{{0xfec00000}, {MSI_FIRST - 1}, false},
		{{MSI_LAST + 1ull}, {0xfeffffff}, false},
		{{1ull << 40}, {(1ull << 48) - 1}, false},
	};
	struct fixture *f = *state;
	uint8_t config[VIO_CONFIG_SIZE];

	viommu_virtio_config_read(f->d->dev, 0, config, sizeof(config));
	assert_int_equal(le32_get(config + VIO_CONFIG_PROBE_SIZE), (2 + ROOM) * VIO_RESV_SIZE);
	assert_probe(f, ENDPOINT_A, common, 2);
	assert_probe(f, ENDPOINT_C, wanted, 8);
	assert_probe(f, ENDPOINT_D, common, 2);
	assert_probe(f, ENDPOINT_B, common, 2);
}

/* The properties of an endpoint with an MSI window at 0x8000000, behind a device with `resv`. */
static void probe_msi(const struct viommu_reserved *resv, size_t resv_count, struct packet *packet)
{
	static const struct viommu_reserved own[] = {{{0x8000000}, {0x80fffff}, true}};
	struct driver *d = driver_create(&(struct viommu_virtio_config){
		.size = sizeof(struct viommu_virtio_config), .resv = resv, .resv_count = resv_count, .resv_room = 2});
	struct viommu_inval *inval;

	assert_true(viommu_virtio_features(d->dev) >> VIO_F_PROBE & 1);
	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(viommu_virtio_release(d->dev, d->a, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
	assert_int_equal(limit(d->a, own, 1, 0, 0), 0);
	assert_int_equal(viommu_virtio_manage(d->dev, d->a), 0);
	packet_probe(packet, ENDPOINT_A, (resv_count + 2) * VIO_RESV_SIZE);
	assert_int_equal(driver_send(d, packet), VIO_S_OK);
	viommu_inval_destroy(inval);
	driver_destroy(d);
}

static void test_an_msi_window_of_the_endpoint_is_told(void **state)
{
	struct packet packet;

	(void)state;
	probe_msi(NULL, 0, &packet);
	assert_int_equal(packet.out[VIO_RESV_SUBTYPE], VIO_RESV_T_MSI);
	assert_int_equal(le64_get(packet.out + VIO_RESV_START), 0x8000000);
	assert_int_equal(le64_get(packet.out + VIO_RESV_END), 0x80fffff);
	assert_int_equal(le32_get(packet.out + VIO_RESV_SIZE), 0);
}

static void test_an_msi_window_that_is_cut_is_reserved(void **state)
{
	static const struct viommu_reserved middle = {{0x8010000}, {0x801ffff}, false};
	struct packet packet;

	(void)state;
	probe_msi(&middle, 1, &packet);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(packet.out[i * VIO_RESV_SIZE + VIO_RESV_SUBTYPE], VIO_RESV_T_RESERVED);
	assert_int_equal(le64_get(packet.out + VIO_RESV_SIZE + VIO_RESV_END), 0x800ffff);
	assert_int_equal(le64_get(packet.out + 2 * VIO_RESV_SIZE + VIO_RESV_START), 0x8020000);
}

static void test_more_regions_than_there_is_room_for_are_refused(void **state)
{
	struct fixture *f = *state;
	struct viommu_reserved own[ROOM + 1];
	struct viommu_endpoint *many;

	for (unsigned i = 0; i <= ROOM; i++)
		own[i] = (struct viommu_reserved){.first = {0x10000ull * i}, .last = {0x10000ull * i + 0xfff}};
	assert_int_equal(viommu_endpoint_add(f->d->v, 0x40, "many", &many), 0);
	assert_int_equal(limit(many, own, ROOM + 1, 0, 0), 0);
	assert_int_equal(viommu_virtio_manage(f->d->dev, many), -ENOSPC);
	/* Nothing has changed: nobody manages it. */
	assert_int_equal(limit(many, own, ROOM, 0, 0), 0);
	assert_int_equal(viommu_endpoint_remove(many), 0);
	assert_int_equal(viommu_virtio_create(f->d->v,
					      &(struct viommu_virtio_config){
						      .size = sizeof(struct viommu_virtio_config), .resv_room = 129},
					      &(struct viommu_virtio *){NULL}),
			 -EINVAL);
}

static void test_limits_are_fixed_while_the_endpoint_is_managed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(limit(f->c, NULL, 0, 0, 0), -EBUSY);
}

static void test_map_honours_the_endpoints_of_its_domain(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(driver_attach(f->d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_attach(f->d, 2, ENDPOINT_C), VIO_S_OK);
	assert_int_equal(driver_attach(f->d, 3, ENDPOINT_D), VIO_S_OK);
	/* Reserved for C alone. */
	assert_int_equal(driver_map(f->d, 1, 0x5000, 0x5fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_map(f->d, 2, 0x4000, 0x6fff, 0, RW), VIO_S_INVAL);
	assert_false(driver_reads(f->c, 0x4000));
	assert_int_equal(driver_map(f->d, 2, 1ull << 40, (1ull << 40) + 0xfff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(f->d, 2, 0x4000, 0x4fff, 0, RW), VIO_S_OK);
	assert_true(driver_reads(f->c, 0x4000));
	/* Pages of 64 KiB for D alone. */
	assert_int_equal(driver_map(f->d, 3, 0x1000, 0x1fff, 0, RW), VIO_S_RANGE);
	assert_int_equal(driver_map(f->d, 3, 0x10000, 0x1ffff, 0x1000, RW), VIO_S_RANGE);
	assert_int_equal(driver_map(f->d, 3, 0x10000, 0x1ffff, 0x10000, RW), VIO_S_OK);
	assert_true(driver_reads(f->e, 0x10000));
	/* Of all for all. */
	assert_int_equal(driver_map(f->d, 1, MSI_FIRST, MSI_FIRST + 0xfff, 0, RW), VIO_S_INVAL);
}

static void test_attach_of_endpoints_that_do_not_suit_is_unsupported(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(driver_attach(f->d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(f->d, 1, 0x5000, 0x5fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_attach(f->d, 2, ENDPOINT_C), VIO_S_OK);
	assert_int_equal(driver_map(f->d, 2, 0x4000, 0x4fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_attach(f->d, 1, ENDPOINT_C), VIO_S_UNSUPP);
	assert_int_equal(driver_attach(f->d, 1, ENDPOINT_D), VIO_S_UNSUPP);
	/* C is where it was, with what is mapped there, D nowhere. */
	assert_true(driver_reads(f->c, 0x4000));
	assert_int_equal(driver_detach(f->d, 1, ENDPOINT_D), VIO_S_INVAL);
	assert_int_equal(driver_map(f->d, 1, 0x7000, 0x7fff, 0, RW), VIO_S_OK);
	/* Where nothing is in the way they share a domain, and its maps suit both. */
	assert_int_equal(driver_attach(f->d, 3, ENDPOINT_C), VIO_S_OK);
	assert_int_equal(driver_attach(f->d, 3, ENDPOINT_D), VIO_S_OK);
	assert_int_equal(driver_map(f->d, 3, 0, 0xffff, 0, RW), VIO_S_INVAL);
	assert_int_equal(driver_map(f->d, 3, 0x6000, 0x6fff, 0, RW), VIO_S_RANGE);
	assert_int_equal(driver_map(f->d, 3, 0x10000, 0x1ffff, 0, RW), VIO_S_OK);
}

static void test_a_bypass_that_a_mirror_cannot_have_is_unsupported(void **state)
{
	struct fixture *f = *state;
	struct test_mirror *mirror = calloc(1, sizeof(*mirror));
	struct packet packet;

	assert_int_equal(test_mirror_register(mirror, f->c), 0);
	packet_attach(&packet, 1, ENDPOINT_C, VIO_ATTACH_F_BYPASS);
	assert_int_equal(driver_send(f->d, &packet), VIO_S_UNSUPP);
	assert_int_equal(mirror->maps, 0);
	assert_int_equal(driver_attach(f->d, 1, ENDPOINT_C), VIO_S_OK);
	viommu_client_unregister(mirror->client);
	free(mirror);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_probe_tells_each_endpoint_its_own_regions),
		cmocka_unit_test(test_an_msi_window_of_the_endpoint_is_told),
		cmocka_unit_test(test_an_msi_window_that_is_cut_is_reserved),
		CASE(test_more_regions_than_there_is_room_for_are_refused),
		CASE(test_limits_are_fixed_while_the_endpoint_is_managed),
		CASE(test_map_honours_the_endpoints_of_its_domain),
		CASE(test_attach_of_endpoints_that_do_not_suit_is_unsupported),
		CASE(test_a_bypass_that_a_mirror_cannot_have_is_unsupported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
