/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices that come to a VT-d unit, and go, while the guest invalidates and the devices are at work. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/support/plug.h"
#include "tests/support/vtd_driver.h"

enum { DID = 7, AW_48 = 2, IOVA = 0x10000, LATE = 0x0128, ROUNDS = 150, PATIENT_MS = 60000, IMPATIENT_MS = 40 };

static void start_release(struct vtd_driver *d, struct viommu_endpoint *endpoint, struct viommu_inval *inval)
{
	assert_int_equal(viommu_vtd_release(d->unit, endpoint, inval), 0);
	viommu_inval_begin(inval);
}

/* Take an endpoint back when nobody is in the way. */
static void release(struct vtd_driver *d, struct viommu_endpoint *endpoint)
{
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	start_release(d, endpoint, inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
	viommu_inval_destroy(inval);
}

/* Unplugged, and another in its place, so that vtd_driver_destroy() finds one. */
static void replace_a(struct vtd_driver *d)
{
	assert_int_equal(viommu_endpoint_remove(d->devices[0]), 0);
	assert_int_equal(viommu_endpoint_add(d->v, VTD_A, "another", &d->devices[0]), 0);
}

/* IOVA leads a device to the first word of VTD_DATA. */
static void map_device(struct vtd_driver *d, uint16_t source)
{
	struct vtd_tables tables = vtd_second_stage(d, 4);

	vtd_map(d, &tables, IOVA, VTD_DATA | VTD_SS_R | VTD_SS_W);
	vtd_set_context(d, source, tables.top | VTD_ENTRY_P, (uint64_t)DID << 8 | AW_48);
}

static struct vtd_driver *create(unsigned deadline_ms)
{
	struct vtd_driver *d = vtd_driver_create_patient(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config)}, deadline_ms);

	map_device(d, VTD_A);
	map_device(d, LATE);
	return d;
}

static int setup(void **state)
{
	*state = create(PATIENT_MS);
	return 0;
}

static int setup_impatient(void **state)
{
	*state = create(IMPATIENT_MS);
	return 0;
}

static int teardown(void **state)
{
	vtd_driver_destroy(*state);
	return 0;
}

static void test_a_released_device_is_blocked_and_can_be_removed(void **state)
{
	struct vtd_driver *d = *state;

	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(vtd_peek(d, VTD_A, IOVA), VTD_DATA);
	assert_int_equal(viommu_endpoint_remove(d->devices[0]), -EBUSY);
	release(d, d->devices[0]);
	assert_int_equal(vtd_peek(d, VTD_A, IOVA), -EFAULT);
	assert_int_equal(vtd_take_fault(d).reason, 0); /* no device of the unit */
	replace_a(d);
}

/* Also one that bypasses. */
static void test_a_released_device_does_not_bypass(void **state)
{
	struct vtd_driver *d = *state;

	assert_int_equal(vtd_peek(d, VTD_A, VTD_DATA), VTD_DATA);
	release(d, d->devices[0]);
	assert_int_equal(vtd_peek(d, VTD_A, VTD_DATA), -EFAULT);
	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(vtd_peek(d, VTD_A, IOVA), -EFAULT);
	viommu_vtd_reset(d->unit);
	assert_int_equal(viommu_vtd_poll(d->unit), 0);
	assert_int_equal(vtd_peek(d, VTD_A, VTD_DATA), -EFAULT);
	replace_a(d);
}

static void test_invalidations_that_name_it_find_no_device(void **state)
{
	struct vtd_driver *d = *state;

	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(vtd_peek(d, VTD_A, IOVA), VTD_DATA);
	release(d, d->devices[0]);
	replace_a(d);
	vtd_flush_context(d, 3, DID, VTD_A, 0);
	vtd_flush_context(d, 1, 0, 0, 0);
	vtd_flush_iotlb(d, 2, DID, 0, 0);
	vtd_flush_iotlb(d, 3, DID, IOVA, 0);
	vtd_command_clear(d, VTD_GCMD_TE);
	vtd_command_set(d, VTD_GCMD_TE);
}

/* Behind the same entries: nothing is left of what was cached for the one before. */
static void test_a_device_that_comes_is_translated_where_translation_is_on(void **state)
{
	struct vtd_driver *d = *state;

	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(vtd_peek(d, VTD_A, IOVA), VTD_DATA);
	release(d, d->devices[0]);
	replace_a(d);
	vtd_set_context(d, VTD_A, 0, 0);
	assert_int_equal(viommu_vtd_manage(d->unit, d->devices[0]), 0);
	vtd_expect_fault(d, VTD_A, IOVA, VIOMMU_READ, VTD_FAULT_CONTEXT_NOT_PRESENT);
	vtd_expect_fault(d, VTD_A, VTD_DATA, VIOMMU_READ, VTD_FAULT_CONTEXT_NOT_PRESENT);
	map_device(d, VTD_A);
	assert_int_equal(vtd_peek(d, VTD_A, IOVA), VTD_DATA);
	vtd_command_clear(d, VTD_GCMD_TE);
	assert_int_equal(vtd_peek(d, VTD_A, VTD_DATA), VTD_DATA);
}

