/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front end's life with a back end that does all as it should: negotiation, start, stop, configuration, connecting
 * again.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/vhu_front.h"

static void connect_and_start(struct front *f, unsigned count)
{
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->ready, 1);
	assert_int_equal(front_start(f, count), 0);
	front_pump(f);
	assert_int_equal(f->started, 1);
}

static void lose(struct front *f)
{
	back_close(&f->back);
	front_pump(f);
}

static void test_negotiates(void **state)
{
	struct front *f = *state;

	front_connect(f);
	assert_false(viommu_vhu_ready(f->vhu));
	front_pump(f);
	assert_int_equal(f->ready, 1);
	assert_true(viommu_vhu_ready(f->vhu));
	assert_int_equal(viommu_vhu_queues(f->vhu), 8);
	/* Nothing is agreed upon but what the front end makes use of. */
	assert_int_equal(f->back.acked_protocol,
			 1 << VHU_PROTOCOL_F_MQ | 1 << VHU_PROTOCOL_F_REPLY_ACK | 1 << VHU_PROTOCOL_F_BACKEND_REQ);
	assert_false(viommu_vhu_features(f->vhu) & (1ull << 34 | 1ull << 30));
	assert_true(f->back.requests_open);
	assert_int_equal(back_saw(&f->back, VHU_SET_OWNER), 1);
	assert_int_equal(back_saw(&f->back, VHU_SET_FEATURES), 0);
}

static void test_starts_rings(void **state)
{
	struct front *f = *state;

	connect_and_start(f, 2);
	assert_true(f->back.acked_features >> 33 & 1);
	assert_true(f->back.acked_features >> 30 & 1);
	assert_int_equal(f->back.memory.count, 1);
	assert_int_equal(f->back.memory.regions[0].size, VHU_RAM);
	for (unsigned i = 0; i < 2; i++) {
		struct viommu_vhu_ring ring = front_ring(f, i);

		assert_int_equal(f->back.sizes[i], 64);
		assert_int_equal(f->back.addrs[i].desc, ring.desc.value);
		assert_int_equal(f->back.addrs[i].avail, ring.driver.value);
		assert_int_equal(f->back.addrs[i].used, ring.device.value);
		assert_true(f->back.enabled[i]);
	}
	assert_int_equal(f->back.kicks, 2);
	assert_int_equal(f->back.calls, 2);
	assert_int_equal(f->back.errs, 2);
	assert_int_equal(viommu_vhu_start(f->vhu, 0, &(struct viommu_vhu_ring){0}, 1), -EBUSY);
}

/* The back end learns where memory lies in the guest, not in this process. */
static void test_tells_no_host_address(void **state)
{
	struct front *f = *state;

	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){1ull << 32}, VHU_PAGE, f->ram, f->ram_fd, 0x3000), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){2ull << 32}, VHU_PAGE, f->ram, -1, 0), 0);
	connect_and_start(f, 1);
	assert_int_equal(f->back.memory.count, 2); /* one has no descriptor */
	assert_int_equal(f->back.memory.regions[1].guest_address, 1ull << 32);
	assert_int_equal(f->back.memory.regions[1].user_address, 1ull << 32);
	assert_int_equal(f->back.memory.regions[1].mmap_offset, 0x3000);
}

/*
 * A back end may take its time over the memory table: it has it before there are rings, and again where it has changed.
 */
static void test_memory_is_told_early(void **state)
{
	struct front *f = *state;

	front_connect(f);
	front_pump(f);
	assert_int_equal(back_saw(&f->back, VHU_SET_MEM_TABLE), 1);
	assert_int_equal(front_start(f, 1), 0);
	front_pump(f);
	assert_int_equal(f->started, 1);
	assert_int_equal(back_saw(&f->back, VHU_SET_MEM_TABLE), 1);
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	front_pump(f);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){1ull << 32}, VHU_PAGE, f->ram, f->ram_fd, 0), 0);
	assert_int_equal(front_start(f, 1), 0);
	front_pump(f);
	assert_int_equal(back_saw(&f->back, VHU_SET_MEM_TABLE), 2);
	assert_int_equal(f->back.memory.count, 2);
}

static void test_stops_with_bases(void **state)
{
	struct front *f = *state;

	connect_and_start(f, 2);
	f->back.bases[0] = 11;
	f->back.bases[1] = 65535;
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	assert_int_equal(viommu_vhu_stop(f->vhu), -EALREADY);
	assert_int_equal(f->stopped, 0);
	front_pump(f);
	assert_int_equal(f->stopped, 1);
	assert_int_equal(f->bases[0], 11);
	assert_int_equal(f->bases[1], 65535);
	assert_int_equal(front_start(f, 1), 0);
	front_pump(f);
	assert_int_equal(f->started, 2);
}

