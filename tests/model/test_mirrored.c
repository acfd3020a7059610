/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest is told when a mirror refuses what it has asked for; nothing has changed then. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "lib/spec/vtd_fault.h"
#include "tests/support/test_mirror.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/vtd_driver.h"

enum { RW = VIO_MAP_F_READ | VIO_MAP_F_WRITE, DID = 5, AW_48 = 2, PAGE_GRANULARITY = 3 };
#define SS_RW ((uint64_t)(VTD_SS_R | VTD_SS_W))

static struct test_mirror *mirror;

static struct driver *start_virtio(void)
{
	void *state;

	driver_setup(&state);
	struct driver *d = state;

	mirror = calloc(1, sizeof(*mirror));
	assert_int_equal(test_mirror_register(mirror, d->a), 0);
	return d;
}

static void end_virtio(struct driver *d)
{
	mirror->slow = false;
	while (test_mirror_answer(mirror, 0))
		;
	viommu_client_unregister(mirror->client);
	driver_destroy(d);
	free(mirror);
}

static void test_a_refused_map_has_the_specifications_status(void **state)
{
	static const struct {
		int err, status;
	} cases[] = {{-ENOSPC, VIO_S_NOMEM}, {-ENOMEM, VIO_S_NOMEM}, {-EIO, VIO_S_DEVERR}};
	struct driver *d = start_virtio();

	(void)state;
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	for (unsigned i = 0; i < 3; i++) {
		mirror->refuse_in = 1;
		mirror->refuse_err = cases[i].err;
		assert_int_equal(driver_map(d, 1, 0x1000, 0x1fff, 0, RW), cases[i].status);
		assert_false(driver_reads(d->a, 0x1000));
	}
	assert_int_equal(driver_map(d, 1, 0x1000, 0x1fff, 0, RW), VIO_S_OK);
	assert_true(driver_reads(d->a, 0x1000));
	end_virtio(d);
}

static void test_a_refused_attach_has_it_too(void **state)
{
	struct driver *d = start_virtio();

	(void)state;
	assert_int_equal(driver_attach(d, 1, ENDPOINT_B), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x1000, 0x1fff, 0, RW), VIO_S_OK);
	mirror->refuse_in = 1;
	mirror->refuse_err = -ENOSPC;
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_NOMEM);
	assert_false(driver_reads(d->a, 0x1000));
	assert_int_equal(driver_detach(d, 1, ENDPOINT_A), VIO_S_INVAL);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_true(driver_reads(d->a, 0x1000));
	end_virtio(d);
}

/* The request stays pending until the mirror has answered. */
static void test_a_map_that_is_refused_late_has_it_too(void **state)
{
	struct driver *d = start_virtio();
	struct packet packet;

	(void)state;
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	mirror->slow = true;
	packet_map(&packet, 1, 0x1000, 0x1fff, 0, RW);
	assert_int_equal(viommu_virtio_submit(d->dev, &packet.request, 1), -EAGAIN);
	assert_false(packet.request.complete);
	assert_true(test_mirror_answer(mirror, -ENOSPC));
	while (viommu_virtio_poll(d->dev) == -EAGAIN)
		test_mirror_answer(mirror, 0);
	assert_true(packet.request.complete);
	assert_int_equal(packet_status(&packet), VIO_S_NOMEM);
	assert_false(driver_reads(d->a, 0x1000));
	end_virtio(d);
}

static void send_refused_late(struct driver *d, struct packet *packet)
{
	mirror->slow = true;
	assert_int_equal(viommu_virtio_submit(d->dev, &packet->request, 1), -EAGAIN);
	assert_true(mirror->pending[(mirror->pending_last - 1) % MIRROR_PENDING].number);
	while (mirror->pending_last - mirror->pending_first > 1)
		test_mirror_answer(mirror, 0);
	assert_true(test_mirror_answer(mirror, -EIO));
	while (viommu_virtio_poll(d->dev) == -EAGAIN)
		assert_true(test_mirror_answer(mirror, 0));
	mirror->slow = false;
	assert_int_equal(packet_status(packet), VIO_S_DEVERR);
}

/* It has left the domain where it was, and cannot go back. */
static void test_an_attach_that_is_refused_late_leaves_it_unattached(void **state)
{
	struct driver *d = start_virtio();
	struct packet packet;

	(void)state;
	assert_int_equal(driver_attach(d, 1, ENDPOINT_B), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x1000, 0x1fff, 0, RW), VIO_S_OK);
	assert_int_equal(driver_attach(d, 2, ENDPOINT_A), VIO_S_OK);
	packet_attach(&packet, 1, ENDPOINT_A, 0);
	send_refused_late(d, &packet);
	assert_false(driver_reads(d->a, 0x1000));
	assert_int_equal(driver_detach(d, 1, ENDPOINT_A), VIO_S_INVAL);
	assert_int_equal(driver_detach(d, 2, ENDPOINT_A), VIO_S_INVAL);
	assert_int_equal(driver_map(d, 2, 0x1000, 0x1fff, 0, RW), VIO_S_NOENT);
	assert_int_equal(driver_detach(d, 1, ENDPOINT_B), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x2000, 0x2fff, 0, RW), VIO_S_NOENT);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	end_virtio(d);
}