/* A command is pending, because a device is in the way of it; the one that comes goes its way at once. */
static void test_a_device_comes_while_a_command_is_pending(void **state)
{
	struct vtd_driver *d = *state;
	struct viommu_endpoint *late;
	struct viommu_section section;

	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(viommu_endpoint_add(d->v, LATE, "late", &late), 0);
	assert_int_equal(viommu_dma_begin(d->devices[0], &section), 0);
	viommu_vtd_write(d->unit, VTD_GCMD, VTD_GCMD_QIE, 4);
	assert_true(viommu_vtd_read(d->unit, VTD_GSTS, 4) & VTD_GCMD_TE); /* pending */
	assert_int_equal(viommu_vtd_manage(d->unit, late), 0);
	uint64_t word = 0;

	assert_int_equal(viommu_dma_read(late, (struct viommu_iova){VTD_DATA}, &word, sizeof(word)), 0);
	assert_int_equal(word, VTD_DATA);
	release(d, late);
	assert_int_equal(viommu_endpoint_remove(late), 0);
	viommu_dma_end(&section);
	assert_int_equal(viommu_vtd_poll(d->unit), 0);
	assert_false(viommu_vtd_read(d->unit, VTD_GSTS, 4) & VTD_GCMD_TE);
}

/* The command that ended what the device is at waits for it, and so does the release, whatever its space is now. */
static void test_release_waits_for_what_began_without_translation(void **state)
{
	struct vtd_driver *d = *state;
	struct viommu_section section;
	struct viommu_inval *inval;

	vtd_start(d, VTD_TTM_IS_LEGACY);
	vtd_command_clear(d, VTD_GCMD_TE);
	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(viommu_dma_begin(d->devices[0], &section), 0);
	viommu_vtd_write(d->unit, VTD_GCMD, VTD_GCMD_QIE | VTD_GCMD_TE, 4);
	start_release(d, d->devices[0], inval);
	assert_int_equal(viommu_inval_poll(inval), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(inval), 0);
	assert_int_equal(viommu_vtd_poll(d->unit), 0);
	viommu_inval_destroy(inval);
	replace_a(d);
}

static void test_release_and_manage_refuse(void **state)
{
	struct vtd_driver *d = *state;
	struct viommu_endpoint *late;
	struct viommu_section section;
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(viommu_endpoint_add(d->v, LATE, "late", &late), 0);
	assert_int_equal(viommu_vtd_release(d->unit, late, inval), -ENOENT);
	assert_int_equal(viommu_bypass(late, inval), 0);
	assert_int_equal(viommu_vtd_manage(d->unit, late), -EBUSY); /* not blocked */
	assert_int_equal(viommu_detach(late, inval), 0);
	assert_int_equal(viommu_vtd_manage(d->unit, late), 0);
	assert_int_equal(viommu_vtd_manage(d->unit, late), -EBUSY); /* managed */
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
	assert_int_equal(viommu_dma_begin(late, &section), 0);
	assert_int_equal(viommu_quiesce(late, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(viommu_vtd_release(d->unit, d->devices[0], inval), -EBUSY); /* it has begun */
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(inval), 0);
	viommu_inval_destroy(inval);
	release(d, late);
	assert_int_equal(viommu_endpoint_remove(late), 0);
}

/* The guest's wait and the release wait for the same section; another device's wait is not held up by it. */
static void test_pending_invalidations_complete(void **state)
{
	struct vtd_driver *d = *state;
	struct viommu_section section;
	struct viommu_inval *inval;
	struct viommu_span span;

	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(viommu_dma_begin(d->devices[0], &section), 0);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){IOVA}, 8, VIOMMU_READ, &span), 0);
	vtd_queue_put(d, VTD_D_IOTLB | 2 << 4 | DID << 16, 0);
	vtd_queue_put_wait(d, 1);
	vtd_queue_ring(d);
	assert_int_equal(vtd_queue_status(d), 0);
	start_release(d, d->devices[0], inval);
	assert_int_equal(viommu_inval_poll(inval), -EAGAIN);
	assert_int_equal(viommu_endpoint_remove(d->devices[0]), -EBUSY);
	/* The section may go on where it is: tables and context are there as long as it is open. */
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){IOVA + 4096}, 8, VIOMMU_READ, &span),
			 -EFAULT);
	viommu_dma_end(&section);
	assert_int_equal(viommu_vtd_poll(d->unit), 0);
	assert_int_equal(vtd_queue_status(d), 1);
	assert_int_equal(viommu_inval_poll(inval), 0);
	viommu_inval_destroy(inval);
	replace_a(d);
}

