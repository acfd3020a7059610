/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bus mastering goes off (PCI Express base 5.0, sections 7.5.1.1.3 and 7.5.3.5): the write returns at once, no DMA
 * begins after it, and Transactions Pending reads 1 until what was under way is over. With the monitor's PCI bus and
 * event loop, without a guest.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"
#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"
#include "vmm/util/loop.h"
#include "vmm/wiring/progress.h"
#include "vmm/wiring/quiesce.h"

enum { RAM_SIZE = 1 << 16, PAGE = 4096, SLOT = 3, DEADLINE_MS = 60, ROUNDS = 500, FULL_ROUNDS = 100000 };
enum { USABLE = 0x5a, GONE = 0xa5, PATIENCE_MS = 10000 };

struct fixture {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_endpoint *endpoint;
	uint8_t *ram;
	struct bus *mmio, *pio;
	struct loop *loop;
	struct pci_root *root;
	struct registry *registry;
	struct progress *progress;
	struct quiesce *quiesce;
	struct pci_dev dev;
	pthread_t thread;
	int heard; /* what a DMA gave when the device heard of its command register */
	_Atomic bool stop;
	_Atomic uint64_t late, uses;
};

static uint64_t no_registers(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)bar;
	(void)offset;
	(void)size;
	return 0;
}

static void device_destroy(struct pci_dev *dev)
{
	pci_dev_fini(dev);
}

static void command_written(struct pci_dev *dev, unsigned offset, unsigned size, bool write)
{
	struct fixture *f = (struct fixture *)((char *)dev - offsetof(struct fixture, dev));
	uint8_t byte;

	(void)size;
	if (write && offset == PCI_COMMAND)
		f->heard = viommu_dma_read(f->endpoint, (struct viommu_iova){RAM_SIZE - 1}, &byte, 1);
}

static const struct pci_ops device_ops = {
	.bar_read = no_registers, .config_access = command_written, .destroy = device_destroy};
static const struct pci_ids device_ids = {.vendor = 0x1234, .device = 0x5678};

static void on_master_off(void *opaque, struct pci_dev *dev)
{
	struct fixture *f = opaque;

	quiesce_master_off(f->quiesce, dev);
}

static void on_progress(void *opaque)
{
	const struct fixture *f = opaque;

	progress_signal(f->progress);
}

static void *run_loop(void *opaque)
{
	struct fixture *f = opaque;

	assert_int_equal(loop_run(f->loop), 0);
	return NULL;
}

static void create_library(struct fixture *f, unsigned deadline_ms)
{
	const struct viommu_config config = {
		.size = sizeof(struct viommu_config), .deadline_ms = deadline_ms, .progress = on_progress, .opaque = f};

	f->ram = aligned_alloc(PAGE, RAM_SIZE);
	memset(f->ram, 0, RAM_SIZE);
	assert_int_equal(viommu_create(&config, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, RAM_SIZE, f->ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_endpoint_add(f->v, SLOT << 3, "0000:00:03.0", &f->endpoint), 0);
	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
}

static int create(void **state, unsigned deadline_ms)
{
	struct fixture *f = calloc(1, sizeof(*f));

	create_library(f, deadline_ms);
	assert_int_equal(bus_create(&f->mmio), 0);
	assert_int_equal(bus_create(&f->pio), 0);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(registry_create(&f->registry), 0);
	assert_int_equal(progress_create(f->loop, deadline_ms, &f->progress), 0);
	assert_int_equal(quiesce_create(f->v, f->progress, f->registry, &f->quiesce), 0);
	const struct pci_root_config root = {
		.mmio = f->mmio, .pio = f->pio, .bar64 = 1ull << 40, .master_off = on_master_off, .opaque = f};

	assert_int_equal(pci_root_create(&root, &f->root), 0);
	assert_int_equal(pci_dev_init(&f->dev, &device_ops, &device_ids), 0);
	const struct registered entry = {.dev = &f->dev, .requester = SLOT << 3, .endpoint = f->endpoint};

	f->dev.endpoint = f->endpoint;
	assert_int_equal(registry_add(f->registry, &entry), 0);
	assert_int_equal(pci_bus_add(pci_root_bus(f->root), &f->dev, SLOT << 3), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run_loop, f), 0);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return create(state, DEADLINE_MS);
}

/* For a thread that may lose its processor inside a section. */
static int setup_patient(void **state)
{
	return create(state, PATIENCE_MS);
}

/* Nobody looks at a deadline that far away before a test gives up: progress alone ends what is pending. */
static int setup_without_deadline(void **state)
{
	return create(state, 1000 * PATIENCE_MS);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_stop(f->loop);
	pthread_join(f->thread, NULL);
	pci_root_destroy(f->root);
	quiesce_destroy(f->quiesce);
	registry_destroy(f->registry);
	bus_destroy(f->pio);
	bus_destroy(f->mmio);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	while (viommu_inval_poll(f->inval))
		sched_yield();
	assert_int_equal(viommu_endpoint_remove(f->endpoint), 0);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	progress_destroy(f->progress);
	loop_destroy(f->loop);
	free(f->ram);
	free(f);
	return 0;
}

static void set_master(struct fixture *f, bool on)
{
	pci_root_config_write(f->root, 0, SLOT << 3, PCI_COMMAND, on ? PCI_COMMAND_MASTER : 0, 2);
}

static bool pending(struct fixture *f)
{
	return pci_root_config_read(f->root, 0, SLOT << 3, f->dev.express + PCI_EXP_DEVSTA, 2) & PCI_EXP_DEVSTA_TRPND;
}