/* Where unattached endpoints bypass, it does. */
static void test_an_attach_that_is_refused_late_leaves_a_bypass(void **state)
{
	const uint8_t bypass = 1;
	struct driver *d = start_virtio();
	struct packet packet;

	(void)state;
	viommu_virtio_config_write(d->dev, VIO_CONFIG_BYPASS, &bypass, 1);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_B), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0x1000, 0x1fff, 0, RW), VIO_S_OK);
	packet_attach(&packet, 1, ENDPOINT_A, 0);
	send_refused_late(d, &packet);
	assert_int_equal(driver_detach(d, 1, ENDPOINT_A), VIO_S_INVAL);
	assert_true(driver_reads(d->a, 0x5000));
	end_virtio(d);
}

static struct vtd_driver *start_vtd(bool caching_mode, struct vtd_tables *tables)
{
	struct vtd_driver *d = vtd_driver_create(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .caching_mode = caching_mode});

	*tables = vtd_second_stage(d, 4);
	vtd_set_context(d, VTD_A, tables->top | VTD_ENTRY_P, DID << 8 | AW_48);
	mirror = calloc(1, sizeof(*mirror));
	assert_int_equal(test_mirror_register(mirror, vtd_device(d, VTD_A)), 0);
	return d;
}

static void end_vtd(struct vtd_driver *d)
{
	viommu_client_unregister(mirror->client);
	vtd_driver_destroy(d);
	free(mirror);
}

static void map(struct vtd_driver *d, const struct vtd_tables *tables, uint64_t iova, uint64_t gpa)
{
	vtd_map(d, tables, iova, gpa | SS_RW);
	vtd_flush_iotlb(d, PAGE_GRANULARITY, DID, iova, 0);
}

static void test_a_mirror_follows_the_guests_tables(void **state)
{
	struct vtd_tables tables;
	struct vtd_driver *d = start_vtd(true, &tables);

	(void)state;
	/* Translation is off: all memory. */
	assert_int_equal(mirror->space, VIOMMU_SPACE_BYPASS);
	assert_int_equal(mirror->pages[1].gpa, VTD_PAGE_SIZE);
	vtd_map(d, &tables, 0x1000, VTD_DATA | SS_RW);
	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(mirror->space, VIOMMU_SPACE_DOMAIN);
	assert_int_equal(mirror->pages[1].gpa, VTD_DATA);
	assert_int_equal(mirror->pages[2].access, 0);
	const unsigned unmaps = mirror->unmaps;

	map(d, &tables, 0x2000, VTD_DATA + VTD_PAGE_SIZE);
	assert_int_equal(mirror->pages[2].gpa, VTD_DATA + VTD_PAGE_SIZE);
	/* What stays is not touched, even where the guest invalidates all. */
	vtd_flush_iotlb(d, 1, 0, 0, 0);
	assert_int_equal(mirror->unmaps, unmaps);
	vtd_set(d, vtd_entry_at(d, &tables, 0x1000, 1), 0);
	vtd_flush_iotlb(d, PAGE_GRANULARITY, DID, 0x1000, 0);
	assert_int_equal(mirror->pages[1].access, 0);
	assert_int_equal(mirror->pages[2].gpa, VTD_DATA + VTD_PAGE_SIZE);
	end_vtd(d);
}

static void test_a_refused_leaf_is_a_recorded_fault(void **state)
{
	struct vtd_tables tables;
	struct vtd_driver *d = start_vtd(true, &tables);

	(void)state;
	vtd_start(d, VTD_TTM_IS_LEGACY);
	mirror->refuse_in = 1;
	mirror->refuse_err = -ENOSPC;
	map(d, &tables, 0x3000, VTD_DATA);
	const struct vtd_seen seen = vtd_take_fault(d);

	assert_int_equal(seen.reason, VTD_FAULT_NO_WRITE);
	assert_int_equal(seen.source, VTD_A);
	assert_int_equal(seen.info, 0x3000);
	assert_int_equal(mirror->pages[3].access, 0);
	/* The guest tries again. */
	vtd_flush_iotlb(d, PAGE_GRANULARITY, DID, 0x3000, 0);
	assert_int_equal(mirror->pages[3].gpa, VTD_DATA);
	assert_int_equal(vtd_take_fault(d).reason, 0);
	end_vtd(d);
}

/* The guest would not say what it adds: the device is blocked, and the guest is told. */
static void test_without_caching_mode_there_is_no_mirror(void **state)
{
	struct vtd_tables tables;
	struct vtd_driver *d = start_vtd(false, &tables);

	(void)state;
	vtd_map(d, &tables, 0x1000, VTD_DATA | SS_RW);
	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(mirror->pages[1].access, 0);
	assert_int_equal(vtd_take_fault(d).reason, VTD_FAULT_NO_WRITE);
	assert_true(vtd_peek(d, VTD_A, 0x1000) < 0);
	end_vtd(d);
}

