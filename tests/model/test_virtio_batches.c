/* SPDX-License-Identifier: BSD-2-Clause */
/* Many requests of one kick: same results as one by one, one wait for all, bypass and reset beside them, events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/util/le.h"
#include "tests/support/virtio_driver.h"

enum { RW = VIO_MAP_F_READ | VIO_MAP_F_WRITE, BATCH = 64 };

static uint32_t seed = 1;

static uint32_t below(uint32_t limit)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % limit;
}

static void random_packet(struct packet *packet)
{
	static const uint32_t endpoints[] = {ENDPOINT_A, ENDPOINT_B, NOBODY};
	uint32_t domain = 1 + below(3), endpoint = endpoints[below(3)];
	uint64_t first = (uint64_t)below(8) << 12, last = first + ((1 + below(3)) << 12) - 1;

	switch (below(8)) {
	case 0:
		packet_attach(packet, domain, endpoint, below(4) == 0);
		break;
	case 1:
		packet_detach(packet, domain, endpoint);
		break;
	case 2:
		packet_probe(packet, endpoint, 2 * VIO_RESV_SIZE);
		break;
	case 3:
	case 4:
		packet_unmap(packet, domain, first, last);
		break;
	default:
		packet_map(packet, domain, first, last, (uint64_t)below(16) << 12, below(5));
	}
}

static void expect_same_access(struct driver *a, struct driver *b)
{
	for (uint64_t at = 0; at < 12 << 12; at += 0x1000) {
		assert_int_equal(driver_reads(a->a, at), driver_reads(b->a, at));
		assert_int_equal(driver_reads(a->b, at), driver_reads(b->b, at));
	}
}

static void test_a_batch_gives_what_single_requests_give(void **state)
{
	static struct packet batch[BATCH], single[BATCH];
	struct viommu_virtio_request requests[BATCH];
	struct driver *d = *state, *reference;

	driver_setup((void **)&reference);
	for (unsigned round = 0; round < 500; round++) {
		for (unsigned i = 0; i < BATCH; i++) {
			random_packet(&single[i]);
			batch[i] = single[i];
			batch[i].in_iov.iov_base = batch[i].in;
			batch[i].out_iov.iov_base = batch[i].out;
			requests[i] = batch[i].request;
			requests[i].in = &batch[i].in_iov;
			requests[i].out = &batch[i].out_iov;
			driver_send(reference, &single[i]);
		}
		assert_int_equal(viommu_virtio_submit(d->dev, requests, BATCH), 0);
		for (unsigned i = 0; i < BATCH; i++) {
			assert_int_equal(requests[i].written, single[i].request.written);
			assert_memory_equal(batch[i].out, single[i].out, sizeof(batch[i].out));
		}
		expect_same_access(d, reference);
	}
	driver_destroy(reference);
}

static void hold_page(struct viommu_endpoint *endpoint, uint64_t iova, struct viommu_hold *hold,
		      struct viommu_span *span)
{
	struct viommu_section section;

	*hold = (struct viommu_hold){0};
	assert_int_equal(viommu_dma_begin(endpoint, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){iova}, 8, VIOMMU_READ, span), 0);
	viommu_dma_hold(&section, hold, span, 1);
	viommu_dma_end(&section);
}

/* Endpoint A is attached, its first page is mapped, and somebody holds it. */
static void hold_first_page(struct driver *d, struct viommu_hold *hold, struct viommu_span *span)
{
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_OK);
	hold_page(d->a, 0, hold, span);
}

static int submit_together(struct driver *d, const struct packet *packets, struct viommu_virtio_request *requests,
			   unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		requests[i] = packets[i].request;
	return viommu_virtio_submit(d->dev, requests, count);
}

/* Answers are in the packets already, but for how long they are. */
static void take_answers(struct packet *packets, const struct viommu_virtio_request *requests, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		packets[i].request = requests[i];
}

static void submit_pending(struct driver *d, struct packet *packet)
{
	assert_int_equal(viommu_virtio_submit(d->dev, &packet->request, 1), -EAGAIN);
}