/* A device that does not let go fails the release; its space stays until it has let go, for it may still walk. */
static void test_a_section_that_stays_fails_the_release(void **state)
{
	struct vtd_driver *d = *state;
	struct viommu_section section;
	struct viommu_inval *inval;
	struct viommu_span span;
	int err;

	vtd_start(d, VTD_TTM_IS_LEGACY);
	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(viommu_dma_begin(d->devices[0], &section), 0);
	start_release(d, d->devices[0], inval);
	while ((err = viommu_inval_poll(inval)) == -EAGAIN)
		sched_yield();
	assert_int_equal(err, -ETIMEDOUT);
	assert_int_equal(viommu_endpoint_remove(d->devices[0]), -EBUSY);
	assert_int_equal(viommu_vtd_manage(d->unit, d->devices[0]), -EIO);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){IOVA}, 8, VIOMMU_READ, &span), 0);
	viommu_dma_end(&section);
	viommu_inval_destroy(inval);
	replace_a(d);
}

struct race {
	struct vtd_driver *d;
	struct plug plug;
};

/* A vCPU invalidates by the queue, and switches translation off and on: both go through the unit's devices. */
static void *guest_main(void *opaque)
{
	struct race *race = opaque;
	struct vtd_driver *d = race->d;

	for (unsigned i = 0; !atomic_load(&race->plug.stop); i++) {
		vtd_flush_context(d, i % 2 ? 1 : 3, DID, LATE, 0);
		vtd_flush_iotlb(d, 1 + i % 2, DID, 0, 0);
		if (i % 4 == 3) {
			vtd_command_clear(d, VTD_GCMD_TE);
			vtd_command_set(d, VTD_GCMD_TE);
		}
		atomic_fetch_add(&race->plug.turns, 1);
	}
	return NULL;
}

static void use(struct viommu_endpoint *late)
{
	uint64_t word;

	viommu_dma_read(late, (struct viommu_iova){IOVA}, &word, sizeof(word));
	viommu_dma_read(late, (struct viommu_iova){0x5000000}, &word, sizeof(word));
}

static void plug_and_unplug(struct race *race, struct viommu_inval *inval)
{
	struct vtd_driver *d = race->d;
	struct viommu_endpoint *late;
	uint64_t word;

	assert_int_equal(viommu_endpoint_add(d->v, LATE, "late", &late), 0);
	assert_int_equal(viommu_vtd_manage(d->unit, late), 0);
	atomic_store(&race->plug.late, late);
	plug_await_turn(&race->plug);
	assert_int_equal(viommu_vtd_release(d->unit, late, inval), 0);
	plug_await_turn(&race->plug);
	plug_await_inval(inval);
	assert_int_not_equal(viommu_dma_read(late, (struct viommu_iova){VTD_DATA}, &word, sizeof(word)), 0);
	assert_int_not_equal(viommu_dma_read(late, (struct viommu_iova){IOVA}, &word, sizeof(word)), 0);
	plug_out(&race->plug);
	/* Until what the guest had pending is complete, too. */
	while (viommu_endpoint_remove(late) == -EBUSY)
		sched_yield();
}

/* For ThreadSanitizer: list, contexts, sinks and spaces against the guest and the device. */
static void test_devices_come_and_go_under_load(void **state)
{
	struct race race = {.d = *state, .plug.use = use};
	struct viommu_inval *inval;
	pthread_t guest, device;

	vtd_start(race.d, VTD_TTM_IS_LEGACY);
	assert_int_equal(viommu_inval_create(race.d->v, &inval), 0);
	pthread_create(&guest, NULL, guest_main, &race);
	pthread_create(&device, NULL, plug_device_main, &race.plug);
	for (unsigned i = 0; i < ROUNDS; i++)
		plug_and_unplug(&race, inval);
	atomic_store(&race.plug.stop, true);
	pthread_join(guest, NULL);
	pthread_join(device, NULL);
	viommu_inval_destroy(inval);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_released_device_is_blocked_and_can_be_removed),
		CASE(test_a_released_device_does_not_bypass),
		CASE(test_invalidations_that_name_it_find_no_device),
		CASE(test_a_device_that_comes_is_translated_where_translation_is_on),
		CASE(test_a_device_comes_while_a_command_is_pending),
		CASE(test_release_waits_for_what_began_without_translation),
		CASE(test_release_and_manage_refuse),
		CASE(test_pending_invalidations_complete),
		cmocka_unit_test_setup_teardown(test_a_section_that_stays_fails_the_release, setup_impatient, teardown),
		CASE(test_devices_come_and_go_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