/* A device with a mirror that cannot have the page at 0x3000, behind a unit that translates already. */
static struct vtd_driver *start_limited_vtd(struct vtd_tables *tables)
{
	static const struct viommu_reserved reserved = {{0x3000}, {0x3fff}, false};
	struct vtd_driver *d = vtd_driver_create(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .caching_mode = true});
	struct viommu_endpoint *device = vtd_device(d, VTD_A);
	struct viommu_inval *inval;

	*tables = vtd_second_stage(d, 4);
	vtd_set_context(d, VTD_A, tables->top | VTD_ENTRY_P, DID << 8 | AW_48);
	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(viommu_vtd_release(d->unit, device, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
	viommu_inval_destroy(inval);
	assert_int_equal(viommu_endpoint_set_limits(
				 device, &(struct viommu_endpoint_limits){.size = sizeof(struct viommu_endpoint_limits),
									  .reserved = &reserved,
									  .reserved_count = 1}),
			 0);
	assert_int_equal(viommu_vtd_manage(d->unit, device), 0);
	mirror = calloc(1, sizeof(*mirror));
	assert_int_equal(test_mirror_register(mirror, device), 0);
	return d;
}

static void test_a_reserved_address_is_a_recorded_fault(void **state)
{
	struct vtd_tables tables;
	struct vtd_driver *d = start_limited_vtd(&tables);

	(void)state;
	for (uint64_t iova = 0x2000; iova < 0x6000; iova += VTD_PAGE_SIZE)
		vtd_map(d, &tables, iova, (VTD_DATA + iova) | SS_RW);
	vtd_flush_iotlb(d, 1, 0, 0, 0);
	const struct vtd_seen seen = vtd_take_fault(d);

	assert_int_equal(seen.reason, VTD_FAULT_NO_WRITE);
	assert_int_equal(seen.source, VTD_A);
	assert_int_equal(seen.info, 0x3000);
	assert_int_equal(vtd_take_fault(d).reason, 0);
	/* The others are there, before it and behind it. */
	assert_int_equal(mirror->pages[2].gpa, VTD_DATA + 0x2000);
	assert_int_equal(mirror->pages[3].access, 0);
	assert_int_equal(mirror->pages[4].gpa, VTD_DATA + 0x4000);
	assert_int_equal(mirror->pages[5].gpa, VTD_DATA + 0x5000);
	end_vtd(d);
}

/* What counts is what mirrors are told: memory. A leaf with a reserved page is refused as a whole. */
static void test_a_large_leaf_is_limited_where_memory_is(void **state)
{
	struct vtd_tables tables;
	struct vtd_driver *d = start_limited_vtd(&tables);

	(void)state;
	vtd_set(d, vtd_entry_at(d, &tables, 0, 2), VTD_RAM | VTD_PT_PS | SS_RW);
	vtd_flush_iotlb(d, 1, 0, 0, 0);
	assert_int_equal(vtd_take_fault(d).reason, 0);
	vtd_set(d, vtd_entry_at(d, &tables, 0, 2), VTD_DATA | VTD_PT_PS | SS_RW);
	vtd_flush_iotlb(d, 1, 0, 0, 0);
	assert_int_equal(vtd_take_fault(d).reason, VTD_FAULT_NO_WRITE);
	assert_int_equal(mirror->maps, 0);
	end_vtd(d);
}

/* All memory, when the guest switches translation off, is more than the mirror can have. */
static void test_memory_at_a_reserved_address_ends_a_bypass(void **state)
{
	struct vtd_tables tables;
	struct vtd_driver *d = start_limited_vtd(&tables);

	(void)state;
	vtd_command_clear(d, VTD_GCMD_TE);
	assert_int_not_equal(vtd_take_fault(d).reason, 0);
	assert_int_equal(mirror->maps, 0);
	assert_true(vtd_peek(d, VTD_A, VTD_DATA) < 0);
	end_vtd(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_refused_map_has_the_specifications_status),
		cmocka_unit_test(test_a_refused_attach_has_it_too),
		cmocka_unit_test(test_a_map_that_is_refused_late_has_it_too),
		cmocka_unit_test(test_an_attach_that_is_refused_late_leaves_it_unattached),
		cmocka_unit_test(test_an_attach_that_is_refused_late_leaves_a_bypass),
		cmocka_unit_test(test_a_mirror_follows_the_guests_tables),
		cmocka_unit_test(test_a_refused_leaf_is_a_recorded_fault),
		cmocka_unit_test(test_without_caching_mode_there_is_no_mirror),
		cmocka_unit_test(test_a_reserved_address_is_a_recorded_fault),
		cmocka_unit_test(test_a_large_leaf_is_limited_where_memory_is),
		cmocka_unit_test(test_memory_at_a_reserved_address_ends_a_bypass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