static void test_stop_waits_for_start(void **state)
{
	struct front *f = *state;

	front_connect(f);
	front_pump(f);
	assert_int_equal(front_start(f, 2), 0);
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	assert_int_equal(f->stopped, 0);
	front_pump(f);
	assert_int_equal(f->stopped, 1);
	assert_int_equal(back_saw(&f->back, VHU_GET_VRING_BASE), 2);
}

static void test_stop_without_a_connection(void **state)
{
	struct front *f = *state;

	assert_int_equal(front_start(f, 1), 0);
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	assert_int_equal(f->stopped, 1);
}

static void test_rings_are_enabled_one_by_one(void **state)
{
	struct front *f = *state;
	struct viommu_vhu_ring rings[2];

	front_connect(f);
	front_pump(f);
	for (unsigned i = 0; i < 2; i++) {
		rings[i] = front_ring(f, i);
		rings[i].enabled = !i;
	}
	assert_int_equal(viommu_vhu_start(f->vhu, 1ull << 33, rings, 2), 0);
	front_pump(f);
	assert_true(f->back.enabled[0]);
	assert_false(f->back.enabled[1]);
	assert_int_equal(viommu_vhu_enable(f->vhu, 1, true), 0);
	assert_int_equal(viommu_vhu_enable(f->vhu, 2, true), -EINVAL);
	front_pump(f);
	assert_true(f->back.enabled[1]);
	assert_int_equal(back_saw(&f->back, VHU_SET_VRING_ENABLE), 2);
}

static void test_start_is_checked(void **state)
{
	struct front *f = *state;
	struct viommu_vhu_ring ring = front_ring(f, 0);

	front_connect(f);
	f->back.features = 1ull << 33 | 1ull << 30 | 1;
	front_pump(f);
	assert_int_equal(viommu_vhu_start(f->vhu, 1ull << 33, &ring, 0), -EINVAL);
	assert_int_equal(viommu_vhu_start(f->vhu, 1ull << 33, &ring, 3), -EINVAL);
	assert_int_equal(viommu_vhu_start(f->vhu, 1, &ring, 1), -EINVAL);
	assert_int_equal(viommu_vhu_start(f->vhu, 1ull << 33 | 2, &ring, 1), -EINVAL);
	ring.size = 48;
	assert_int_equal(viommu_vhu_start(f->vhu, 1ull << 33, &ring, 1), -EINVAL);
	ring.size = 0;
	assert_int_equal(viommu_vhu_start(f->vhu, 1ull << 33, &ring, 1), -EINVAL);
}

static void test_configuration(void **state)
{
	struct front *f = *state;
	uint32_t value = 0;
	int err = 0;

	f->config.config_size = 60;
	front_recreate(f);
	assert_int_equal(viommu_vhu_config_read(f->vhu, 8, &value, 4), -EAGAIN);
	front_connect(f);
	f->back.space[8] = 42;
	front_pump(f);
	assert_int_equal(viommu_vhu_config_read(f->vhu, 8, &value, 4), 0);
	assert_int_equal(value, 42);
	assert_int_equal(viommu_vhu_config_read(f->vhu, 58, &value, 4), -EINVAL);
	value = 7;
	assert_int_equal(viommu_vhu_config_write(f->vhu, 12, &value, 4), 0);
	front_pump(f);
	assert_int_equal(f->back.space[12], 7);
	assert_int_equal(f->config_changed, 1); /* what was written is different now */
	/* So many writes wait for the back end, which is not served now. */
	for (unsigned i = 0; i < 32 && !err; i++)
		err = viommu_vhu_config_write(f->vhu, 12, &value, 4);
	assert_int_equal(err, -EBUSY);
	front_pump(f);
	assert_int_equal(viommu_vhu_config_write(f->vhu, 12, &value, 4), 0);
	front_pump(f);
	f->back.space[20] = 1;
	back_request(&f->back, VHU_BACKEND_CONFIG_CHANGE_MSG, 0, NULL, 0);
	front_pump(f);
	assert_int_equal(f->config_changed, 2);
	assert_int_equal(viommu_vhu_config_read(f->vhu, 20, &value, 1), 0);
	assert_int_equal((uint8_t)value, 1);
}

static void test_mtu(void **state)
{
	struct front *f = *state;

	f->config.mtu = 9000;
	front_recreate(f);
	connect_and_start(f, 2);
	assert_int_equal(f->back.mtu, 9000);
}

