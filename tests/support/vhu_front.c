/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/vhu_front.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_ready(void *opaque)
{
	struct front *f = opaque;

	f->ready++;
}

static void on_started(void *opaque)
{
	struct front *f = opaque;

	f->started++;
}

static void on_stopped(void *opaque, const uint16_t *bases, unsigned count)
{
	struct front *f = opaque;

	f->stopped++;
	memcpy(f->bases, bases, count * sizeof(*bases));
}

static void on_lost(void *opaque, const char *why)
{
	struct front *f = opaque;

	f->lost++;
	snprintf(f->why, sizeof(f->why), "%s", why);
}

static void on_config_changed(void *opaque)
{
	struct front *f = opaque;

	f->config_changed++;
}

static void on_log(void *opaque, const char *line)
{
	struct front *f = opaque;

	(void)line;
	f->lines++;
}

static const struct viommu_vhu_ops ops = {
	.size = sizeof(struct viommu_vhu_ops),
	.ready = on_ready,
	.started = on_started,
	.stopped = on_stopped,
	.lost = on_lost,
	.config_changed = on_config_changed,
	.log = on_log,
};

static void make_endpoint(struct front *f)
{
	assert_int_equal(viommu_domain_create(f->v, 7, &f->domain), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 0x18, "0000:00:03.0", &f->endpoint), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

int front_setup(void **state)
{
	struct front *f = calloc(1, sizeof(*f));
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .deadline_ms = 60000};

	f->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->ram_fd, VHU_RAM), 0);
	f->ram = mmap(NULL, VHU_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, f->ram_fd, 0);
	assert_ptr_not_equal(f->ram, MAP_FAILED);
	assert_int_equal(viommu_create(&config, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, VHU_RAM, f->ram, f->ram_fd, 0), 0);
	make_endpoint(f);
	for (unsigned i = 0; i < 3; i++)
		f->fds[i] = eventfd(0, EFD_CLOEXEC);
	f->config = (struct viommu_vhu_config){
		.size = sizeof(struct viommu_vhu_config),
		.endpoint = f->endpoint,
		.iommu = true,
		.features = UINT64_MAX,
		.queues = 2,
		.pairs = true,
		.ops = &ops,
		.opaque = f,
	};
	assert_int_equal(viommu_vhu_create(&f->config, &f->vhu), 0);
	*state = f;
	return 0;
}

void front_recreate(struct front *f)
{
	viommu_vhu_destroy(f->vhu);
	f->vhu = NULL;
	assert_int_equal(viommu_vhu_create(&f->config, &f->vhu), 0);
}

int front_teardown(void **state)
{
	struct front *f = *state;

	viommu_vhu_destroy(f->vhu);
	back_close(&f->back);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), 0);
	viommu_domain_destroy(f->domain);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	munmap(f->ram, VHU_RAM);
	close(f->ram_fd);
	for (unsigned i = 0; i < 3; i++)
		close(f->fds[i]);
	free(f);
	return 0;
}

void front_connect(struct front *f)
{
	int pair[2];

	back_close(&f->back);
	f->back = (struct back){
		.features = UINT64_MAX,
		.protocol = UINT64_MAX,
		.queues = 4,
		.hook = f->back.hook,
		.opaque = f,
	};
	for (unsigned i = 0; i < VHU_REGIONS_MAX; i++)
		f->back.memory_fds[i] = -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(channel_init(&f->back.channel, pair[1], NULL), 0);
	f->back.open = true;
	assert_int_equal(viommu_vhu_connect(f->vhu, pair[0]), 0);
}

void front_pump(struct front *f)
{
	for (unsigned idle = 0; idle < 3; idle++) {
		viommu_vhu_serve(f->vhu);
		if (back_serve(&f->back))
			idle = 0;
	}
}

struct viommu_vhu_ring front_ring(struct front *f, unsigned index)
{
	uint64_t at = 0x10000 + (uint64_t)index * 3 * VHU_PAGE;

	return (struct viommu_vhu_ring){
		.size = 64,
		.desc = {at},
		.driver = {at + VHU_PAGE},
		.device = {at + 2 * VHU_PAGE},
		.kick = f->fds[0],
		.call = f->fds[1],
		.err = f->fds[2],
		.enabled = true,
	};
}

int front_start(struct front *f, unsigned count)
{
	struct viommu_vhu_ring rings[VHU_TEST_RINGS];
	uint64_t features = viommu_vhu_features(f->vhu) & ~(1ull << 33);

	for (unsigned i = 0; i < count; i++)
		rings[i] = front_ring(f, i);
	return viommu_vhu_start(f->vhu, features | (f->config.iommu ? 1ull << 33 : 0), rings, count);
}

void front_ask(struct front *f)
{
	const unsigned before = f->back.updates;

	back_iotlb(&f->back, VHU_IOTLB_MISS, 0x10000, VIOMMU_READ, 0);
	front_pump(f);
	assert_int_equal(f->back.updates, before + 1);
	f->back.updates = before;
}

void front_map(struct front *f, uint64_t iova, uint64_t size, uint64_t gpa, unsigned access)
{
	assert_int_equal(viommu_map(f->domain, (struct viommu_iova){iova}, (struct viommu_iova){iova + size - 1},
				    (struct viommu_gpa){gpa}, access),
			 0);
}

void front_unmap(struct front *f, uint64_t iova, uint64_t size)
{
	assert_int_equal(viommu_unmap(f->domain, (struct viommu_iova){iova}, (struct viommu_iova){iova + size - 1},
				      f->inval, NULL),
			 0);
	viommu_inval_begin(f->inval);
}