static void nap(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000l}, NULL);
}

static bool becomes_idle(struct fixture *f)
{
	for (unsigned i = 0; i < PATIENCE_MS && pending(f); i++)
		nap(1);
	return !pending(f);
}

/* One page, held after its section. */
static void hold_page(struct fixture *f, struct viommu_span *span, struct viommu_hold *hold)
{
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){0}, PAGE, VIOMMU_WRITE, span), 0);
	*hold = (struct viommu_hold){0};
	viommu_dma_hold(&section, hold, span, 1);
	viommu_dma_end(&section);
}

static void test_no_dma_without_bus_mastering(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(f->endpoint, &section), -ECANCELED);
	assert_false(pending(f));
	set_master(f, true);
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	viommu_dma_end(&section);
	set_master(f, false);
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), -ECANCELED);
	assert_true(becomes_idle(f));
}

/* A device that looks for work when bus mastering comes on finds that it may do it, and no more when it has gone. */
static void test_a_device_that_hears_of_it_may_begin(void **state)
{
	struct fixture *f = *state;

	set_master(f, true);
	assert_int_equal(f->heard, 0);
	set_master(f, false);
	assert_int_equal(f->heard, -ECANCELED);
	set_master(f, true);
	assert_int_equal(f->heard, 0);
}

static void test_pending_until_section_ends(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	set_master(f, true);
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	set_master(f, false);
	assert_true(pending(f));
	nap(10);
	assert_true(pending(f));
	viommu_dma_end(&section);
	assert_true(becomes_idle(f));
}

/* Off, on, and off again while the first hold is waited for: both count. */
static void test_pending_until_all_holds_end(void **state)
{
	struct fixture *f = *state;
	struct viommu_hold first, second;
	struct viommu_span spans[2];

	set_master(f, true);
	hold_page(f, &spans[0], &first);
	set_master(f, false);
	nap(5);
	set_master(f, true);
	hold_page(f, &spans[1], &second);
	set_master(f, false);
	viommu_dma_release(&first);
	nap(10);
	assert_true(pending(f));
	viommu_dma_release(&second);
	assert_true(becomes_idle(f));
}

/* Longer than anybody is waited for: the endpoint is blocked, and idle only when it has let go. */
static void test_pending_beyond_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct viommu_hold hold;
	struct viommu_span span;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	set_master(f, true);
	hold_page(f, &span, &hold);
	set_master(f, false);
	do {
		nap(DEADLINE_MS);
		viommu_stats_get(f->v, &stats);
	} while (!stats.quarantined); /* for ever where nobody gives up: then the test's own limit ends it */
	assert_int_equal(stats.quarantined, 1);
	assert_true(pending(f));
	viommu_dma_release(&hold);
	assert_true(becomes_idle(f));
}

/* A section and a hold, by another thread than the one that waits. */
static void test_idle_as_soon_as_the_last_one_lets_go(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_hold hold;
	struct viommu_span span;

	set_master(f, true);
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	hold_page(f, &span, &hold);
	set_master(f, false);
	nap(10);
	viommu_dma_end(&section);
	nap(10);
	assert_true(pending(f));
	viommu_dma_release(&hold);
	assert_true(becomes_idle(f));
	/* And once more, by a section alone. */
	set_master(f, true);
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	set_master(f, false);
	nap(10);
	assert_true(pending(f));
	viommu_dma_end(&section);
	assert_true(becomes_idle(f));
}

/* A device that writes whenever it may, each time for a little while. */
static void *write_always(void *opaque)
{
	struct fixture *f = opaque;
	struct viommu_section section;
	struct viommu_span span;

	while (!atomic_load(&f->stop)) {
		if (viommu_dma_begin(f->endpoint, &section))
			continue;
		assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){0}, PAGE, VIOMMU_WRITE, &span), 0);
		for (unsigned i = 0; i < 64; i++)
			if (atomic_exchange_explicit((_Atomic uint8_t *)span.host + i, USABLE, memory_order_relaxed) ==
			    GONE)
				atomic_fetch_add(&f->late, 1);
		atomic_fetch_add(&f->uses, 1);
		viommu_dma_end(&section);
	}
	return NULL;
}

static void paint(struct fixture *f, uint8_t colour)
{
	for (unsigned i = 0; i < 64; i++)
		atomic_store_explicit((_Atomic uint8_t *)f->ram + i, colour, memory_order_relaxed);
}

static void test_no_write_once_idle(void **state)
{
	struct fixture *f = *state;
	const unsigned rounds = getenv("FULL") ? FULL_ROUNDS : ROUNDS;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, write_always, f), 0);
	for (unsigned i = 0; i < rounds; i++) {
		const uint64_t before = atomic_load(&f->uses);

		set_master(f, true);
		while (atomic_load(&f->uses) == before)
			sched_yield();
		set_master(f, false);
		while (pending(f))
			sched_yield();
		paint(f, GONE);
		for (unsigned k = 0; k < 200; k++)
			atomic_signal_fence(memory_order_seq_cst);
		paint(f, USABLE);
	}
	atomic_store(&f->stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&f->late), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_no_dma_without_bus_mastering),
		CASE(test_a_device_that_hears_of_it_may_begin),
		CASE(test_pending_until_section_ends),
		CASE(test_pending_until_all_holds_end),
		CASE(test_pending_beyond_the_deadline),
		cmocka_unit_test_setup_teardown(test_idle_as_soon_as_the_last_one_lets_go, setup_without_deadline,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_write_once_idle, setup_patient, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