static void test_a_batch_waits_for_its_own_hold_alone(void **state)
{
	struct driver *d = *state;
	struct packet first, second, map;
	struct viommu_span spans[2];
	struct viommu_hold holds[2];

	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(driver_map(d, 1, 0x1000 * i, 0x1000 * i + 0xfff, 0, RW), VIO_S_OK);
		hold_page(d->a, 0x1000 * i, &holds[i], &spans[i]);
	}
	packet_unmap(&first, 1, 0, 0xfff);
	submit_pending(d, &first);
	packet_unmap(&second, 1, 0x1000, 0x1fff);
	submit_pending(d, &second);
	packet_map(&map, 1, 0x2000, 0x2fff, 0, RW);
	submit_pending(d, &map);
	assert_true(map.request.complete);
	assert_int_equal(packet_status(&map), VIO_S_OK);

	viommu_dma_release(&holds[1]);
	assert_int_equal(viommu_virtio_poll(d->dev), -EAGAIN);
	assert_true(second.request.complete && !first.request.complete);
	viommu_dma_release(&holds[0]);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	assert_true(first.request.complete);
	assert_int_equal(packet_status(&first), VIO_S_OK);
}

/* Of requests that came together those that took nothing away do not wait for the one that did. */
static void test_a_map_does_not_wait_for_an_unmap_beside_it(void **state)
{
	struct driver *d = *state;
	struct packet packets[4];
	struct viommu_virtio_request requests[4];
	struct viommu_span span;
	struct viommu_hold hold;

	hold_first_page(d, &hold, &span);
	packet_map(&packets[0], 1, 0x1000, 0x1fff, 0, RW);
	packet_unmap(&packets[1], 1, 0, 0xfff);
	packet_map(&packets[2], 1, 0, 0xfff, 0, RW);
	packet_unmap(&packets[3], 2, 0, 0xfff); /* no such domain */
	assert_int_equal(submit_together(d, packets, requests, 4), -EAGAIN);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(requests[i].complete, i != 1);
	take_answers(packets, requests, 4);
	assert_int_equal(packet_status(&packets[0]), VIO_S_OK);
	assert_int_equal(packet_status(&packets[2]), VIO_S_OK);
	assert_int_equal(packet_status(&packets[3]), VIO_S_NOENT);
	assert_true(driver_reads(d->a, 0x1000));
	viommu_dma_release(&hold);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	assert_true(requests[1].complete);
	assert_int_equal(packet_status(&packets[1]), VIO_S_OK);
}

/* A second unmap finds nothing mapped, but says so only when the access that the first one waits for is over. */
static void test_unmapping_again_waits_as_well(void **state)
{
	struct driver *d = *state;
	struct packet unmaps[VIOMMU_VIRTIO_BATCHES], more;
	struct viommu_span span;
	struct viommu_hold hold;

	hold_first_page(d, &hold, &span);
	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++) {
		packet_unmap(&unmaps[i], 1, 0, 0xfff);
		submit_pending(d, &unmaps[i]);
		assert_false(unmaps[i].request.complete);
	}
	packet_map(&more, 1, 0x1000, 0x1fff, 0, RW);
	assert_int_equal(viommu_virtio_submit(d->dev, &more.request, 1), -EBUSY);
	viommu_dma_release(&hold);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	for (unsigned i = 0; i < VIOMMU_VIRTIO_BATCHES; i++)
		assert_true(unmaps[i].request.complete);
	assert_int_equal(driver_send(d, &more), VIO_S_OK);
}

/*
 * The unmap of what is still in use fails with DEVERR at the deadline; the rest of its batch, and the other device, go
 * on.
 */
static void test_a_hold_that_stays_fails_its_request_alone(void **state)
{
	struct driver *d = *state;
	struct packet packets[3];
	struct viommu_virtio_request requests[3];
	struct viommu_span span;
	struct viommu_hold hold;
	int err;

	hold_first_page(d, &hold, &span);
	assert_int_equal(driver_attach(d, 2, ENDPOINT_B), VIO_S_OK);
	assert_int_equal(driver_map(d, 2, 0, 0xfff, 0, RW), VIO_S_OK);

	packet_map(&packets[0], 1, 0x1000, 0x1fff, 0, RW);
	packet_unmap(&packets[1], 1, 0, 0xfff);
	packet_unmap(&packets[2], 2, 0, 0xfff);
	err = submit_together(d, packets, requests, 3);
	while (err == -EAGAIN) {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		err = viommu_virtio_poll(d->dev);
	}
	assert_int_equal(err, 0);
	take_answers(packets, requests, 3);
	assert_int_equal(packet_status(&packets[0]), VIO_S_OK);
	assert_int_equal(packet_status(&packets[1]), VIO_S_DEVERR);
	assert_int_equal(packet_status(&packets[2]), VIO_S_OK);
	assert_false(driver_reads(d->a, 0x1000)); /* failed: blocked */
	assert_int_equal(driver_attach(d, 3, ENDPOINT_A), VIO_S_DEVERR);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_DEVERR);
	assert_int_equal(driver_map(d, 2, 0, 0xfff, 0, RW), VIO_S_OK);
	assert_true(driver_reads(d->b, 0));
	viommu_dma_release(&hold);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_true(driver_reads(d->a, 0x1000));
	assert_int_equal(driver_attach(d, 3, ENDPOINT_A), VIO_S_OK);
}