/* Without protocol features: no acknowledgements, rings are on by themselves. */
static void test_plain_back_end(void **state)
{
	struct front *f = *state;

	f->config.iommu = false;
	front_recreate(f);
	front_connect(f);
	f->back.features = 1;
	front_pump(f);
	assert_int_equal(f->ready, 1);
	assert_int_equal(viommu_vhu_queues(f->vhu), 2);
	assert_int_equal(front_start(f, 2), 0);
	front_pump(f);
	assert_int_equal(f->started, 1);
	assert_int_equal(f->back.acked_features, 1);
	assert_int_equal(back_saw(&f->back, VHU_SET_VRING_ENABLE), 0);
	assert_int_equal(back_saw(&f->back, VHU_SET_PROTOCOL_FEATURES), 0);
}

/* Memory of the embedder's own: no endpoint, nothing of the guest. */
static void test_own_memory(void **state)
{
	struct front *f = *state;
	const struct viommu_vhu_region region = {{0x100000}, 0x8000, f->ram + 0x4000, f->ram_fd, 0x4000};
	struct viommu_vhu_ring ring = front_ring(f, 0);

	f->config.endpoint = NULL;
	f->config.iommu = false;
	f->config.regions = &region;
	f->config.region_count = 1;
	front_recreate(f);
	front_connect(f);
	front_pump(f);
	assert_false(viommu_vhu_features(f->vhu) >> 33 & 1);
	ring.device.value = 0x101000;
	ring.driver.value = 0x102000;
	ring.desc.value = 0x103000;
	assert_int_equal(viommu_vhu_start(f->vhu, 0, &ring, 1), 0);
	front_pump(f);
	assert_int_equal(f->back.memory.count, 1);
	assert_int_equal(f->back.memory.regions[0].guest_address, 0x100000);
	assert_int_equal(f->back.memory.regions[0].mmap_offset, 0x4000);
	assert_int_equal(f->back.memory.regions[0].size, 0x8000);
	/* The used ring's index is found in it. */
	f->ram[0x4000 + 0x1000 + 2] = 9;
	lose(f);
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->started, 2);
	assert_int_equal(f->back.bases[0], 9);
}

static void test_goes_on_at_the_next_back_end(void **state)
{
	struct front *f = *state;

	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	connect_and_start(f, 2);
	f->ram[0x12002] = 5;    /* used.idx of ring 0 */
	f->ram[0x11002] = 6;    /* avail.idx: one is under way, and will be served again */
	f->ram[0x15003] = 0x12; /* ring 1 */
	lose(f);
	assert_int_equal(f->lost, 1);
	assert_string_equal(f->why, "the back end has closed the connection");
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->started, 2);
	assert_int_equal(f->back.bases[0], 5);
	assert_int_equal(f->back.bases[1], 0x1200);
	assert_int_equal(f->back.kicks, 2);
	assert_true(f->back.enabled[1]);
}

/* Where rings go on, and where memory lies, is the front end's to know whether or not the device may do DMA. */
static void test_goes_on_while_paused(void **state)
{
	struct front *f = *state;

	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	connect_and_start(f, 1);
	f->ram[0x12002] = 5;
	viommu_endpoint_pause(f->endpoint);
	lose(f);
	assert_false(viommu_vhu_stuck(f->vhu));
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->lost, 1);
	assert_int_equal(f->started, 2);
	assert_int_equal(f->back.memory.count, 1);
	assert_int_equal(f->back.bases[0], 5);
	viommu_endpoint_resume(f->endpoint);
}

static void test_stop_while_lost(void **state)
{
	struct front *f = *state;

	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	connect_and_start(f, 1);
	f->ram[0x12002] = 5;
	lose(f);
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	assert_int_equal(f->stopped, 1);
	assert_int_equal(f->bases[0], 5);
}

static void test_lost_while_stopping(void **state)
{
	struct front *f = *state;

	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	connect_and_start(f, 1);
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	lose(f);
	assert_int_equal(f->lost, 1);
	assert_int_equal(f->stopped, 1);
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->started, 1); /* nobody has started it again */
}

static void test_next_back_end_lacks_features(void **state)
{
	struct front *f = *state;

	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	connect_and_start(f, 1);
	lose(f);
	front_connect(f);
	f->back.features &= ~(1ull << 5);
	front_pump(f);
	assert_int_equal(f->lost, 2);
	assert_string_equal(f->why, "the back end lacks features that the driver uses: 0x20");
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->started, 2);
}

