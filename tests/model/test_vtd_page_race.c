/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's threads write garbage over the register page, in memory and by accesses that leave the guest, while a
 * monitor opens and closes it, and devices do DMA. Nothing crashes, ThreadSanitizer sees no data race, no access leads
 * out of memory, and when all of it is over the guest's driver can make the unit work again.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/support/vtd_meddlers.h"

enum {
	PAGES = 8,
	FAULTS = 256,
	SERVED = 20,
	TURNS = 3000,
	FULL_TURNS = 200000,
	DID = 3,
	AW_48 = 2,
	DEADLINE_MS = 60000
};

struct device {
	struct vtd_driver *d;
	struct viommu_endpoint *endpoint;
	_Atomic bool *stop;
	uint64_t outside;
	pthread_t thread;
};

static void *device_main(void *opaque)
{
	struct device *device = opaque;
	struct viommu_section section;
	struct viommu_span span;

	for (uint64_t i = 0; !atomic_load(device->stop); i++) {
		const struct viommu_iova iova = {i % FAULTS ? i % PAGES * VTD_PAGE_SIZE : VTD_HOLE};

		assert_int_equal(viommu_dma_begin(device->endpoint, &section), 0);
		if (!viommu_dma_translate(&section, iova, 8, VIOMMU_READ, &span)) {
			const uint64_t at = (uint64_t)((uint8_t *)span.host - device->d->ram);

			device->outside += at > VTD_RAM - 8;
		}
		viommu_dma_end(&section);
		sched_yield();
	}
	return NULL;
}

static struct vtd_driver *make_unit(bool scalable)
{
	static const uint16_t sources[VTD_DEVICES] = {VTD_A, VTD_B, VTD_C};
	const struct viommu_vtd_config config = {
		.size = sizeof(config), .scalable = scalable, .intremap = true, .eim = true};
	struct vtd_driver *d = vtd_driver_create_patient(&config, DEADLINE_MS);
	const struct vtd_tables tables = scalable ? vtd_first_stage(d, 4) : vtd_second_stage(d, 4);
	const uint64_t rights = scalable ? VTD_FS_P | VTD_FS_RW | VTD_FS_US : VTD_SS_R | VTD_SS_W;

	for (unsigned page = 0; page < PAGES; page++)
		vtd_map(d, &tables, page * VTD_PAGE_SIZE, (VTD_DATA + page * VTD_PAGE_SIZE) | rights);
	for (unsigned i = 0; i < VTD_DEVICES; i++)
		if (scalable)
			vtd_set_pasid(d, sources[i], 0,
				      (uint64_t[]){VTD_PGTT_FIRST << 6 | VTD_ENTRY_P, DID, tables.top});
		else
			vtd_set_context(d, sources[i], tables.top | VTD_ENTRY_P, DID << 8 | AW_48);
	vtd_start(d, scalable ? VTD_TTM_IS_SCALABLE : VTD_TTM_IS_LEGACY);
	return d;
}

/* Descriptors of all kinds lie in the queue, for tails that are garbage. */
static void fill_queue(struct vtd_driver *d)
{
	for (unsigned i = 0; i < 2 * VTD_PAGE_SIZE; i += 16) {
		vtd_set(d, d->queue + i, i % 1024 ? i / 16 % 9 | 1 << 4 : VTD_D_WAIT | VTD_WAIT_IF | VTD_WAIT_SW);
		vtd_set(d, d->queue + i + 8, i % 1024 ? 0 : d->status);
	}
}

/* By what a guest can do. */
static void start_over(struct vtd_driver *d, bool scalable)
{
	for (unsigned i = 0; i < 2; i++) {
		vtd_meddlers_clear(d);
		while (viommu_vtd_poll(d->unit))
			sched_yield();
		d->tail = d->commands = 0;
		vtd_command_clear(d, VTD_GCMD_TE | VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_CFI);
	}
	for (unsigned i = 0; i < 2 * VTD_PAGE_SIZE; i += 8)
		vtd_set(d, d->queue + i, 0);
	viommu_vtd_write(d->unit, VTD_FECTL, 0, 4);
	viommu_vtd_write(d->unit, VTD_IECTL, 0, 4);
	vtd_start(d, scalable ? VTD_TTM_IS_SCALABLE : VTD_TTM_IS_LEGACY);
}

static void check_works(struct vtd_driver *d)
{
	const unsigned before = d->interrupts;

	for (unsigned page = 0; page < PAGES; page++)
		assert_int_equal(vtd_peek(d, VTD_A, page * VTD_PAGE_SIZE), VTD_DATA + page * VTD_PAGE_SIZE);
	assert_true(vtd_peek(d, VTD_A, VTD_HOLE) < 0);
	assert_int_equal(d->interrupts, before + 1);
	assert_int_equal(vtd_take_fault(d).source, VTD_A);
}

static void run(bool scalable)
{
	const uint64_t turns = getenv("FULL") ? FULL_TURNS : TURNS;
	struct vtd_driver *d = make_unit(scalable);
	struct device devices[VTD_DEVICES];
	struct vtd_meddlers m;

	fill_queue(d);
	vtd_meddlers_start(&m, d, false);
	for (unsigned i = 0; i < VTD_DEVICES; i++) {
		devices[i] = (struct device){.d = d, .endpoint = d->devices[i], .stop = &m.stop};
		pthread_create(&devices[i].thread, NULL, device_main, &devices[i]);
	}
	while (atomic_load(&m.turns) < turns || atomic_load(&m.served) < SERVED)
		sched_yield();
	vtd_meddlers_stop(&m);
	for (unsigned i = 0; i < VTD_DEVICES; i++) {
		pthread_join(devices[i].thread, NULL);
		assert_int_equal(devices[i].outside, 0);
	}
	start_over(d, scalable);
	check_works(d);
	vtd_driver_destroy(d);
}

static void test_garbage_over_the_open_page(void **state)
{
	(void)state;
	run(false);
}

static void test_garbage_in_scalable_mode(void **state)
{
	(void)state;
	run(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_garbage_over_the_open_page),
		cmocka_unit_test(test_garbage_in_scalable_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
