/* SPDX-License-Identifier: BSD-2-Clause */
/* Endpoints that come to the virtio-iommu, and go, while its driver and their devices are at work. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "lib/util/le.h"
#include "tests/support/plug.h"
#include "tests/support/virtio_driver.h"

enum { RW = VIO_MAP_F_READ | VIO_MAP_F_WRITE, ENDPOINT_LATE = 0x28, ROUNDS = 200 };

/* Take an endpoint back when nobody is in the way. */
static void release(struct driver *d, struct viommu_endpoint *endpoint)
{
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(viommu_virtio_release(d->dev, endpoint, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
	viommu_inval_destroy(inval);
}

/* So that the endpoint can go, and driver_destroy() finds another. */
static void replace_a(struct driver *d)
{
	assert_int_equal(viommu_endpoint_remove(d->a), 0);
	assert_int_equal(viommu_endpoint_add(d->v, ENDPOINT_A, "0000:00:03.0", &d->a), 0);
}

static void settle(struct driver *d)
{
	while (viommu_virtio_poll(d->dev) == -EAGAIN)
		sched_yield();
}

static void set_bypass(struct driver *d, uint8_t value)
{
	viommu_virtio_config_write(d->dev, VIO_CONFIG_BYPASS, &value, 1);
}

static void test_a_released_endpoint_is_blocked_and_can_be_removed(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_OK);
	assert_true(driver_reads(d->a, 0));
	assert_int_equal(viommu_endpoint_remove(d->a), -EBUSY);
	release(d, d->a);
	assert_false(driver_reads(d->a, 0));
	replace_a(d);
}

/* The domain goes with its last endpoint. */
static void test_requests_that_name_it_find_nobody(void **state)
{
	struct driver *d = *state;
	struct packet packet;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_attach(d, 2, ENDPOINT_B), VIO_S_OK);
	release(d, d->a);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_NOENT);
	assert_int_equal(driver_detach(d, 1, ENDPOINT_A), VIO_S_NOENT);
	packet_probe(&packet, ENDPOINT_A, 48);
	assert_int_equal(driver_send(d, &packet), VIO_S_NOENT);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_NOENT);
	assert_int_equal(driver_map(d, 2, 0, 0xfff, 0, RW), VIO_S_OK);
	assert_true(driver_reads(d->b, 0));
	viommu_virtio_reset(d->dev, false);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
}

static void test_the_others_keep_the_domain(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_B), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_OK);
	release(d, d->a);
	assert_true(driver_reads(d->b, 0));
	assert_int_equal(driver_unmap(d, 1, 0, 0xfff), VIO_S_OK);
}

/* A released endpoint's faults are nobody's; those of one that is back are the model's again. */
static void test_its_faults_are_the_models_while_it_manages_it(void **state)
{
	struct driver *d = *state;
	struct viommu_fault fault;

	release(d, d->a);
	assert_false(driver_reads(d->a, 0x5000));
	assert_int_equal(d->events, 0);
	assert_int_equal(viommu_fault_next(d->v, &fault), 0);
	assert_int_equal(fault.iova.value, 0x5000);
	assert_int_equal(viommu_virtio_manage(d->dev, d->a), 0);
	assert_false(driver_reads(d->a, 0x5000));
	assert_int_equal(d->events, 1);
}

/* What another model makes of it is not this one's any more. */
static void test_a_released_endpoint_can_go_to_another_model(void **state)
{
	const struct viommu_virtio_config bypass = {.size = sizeof(struct viommu_virtio_config), .bypass = true};
	struct driver *d = *state;
	struct viommu_virtio *other;

	assert_int_equal(viommu_virtio_create(d->v, &bypass, &other), 0);
	release(d, d->a);
	assert_int_equal(viommu_virtio_manage(other, d->a), 0);
	assert_true(driver_reads(d->a, 0));
	viommu_virtio_reset(d->dev, true);
	assert_true(driver_reads(d->a, 0));
	viommu_virtio_destroy(other);
}

static void test_release_and_manage_refuse(void **state)
{
	struct driver *d = *state;
	struct viommu_endpoint *late;
	struct viommu_domain *domain;
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(viommu_domain_create(d->v, 9, &domain), 0);
	assert_int_equal(viommu_endpoint_add(d->v, ENDPOINT_LATE, "late", &late), 0);
	assert_int_equal(viommu_virtio_release(d->dev, late, inval), -ENOENT);
	assert_int_equal(viommu_attach(late, domain, inval), 0);
	assert_int_equal(viommu_virtio_manage(d->dev, late), -EBUSY); /* not blocked */
	assert_int_equal(viommu_detach(late, inval), 0);
	assert_int_equal(viommu_virtio_manage(d->dev, late), 0);
	assert_int_equal(viommu_virtio_manage(d->dev, late), -EBUSY); /* managed */

	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(d->a, &section), 0);
	assert_int_equal(viommu_quiesce(d->a, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(viommu_virtio_release(d->dev, late, inval), -EBUSY); /* it has begun */
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(inval), 0);
	viommu_inval_destroy(inval);
	release(d, late);
	viommu_domain_destroy(domain);
	assert_int_equal(viommu_endpoint_remove(late), 0);
}