static void test_requests_under_way_are_kept(void **state)
{
	struct front *f = *state;

	f->config.exact = true;
	front_recreate(f);
	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	connect_and_start(f, 2);
	assert_int_equal(back_saw(&f->back, VHU_GET_INFLIGHT_FD), 1);
	assert_int_equal(f->back.inflight_given, 1);
	assert_int_equal(f->back.inflight.mmap_offset, 0x1000);
	assert_int_equal(f->back.inflight.queue_size, 64);
	f->ram[0x11002] = 6;
	lose(f);
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->started, 2);
	assert_int_equal(back_saw(&f->back, VHU_GET_INFLIGHT_FD), 0);
	assert_int_equal(f->back.inflight_given, 1);
	/* A device that is set up anew has none from before. */
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	front_pump(f);
	assert_int_equal(front_start(f, 2), 0);
	front_pump(f);
	assert_int_equal(back_saw(&f->back, VHU_GET_INFLIGHT_FD), 1);
}

static int try_to_connect(struct front *f)
{
	int pair[2], err;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	err = viommu_vhu_connect(f->vhu, pair[0]);
	close(pair[1]);
	return err;
}

static void test_requests_that_nobody_kept_are_not_guessed(void **state)
{
	struct front *f = *state;

	f->config.exact = true;
	front_recreate(f);
	front_map(f, 0x10000, 0x6000, 0x10000, 3);
	front_connect(f);
	f->back.protocol &= ~(1ull << VHU_PROTOCOL_F_INFLIGHT_SHMFD);
	front_pump(f);
	assert_int_equal(front_start(f, 1), 0);
	front_pump(f);
	lose(f); /* nothing under way: goes on */
	front_connect(f);
	f->back.protocol &= ~(1ull << VHU_PROTOCOL_F_INFLIGHT_SHMFD);
	front_pump(f);
	assert_int_equal(f->started, 2);
	f->ram[0x11002] = 1;
	lose(f);
	assert_true(viommu_vhu_stuck(f->vhu));
	assert_int_equal(try_to_connect(f), -ENOTRECOVERABLE);
	assert_int_equal(viommu_vhu_stop(f->vhu), 0);
	front_connect(f);
	front_pump(f);
	assert_true(viommu_vhu_ready(f->vhu));
}

static void test_one_connection_at_a_time(void **state)
{
	struct front *f = *state;

	front_connect(f);
	front_pump(f);
	assert_int_equal(try_to_connect(f), -EBUSY);
	viommu_vhu_disconnect(f->vhu);
	assert_int_equal(f->lost, 0);
	assert_false(viommu_vhu_ready(f->vhu));
	front_connect(f);
	front_pump(f);
	assert_int_equal(f->ready, 2);
}

static void test_create_is_checked(void **state)
{
	struct front *f = *state;
	struct viommu_vhu_config config = f->config;
	struct viommu_vhu *vhu;

	config.queues = 0;
	assert_int_equal(viommu_vhu_create(&config, &vhu), -EINVAL);
	config.queues = VIOMMU_VHU_RINGS + 1;
	assert_int_equal(viommu_vhu_create(&config, &vhu), -EINVAL);
	config = f->config;
	config.config_size = 257;
	assert_int_equal(viommu_vhu_create(&config, &vhu), -EINVAL);
	config = f->config;
	config.endpoint = NULL; /* and behind an IOMMU */
	assert_int_equal(viommu_vhu_create(&config, &vhu), -EINVAL);
	config.iommu = false; /* no memory */
	assert_int_equal(viommu_vhu_create(&config, &vhu), -EINVAL);
}

/* One descriptor says it all: readable when there is something to do. */
static void test_descriptor_is_readable_when_due(void **state)
{
	struct front *f = *state;
	struct pollfd poll_fd = {.fd = viommu_vhu_fd(f->vhu), .events = POLLIN};

	front_connect(f);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	back_serve(&f->back);
	assert_int_equal(poll(&poll_fd, 1, 0), 1);
	front_pump(f);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_negotiates),
		TEST(test_starts_rings),
		TEST(test_tells_no_host_address),
		TEST(test_memory_is_told_early),
		TEST(test_stops_with_bases),
		TEST(test_stop_waits_for_start),
		TEST(test_stop_without_a_connection),
		TEST(test_rings_are_enabled_one_by_one),
		TEST(test_start_is_checked),
		TEST(test_configuration),
		TEST(test_mtu),
		TEST(test_plain_back_end),
		TEST(test_own_memory),
		TEST(test_goes_on_at_the_next_back_end),
		TEST(test_goes_on_while_paused),
		TEST(test_stop_while_lost),
		TEST(test_lost_while_stopping),
		TEST(test_next_back_end_lacks_features),
		TEST(test_requests_under_way_are_kept),
		TEST(test_requests_that_nobody_kept_are_not_guessed),
		TEST(test_one_connection_at_a_time),
		TEST(test_create_is_checked),
		TEST(test_descriptor_is_readable_when_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