static uint8_t read_bypass(struct driver *d)
{
	uint8_t value;

	viommu_virtio_config_read(d->dev, VIO_CONFIG_BYPASS, &value, 1);
	return value;
}

static void write_bypass(struct driver *d, uint8_t value)
{
	viommu_virtio_config_write(d->dev, VIO_CONFIG_BYPASS, &value, 1);
}

static void test_bypass_rules_unattached_endpoints(void **state)
{
	struct driver *d = *state;

	assert_int_equal(read_bypass(d), 0);
	assert_false(driver_reads(d->a, 0));
	write_bypass(d, 1);
	assert_int_equal(read_bypass(d), 1);
	assert_true(driver_reads(d->a, 0));
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_true(!driver_reads(d->a, 0) && driver_reads(d->b, 0));
	assert_int_equal(driver_detach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_true(driver_reads(d->a, 0));
	write_bypass(d, 2); /* neither 0 nor 1: ignored */
	assert_int_equal(read_bypass(d), 1);
	write_bypass(d, 0);
	assert_false(driver_reads(d->a, 0));
}

static void test_bypass_reads_the_old_value_until_nobody_uses_it(void **state)
{
	struct driver *d = *state;
	struct viommu_section section;

	write_bypass(d, 1);
	assert_int_equal(viommu_dma_begin(d->a, &section), 0);
	write_bypass(d, 0);
	assert_int_equal(read_bypass(d), 1);
	assert_int_equal(viommu_virtio_poll(d->dev), -EAGAIN);
	write_bypass(d, 1); /* changes its mind */
	viommu_dma_end(&section);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	assert_int_equal(read_bypass(d), 1);
	assert_true(driver_reads(d->a, 0));
}

static void test_reset_detaches_and_keeps_bypass_until_system_reset(void **state)
{
	struct driver *d = *state;

	write_bypass(d, 1);
	assert_int_equal(driver_attach(d, 1, ENDPOINT_A), VIO_S_OK);
	assert_int_equal(driver_map(d, 1, 0, 0xfff, 0, RW), VIO_S_OK);
	viommu_virtio_reset(d->dev, false);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	assert_int_equal(read_bypass(d), 1);
	assert_true(driver_reads(d->a, 0x5000)); /* unattached: bypasses */
	viommu_virtio_set_features(d->dev, viommu_virtio_features(d->dev));
	assert_int_equal(driver_unmap(d, 1, 0, 0xfff), VIO_S_NOENT);
	viommu_virtio_reset(d->dev, true);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	write_bypass(d, 1); /* before the feature is accepted: ignored */
	assert_int_equal(read_bypass(d), 0);
	assert_false(driver_reads(d->a, 0x5000));
}

static void test_events_tell_endpoint_address_and_direction(void **state)
{
	struct driver *d = *state;
	uint8_t event[VIO_FAULT_SIZE];

	assert_int_equal(viommu_virtio_event(d->dev, event, sizeof(event)), -EAGAIN);
	assert_false(driver_writes(d->a, 0x12345678)); /* unattached */
	assert_int_equal(driver_attach(d, 1, ENDPOINT_B), VIO_S_OK);
	assert_false(driver_reads(d->b, 0x2000)); /* not mapped */
	assert_int_equal(d->events, 2);
	assert_int_equal(viommu_virtio_event(d->dev, event, VIO_FAULT_SIZE - 1), -EMSGSIZE);
	assert_int_equal(viommu_virtio_event(d->dev, event, sizeof(event)), 0);
	assert_int_equal(le32_get(event), VIO_FAULT_R_DOMAIN);
	assert_int_equal(le32_get(event + VIO_FAULT_FLAGS), VIO_FAULT_F_WRITE | VIO_FAULT_F_ADDRESS);
	assert_int_equal(le32_get(event + VIO_FAULT_ENDPOINT), ENDPOINT_A);
	assert_int_equal(le64_get(event + VIO_FAULT_ADDRESS), 0x12345678);
	assert_int_equal(viommu_virtio_event(d->dev, event, sizeof(event)), 0);
	assert_int_equal(le32_get(event), VIO_FAULT_R_MAPPING);
	assert_int_equal(le32_get(event + VIO_FAULT_FLAGS), VIO_FAULT_F_READ | VIO_FAULT_F_ADDRESS);
	assert_int_equal(le32_get(event + VIO_FAULT_ENDPOINT), ENDPOINT_B);
	assert_int_equal(viommu_virtio_event(d->dev, event, sizeof(event)), -EAGAIN);
}

static uint64_t dropped(struct driver *d)
{
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	viommu_stats_get(d->v, &stats);
	return stats.events_dropped;
}

static void test_events_that_nobody_takes_are_bounded(void **state)
{
	struct driver *d = *state;
	uint8_t event[VIO_FAULT_SIZE];
	unsigned taken = 0;

	for (unsigned i = 0; i < 1000; i++)
		driver_reads(d->a, 0);
	while (!viommu_virtio_event(d->dev, event, sizeof(event)))
		taken++;
	assert_int_equal(taken, 256);
	assert_int_equal(dropped(d), 1000 - 256);
}

/* Those that the transport has no buffer for, and those of a driver that resets the device, are counted as well. */
static void test_events_that_are_dropped_are_counted(void **state)
{
	struct driver *d = *state;
	uint8_t event[VIO_FAULT_SIZE];

	driver_reads(d->a, 0);
	driver_reads(d->b, 0x1000);
	viommu_virtio_events_drop(d->dev);
	assert_int_equal(viommu_virtio_event(d->dev, event, sizeof(event)), -EAGAIN);
	assert_int_equal(dropped(d), 2);
	driver_reads(d->a, 0);
	viommu_virtio_reset(d->dev, false);
	assert_int_equal(viommu_virtio_poll(d->dev), 0);
	assert_int_equal(viommu_virtio_event(d->dev, event, sizeof(event)), -EAGAIN);
	assert_int_equal(dropped(d), 3);
	driver_reads(d->a, 0x2000);
	assert_int_equal(viommu_virtio_event(d->dev, event, sizeof(event)), 0);
	assert_int_equal(le64_get(event + VIO_FAULT_ADDRESS), 0x2000);
	assert_int_equal(dropped(d), 3);
}

static void test_bad_configurations_are_refused(void **state)
{
	static const struct viommu_reserved two_msi[] = {{{0}, {0xfff}, true}, {{0x1000}, {0x1fff}, true}};
	static const struct viommu_reserved overlap[] = {{{0}, {0x1fff}, true}, {{0x1000}, {0x1fff}, false}};
	static const struct viommu_reserved odd[] = {{{0x800}, {0xfff}, false}};
	const struct viommu_virtio_config bad[] = {
		{.size = sizeof(struct viommu_virtio_config), .input_bits = 31},
		{.size = sizeof(struct viommu_virtio_config), .input_bits = 65},
		{.size = sizeof(struct viommu_virtio_config), .page_size_mask = 1},
		{.size = sizeof(struct viommu_virtio_config), .domain_first = 2, .domain_last = 1},
		{.size = sizeof(struct viommu_virtio_config), .resv = two_msi, .resv_count = 2},
		{.size = sizeof(struct viommu_virtio_config), .resv = overlap, .resv_count = 2},
		{.size = sizeof(struct viommu_virtio_config), .resv = odd, .resv_count = 1},
	};
	struct driver *d = *state;
	struct viommu_virtio *dev;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(viommu_virtio_create(d->v, &bad[i], &dev), -EINVAL);
	assert_int_equal(
		viommu_virtio_create(d->v, &(struct viommu_virtio_config){.size = sizeof(struct viommu_virtio_config)},
				     &dev),
		0);
	assert_int_equal(viommu_virtio_manage(dev, d->a), -EBUSY); /* the other device's */
	viommu_virtio_destroy(dev);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, driver_setup, driver_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_batch_gives_what_single_requests_give),
		CASE(test_a_batch_waits_for_its_own_hold_alone),
		CASE(test_a_map_does_not_wait_for_an_unmap_beside_it),
		CASE(test_unmapping_again_waits_as_well),
		CASE(test_a_hold_that_stays_fails_its_request_alone),
		CASE(test_bypass_rules_unattached_endpoints),
		CASE(test_bypass_reads_the_old_value_until_nobody_uses_it),
		CASE(test_reset_detaches_and_keeps_bypass_until_system_reset),
		CASE(test_events_tell_endpoint_address_and_direction),
		CASE(test_events_that_nobody_takes_are_bounded),
		CASE(test_events_that_are_dropped_are_counted),
		CASE(test_bad_configurations_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