/* Whatever the endpoint had begun, attached or not, is over when the release is complete. */
static void test_release_waits_for_the_device(void **state)
{
	struct driver *d = *state;
	struct viommu_section blocked, mapped;
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(viommu_dma_begin(d->a, &blocked), 0);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(viommu_dma_begin(d->a, &mapped), 0);
	assert_int_equal(viommu_virtio_release(d->dev, d->a, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), -EAGAIN);
	viommu_dma_end(&mapped);
	assert_int_equal(viommu_inval_poll(inval), -EAGAIN);
	assert_int_equal(viommu_endpoint_remove(d->a), -EBUSY);
	viommu_dma_end(&blocked);
	assert_int_equal(viommu_inval_poll(inval), 0);
	viommu_inval_destroy(inval);
	replace_a(d);
}

/* The unmap and the release wait for the same hold, and nothing is left when it is gone. */
static void test_pending_requests_complete(void **state)
{
	struct driver *d = *state;
	struct viommu_section section;
	struct viommu_hold hold = {0};
	struct viommu_span span;
	struct viommu_inval *inval;
	struct packet unmap, detach;

	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_OK);
	assert_int_equal(viommu_dma_begin(d->a, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){0}, 512, VIOMMU_READ, &span), 0);
	viommu_dma_hold(&section, &hold, &span, 1);
	viommu_dma_end(&section);
	packet_unmap(&unmap, 1, 0, 0xfff);
	packet_detach(&detach, 1, ENDPOINT_A);
	assert_int_equal(viommu_virtio_submit(d->dev, &unmap.request, 1), -EAGAIN);
	assert_int_equal(viommu_virtio_submit(d->dev, &detach.request, 1), -EAGAIN);
	assert_int_equal(viommu_virtio_release(d->dev, d->a, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), -EAGAIN);
	viommu_dma_release(&hold);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	assert_int_equal(packet_status(&unmap), VIO_S_OK);
	assert_int_equal(packet_status(&detach), VIO_S_OK);
	assert_int_equal(viommu_inval_poll(inval), 0);
	viommu_inval_destroy(inval);
	replace_a(d);
}

/* A device that does not let go fails its requests and the release, and stays until it has let go. */
static void test_a_hold_that_stays_fails_the_release(void **state)
{
	struct driver *d = *state;
	struct viommu_section section;
	struct viommu_inval *inval;
	struct packet detach;
	int err;

	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(viommu_dma_begin(d->a, &section), 0);
	packet_detach(&detach, 1, ENDPOINT_A);
	assert_int_equal(viommu_virtio_submit(d->dev, &detach.request, 1), -EAGAIN);
	assert_int_equal(viommu_virtio_release(d->dev, d->a, inval), 0);
	viommu_inval_begin(inval);
	while ((err = viommu_inval_poll(inval)) == -EAGAIN)
		sched_yield();
	assert_int_equal(err, -ETIMEDOUT);
	settle(d);
	assert_int_equal(packet_status(&detach), VIO_S_DEVERR);
	assert_int_equal(viommu_endpoint_remove(d->a), -EBUSY);
	set_bypass(d, 1);
	assert_int_equal(viommu_virtio_manage(d->dev, d->a), -EIO);
	viommu_dma_end(&section);
	viommu_inval_destroy(inval);
	replace_a(d);
}

/* With requests pending, and the invalidation of `bypass` too, an endpoint comes in the state that is in force. */
static void test_an_endpoint_comes_while_requests_are_pending(void **state)
{
	struct driver *d = *state;
	struct packet unmap;
	struct viommu_section section, other;
	struct viommu_endpoint *late;

	set_bypass(d, 1);
	assert_int_equal(viommu_endpoint_add(d->v, ENDPOINT_LATE, "late", &late), 0);
	assert_int_equal(viommu_dma_begin(d->b, &other), 0);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(viommu_dma_begin(d->a, &section), 0);
	packet_unmap(&unmap, 1, 0, 0xfff);
	assert_int_equal(viommu_virtio_submit(d->dev, &unmap.request, 1), -EAGAIN);
	assert_int_equal(viommu_virtio_manage(d->dev, late), 0);
	assert_true(driver_reads(late, 0));
	release(d, late);
	set_bypass(d, 0);
	assert_int_equal(viommu_virtio_manage(d->dev, late), 0);
	assert_false(driver_reads(late, 0));
	viommu_dma_end(&section);
	viommu_dma_end(&other);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	assert_int_equal(driver_attach(d, 3, ENDPOINT_LATE), VIO_S_OK);
	viommu_virtio_reset(d->dev, true);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	release(d, late);
	assert_int_equal(viommu_endpoint_remove(late), 0);
}

