/* SPDX-License-Identifier: BSD-2-Clause */
/* Structures of callers that were built with older or newer headers, and of those that forgot the size. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { GUARD = 0xa5 };

static struct viommu *v;

static int setup(void **state)
{
	(void)state;
	return viommu_create(NULL, &v);
}

static int teardown(void **state)
{
	(void)state;
	viommu_destroy(v);
	return 0;
}

/* One more than the library knows. */
struct newer_config {
	struct viommu_config known;
	uint64_t wish;
};

struct newer_stats {
	struct viommu_stats known;
	uint64_t unknown;
};

static void test_no_size_is_refused(void **state)
{
	const struct viommu_config config = {.deadline_ms = 5};
	const struct viommu_virtio_config virtio = {.size = sizeof(size_t) - 1};
	const struct viommu_vtd_config vtd = {.aw_bits = 48};
	const struct viommu_shared_config shared = {.slots = 4};
	const struct viommu_vhost_config vhost = {.fd = -1};
	const struct viommu_vhu_config vhu = {.queues = 1};
	const struct viommu_backend_config backend = {.queues = 1};
	const struct viommu_client_ops ops = {.map = NULL};
	struct viommu_stats stats = {.maps = GUARD};
	struct viommu_endpoint *endpoint;
	void *out = NULL;

	(void)state;
	assert_int_equal(viommu_endpoint_add(v, 1, "test", &endpoint), 0);
	assert_int_equal(viommu_create(&config, (struct viommu **)&out), -EINVAL);
	assert_int_equal(viommu_virtio_create(v, &virtio, (struct viommu_virtio **)&out), -EINVAL);
	assert_int_equal(viommu_vtd_create(v, &vtd, (struct viommu_vtd **)&out), -EINVAL);
	assert_int_equal(viommu_shared_create(endpoint, &shared, (struct viommu_shared **)&out), -EINVAL);
	assert_int_equal(viommu_vhost_create(endpoint, &vhost, (struct viommu_vhost **)&out), -EINVAL);
	assert_int_equal(viommu_vhu_create(&vhu, (struct viommu_vhu **)&out), -EINVAL);
	assert_int_equal(viommu_backend_create(-1, &backend, (struct viommu_backend **)&out), -EINVAL);
	assert_int_equal(viommu_client_register(endpoint, &ops, NULL, (struct viommu_client **)&out), -EINVAL);
	assert_int_equal(viommu_stats_get(v, &stats), -EINVAL);
	assert_int_equal(stats.maps, GUARD);
	assert_null(out);
	assert_int_equal(viommu_endpoint_remove(endpoint), 0);
}

/* A caller whose headers had fields up to `invalidations`: nothing beyond is written. */
static void test_an_older_caller_is_never_written_past_its_size(void **state)
{
	struct viommu_stats stats;
	const size_t size = offsetof(struct viommu_stats, waited);

	(void)state;
	memset(&stats, GUARD, sizeof(stats));
	stats.size = size;
	assert_int_equal(viommu_stats_get(v, &stats), 0);
	assert_int_equal(stats.size, size);
	assert_int_equal(stats.invalidations, 0);
	for (size_t i = size; i < sizeof(stats); i++)
		assert_int_equal(((const uint8_t *)&stats)[i], GUARD);
}

static void fault_seen(void *opaque, const struct viommu_fault *fault)
{
	(void)fault;
	*(unsigned *)opaque += 1;
}

/* A caller that knows nothing from `fault` on: what lies there is not its configuration. */
static void test_what_an_older_caller_does_not_know_is_0(void **state)
{
	unsigned faults = 0;
	struct viommu_config config = {
		.size = sizeof(config),
		.fault = fault_seen,
		.opaque = &faults,
	};
	struct viommu_endpoint *endpoint;
	struct viommu *mine;
	uint8_t byte;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(viommu_create(&config, &mine), 0);
		assert_int_equal(viommu_endpoint_add(mine, 1, "test", &endpoint), 0);
		assert_int_equal(viommu_dma_read(endpoint, (struct viommu_iova){0}, &byte, 1), -EFAULT);
		assert_int_equal(faults, 1);
		assert_int_equal(viommu_endpoint_remove(endpoint), 0);
		viommu_destroy(mine);
		config.size = offsetof(struct viommu_config, fault);
	}
}

static void test_a_newer_caller_gets_what_there_is(void **state)
{
	struct newer_config config = {.known = {.size = sizeof(config)}};
	struct newer_stats stats = {.known = {.size = sizeof(stats)}, .unknown = GUARD};
	struct viommu *mine = NULL;

	(void)state;
	assert_int_equal(viommu_stats_get(v, &stats.known), 0);
	assert_int_equal(stats.unknown, 0);
	assert_int_equal(viommu_create(&config.known, &mine), 0);
	viommu_destroy(mine);
	mine = NULL;
	config.wish = 1;
	assert_int_equal(viommu_create(&config.known, &mine), -E2BIG);
	assert_null(mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_size_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_older_caller_is_never_written_past_its_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_an_older_caller_does_not_know_is_0, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_newer_caller_gets_what_there_is, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