/* How many extents a mirror holds, and the ticket that it has not acknowledged. */
struct held {
	unsigned extents;
	uint64_t ticket;
};

static int hold_extent(void *opaque, const struct viommu_extent *extent, uint64_t ticket)
{
	(void)extent;
	(void)ticket;
	((struct held *)opaque)->extents++;
	return 0;
}

static void drop_extents(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct held *held = opaque;

	(void)first;
	(void)last;
	held->extents = 0;
	held->ticket = ticket;
}

/* What mirrors what the endpoint reaches loses it, and the release waits until it says so. */
static void test_release_waits_for_mirrors(void **state)
{
	const struct viommu_mirror_ops ops = {.size = sizeof(ops), .map = hold_extent, .unmap = drop_extents};
	struct driver *d = *state;
	struct held held = {0};
	struct viommu_client *mirror;
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(d->v, &inval), 0);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_OK);
	assert_int_equal(viommu_mirror_register(d->a, &ops, &held, &mirror), 0);
	assert_int_equal(held.extents, 1);
	assert_int_equal(viommu_virtio_release(d->dev, d->a, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(held.extents, 0);
	assert_int_equal(viommu_inval_poll(inval), -EAGAIN);
	viommu_client_ack(mirror, held.ticket);
	assert_int_equal(viommu_inval_poll(inval), 0);
	viommu_client_unregister(mirror);
	viommu_inval_destroy(inval);
	replace_a(d);
}

struct race {
	struct driver *d;
	struct plug plug;
};

/* A vCPU changes `bypass`, which goes through all endpoints. */
static void *driver_main(void *opaque)
{
	struct race *race = opaque;

	for (unsigned i = 0; !atomic_load(&race->plug.stop); i++) {
		set_bypass(race->d, i & 1);
		atomic_fetch_add(&race->plug.turns, 1);
		if (i % 16 == 15)
			sched_yield();
	}
	return NULL;
}

static void use(struct viommu_endpoint *late)
{
	driver_reads(late, 0);
}

static void plug_and_unplug(struct race *race, struct viommu_inval *inval)
{
	struct driver *d = race->d;
	struct viommu_endpoint *late;
	struct packet attach;

	assert_int_equal(viommu_endpoint_add(d->v, ENDPOINT_LATE, "late", &late), 0);
	assert_int_equal(viommu_virtio_manage(d->dev, late), 0);
	atomic_store(&race->plug.late, late);
	packet_attach(&attach, 2, ENDPOINT_LATE, 0);
	viommu_virtio_submit(d->dev, &attach.request, 1);
	settle(d);
	assert_int_equal(packet_status(&attach), VIO_S_OK);
	plug_await_turn(&race->plug);
	assert_int_equal(viommu_virtio_release(d->dev, late, inval), 0);
	plug_await_turn(&race->plug);
	plug_await_inval(inval);
	assert_false(driver_reads(late, 0));
	plug_out(&race->plug);
	settle(d);
	assert_int_equal(viommu_endpoint_remove(late), 0);
}

/* For ThreadSanitizer: list, sinks and endpoints against the driver and the device. */
static void test_endpoints_come_and_go_under_load(void **state)
{
	struct race race = {.d = *state, .plug.use = use};
	struct viommu_inval *inval;
	pthread_t driver, device;

	assert_int_equal(viommu_inval_create(race.d->v, &inval), 0);
	pthread_create(&driver, NULL, driver_main, &race);
	pthread_create(&device, NULL, plug_device_main, &race.plug);
	for (unsigned i = 0; i < ROUNDS; i++)
		plug_and_unplug(&race, inval);
	atomic_store(&race.plug.stop, true);
	pthread_join(driver, NULL);
	pthread_join(device, NULL);
	viommu_inval_destroy(inval);
	set_bypass(race.d, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, driver_setup, driver_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_released_endpoint_is_blocked_and_can_be_removed),
		CASE(test_requests_that_name_it_find_nobody),
		CASE(test_the_others_keep_the_domain),
		CASE(test_its_faults_are_the_models_while_it_manages_it),
		CASE(test_a_released_endpoint_can_go_to_another_model),
		CASE(test_release_and_manage_refuse),
		CASE(test_release_waits_for_the_device),
		CASE(test_pending_requests_complete),
		CASE(test_a_hold_that_stays_fails_the_release),
		CASE(test_an_endpoint_comes_while_requests_are_pending),
		CASE(test_release_waits_for_mirrors),
		CASE(test_endpoints_come_and_go_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
