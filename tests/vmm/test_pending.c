/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a driver has asked of its IOMMU, and waits for because a device is in the way, completes as soon as that device
 * lets go, on whatever thread: nothing else wakes the event loop here, as the deadline is far away. With the monitor's
 * wiring, without a guest.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/spec/virtio_iommu.h"
#include "lib/spec/vtd.h"
#include "lib/util/le.h"
#include "tests/support/kvm_record.h"
#include "tests/support/net_driver.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"
#include "vmm/pci/bus.h"
#include "vmm/registry/registry.h"
#include "vmm/util/bus.h"
#include "vmm/util/loop.h"
#include "vmm/virtio/internal.h"
#include "vmm/wiring/iommu.h"
#include "vmm/wiring/progress.h"

enum { SLOT = 5, DOMAIN = 1, PAGE = 4096, ROOT = 0x10000, FAR_MS = 10000000, PATIENCE_MS = 10000 };

struct fixture {
	struct net_fixture net; /* the virtio-iommu's driver */
	struct ram ram;
	struct bus *mmio, *pio;
	struct irqchip *chip;
	struct pci_root *root;
	struct registry *registry;
	struct progress *progress;
	struct iommu_wiring *wiring;
	struct pci_dev dev; /* behind the IOMMU */
	pthread_t thread;
};

static uint64_t no_registers(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size)
{
	(void)dev, (void)bar, (void)offset, (void)size;
	return 0;
}

static void device_destroy(struct pci_dev *dev)
{
	pci_dev_fini(dev);
}

static const struct pci_ops device_ops = {.bar_read = no_registers, .destroy = device_destroy};
static const struct pci_ids device_ids = {.vendor = 0x1234, .device = 0x5678};

static void create_machine(struct fixture *f)
{
	const struct kvm none = {.vm = -1};

	kvm_record_reset();
	assert_int_equal(ram_init(&f->ram, RAM_SIZE), 0);
	f->net.ram = f->ram.base;
	assert_int_equal(loop_create(&f->net.loop), 0);
	assert_int_equal(bus_create(&f->mmio), 0);
	assert_int_equal(bus_create(&f->pio), 0);
	assert_int_equal(irqchip_create((struct kvm *)&none, f->mmio, &f->chip), 0);
	assert_int_equal(registry_create(&f->registry), 0);
	assert_int_equal(progress_create(f->net.loop, FAR_MS, &f->progress), 0);
	const struct pci_root_config root = {
		.mmio = f->mmio, .pio = f->pio, .irqchip = f->chip, .bar64 = 1ull << 40, .bar64_size = 1 << 30};

	assert_int_equal(pci_root_create(&root, &f->root), 0);
}

static int create(void **state, const struct iommu_config *config)
{
	struct fixture *f = calloc(1, sizeof(*f));

	create_machine(f);
	const struct virtio_env env = {.loop = f->net.loop};
	const struct iommu_machine machine = {.ram = &f->ram,
					      .loop = f->net.loop,
					      .mmio = f->mmio,
					      .irqchip = f->chip,
					      .registry = f->registry,
					      .progress = f->progress};
	struct pci_bus *bus = pci_root_bus(f->root);

	assert_int_equal(iommu_wiring_create(config, &machine, &f->wiring), 0);
	assert_int_equal(iommu_wiring_add_unit(f->wiring, &env, bus), 0);
	assert_int_equal(pci_dev_init(&f->dev, &device_ops, &device_ids), 0);
	assert_int_equal(iommu_wiring_add_device(f->wiring, bus, SLOT << 3, &f->dev, true, NULL), 0);
	pci_root_config_write(f->root, 0, SLOT << 3, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	*state = f;
	return 0;
}

static int setup_virtio(void **state)
{
	create(state, &(struct iommu_config){.kind = IOMMU_VIRTIO});
	struct fixture *f = *state;

	f->net.pci = registry_find(f->registry, IOMMU_SLOT << 3)->dev;
	f->net.endpoint = f->net.pci->endpoint;
	net_start_device(&f->net, ~0ull);
	return 0;
}

static int setup_intel(void **state)
{
	return create(state, &(struct iommu_config){.kind = IOMMU_INTEL, .intel = {.aw_bits = 48}});
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_root_destroy(f->root);
	iommu_wiring_destroy(f->wiring);
	registry_destroy(f->registry);
	progress_destroy(f->progress);
	irqchip_destroy(f->chip);
	bus_destroy(f->pio);
	bus_destroy(f->mmio);
	loop_destroy(f->net.loop);
	ram_fini(&f->ram);
	free(f);
	return 0;
}

static void *run_loop(void *opaque)
{
	struct fixture *f = opaque;

	assert_int_equal(loop_run(f->net.loop), 0);
	return NULL;
}

/* The loop sleeps in a thread of its own, from now on. */
static void begin_loop(struct fixture *f)
{
	assert_int_equal(pthread_create(&f->thread, NULL, run_loop, f), 0);
}

static void end_loop(struct fixture *f)
{
	loop_stop(f->net.loop);
	pthread_join(f->thread, NULL);
}

static void nap(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000l}, NULL);
}

static bool comes_about(struct fixture *f, bool (*is)(struct fixture *f))
{
	for (unsigned i = 0; i < PATIENCE_MS && !is(f); i++)
		nap(1);
	return is(f);
}

/* The device reaches its first page; held after the section, where @hold is given. */
static void use_page(struct fixture *f, struct viommu_section *section, struct viommu_span *span,
		     struct viommu_hold *hold)
{
	assert_int_equal(viommu_dma_begin(f->dev.endpoint, section), 0);
	assert_int_equal(viommu_dma_translate(section, (struct viommu_iova){0}, PAGE, VIOMMU_WRITE, span), 0);
	if (!hold)
		return;
	*hold = (struct viommu_hold){0};
	viommu_dma_hold(section, hold, span, 1);
	viommu_dma_end(section);
}

static bool virtio_answered(struct fixture *f)
{
	return net_is_used(&f->net, VIOMMU_VIRTIO_REQUESTQ);
}

/* Its answer is in the ring when virtio_answered() says so. */
static void ask(struct fixture *f, const uint8_t *request, uint32_t size)
{
	net_add_command(&f->net, VIOMMU_VIRTIO_REQUESTQ, request, size, VIO_TAIL_SIZE);
	net_kick_queue(&f->net, VIOMMU_VIRTIO_REQUESTQ);
}

static void expect_answer(struct fixture *f)
{
	uint64_t address;
	uint32_t used;

	assert_true(net_used(&f->net, VIOMMU_VIRTIO_REQUESTQ, &used, &address));
	assert_int_equal(used, VIO_TAIL_SIZE);
	assert_int_equal(f->net.ram[BUFFERS + BUFFER_SIZE], VIO_S_OK);
}

static void attach_and_map(struct fixture *f)
{
	uint8_t attach[VIO_ATTACH_SIZE] = {VIO_T_ATTACH}, map[VIO_MAP_SIZE] = {VIO_T_MAP};

	le32_put(attach + VIO_ATTACH_DOMAIN, DOMAIN);
	le32_put(attach + VIO_ATTACH_ENDPOINT, SLOT << 3);
	ask(f, attach, sizeof(attach));
	expect_answer(f);
	le32_put(map + VIO_MAP_DOMAIN, DOMAIN);
	le64_put(map + VIO_MAP_VIRT_END, PAGE - 1);
	le32_put(map + VIO_MAP_FLAGS, VIO_MAP_F_READ | VIO_MAP_F_WRITE);
	ask(f, map, sizeof(map));
	expect_answer(f);
}

static void unmap(struct fixture *f)
{
	uint8_t request[VIO_UNMAP_SIZE] = {VIO_T_UNMAP};

	le32_put(request + VIO_UNMAP_DOMAIN, DOMAIN);
	le64_put(request + VIO_UNMAP_VIRT_END, PAGE - 1);
	ask(f, request, sizeof(request));
}

static void virtio_completes(struct fixture *f, bool held)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	attach_and_map(f);
	use_page(f, &section, &span, held ? &hold : NULL);
	unmap(f);
	begin_loop(f);
	nap(20);
	assert_false(virtio_answered(f));
	if (held)
		viommu_dma_release(&hold);
	else
		viommu_dma_end(&section);
	assert_true(comes_about(f, virtio_answered));
	end_loop(f);
	expect_answer(f);
}

static void test_request_completes_when_a_section_ends(void **state)
{
	virtio_completes(*state, false);
}

static void test_request_completes_when_a_hold_is_released(void **state)
{
	virtio_completes(*state, true);
}

static bool status_is_zero(struct fixture *f)
{
	return !net_status(&f->net);
}

static void test_reset_completes_when_a_hold_is_released(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	attach_and_map(f);
	use_page(f, &section, &span, &hold);
	begin_loop(f);
	mutex_take(&f->net.pci->lock);
	pci_bar_write(f->net.pci, VIRTIO_BAR, VIRTIO_COMMON + VIRTIO_PCI_COMMON_STATUS, 0, 1);
	mutex_drop(&f->net.pci->lock);
	nap(20);
	assert_false(status_is_zero(f));
	viommu_dma_release(&hold);
	assert_true(comes_about(f, status_is_zero));
	end_loop(f);
}

static void vtd_set(struct fixture *f, unsigned offset, uint64_t value, unsigned size)
{
	bus_write(f->mmio, LAYOUT_VTD + offset, value, size);
}

static bool translates(struct fixture *f)
{
	return bus_read(f->mmio, LAYOUT_VTD + VTD_GSTS, 4) & VTD_GCMD_TE;
}

/* Translation goes on when the device has nothing in use any more that it reached without. */
static void vtd_completes(struct fixture *f, bool held)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	vtd_set(f, VTD_RTADDR, ROOT, 8);
	vtd_set(f, VTD_GCMD, VTD_GCMD_SRTP, 4);
	begin_loop(f);
	use_page(f, &section, &span, held ? &hold : NULL);
	vtd_set(f, VTD_GCMD, VTD_GCMD_TE, 4);
	nap(20);
	assert_false(translates(f));
	if (held)
		viommu_dma_release(&hold);
	else
		viommu_dma_end(&section);
	assert_true(comes_about(f, translates));
	end_loop(f);
}

static void test_command_completes_when_a_section_ends(void **state)
{
	vtd_completes(*state, false);
}

static void test_command_completes_when_a_hold_is_released(void **state)
{
	vtd_completes(*state, true);
}

#define CASE(test, setup) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_request_completes_when_a_section_ends, setup_virtio),
		CASE(test_request_completes_when_a_hold_is_released, setup_virtio),
		CASE(test_reset_completes_when_a_hold_is_released, setup_virtio),
		CASE(test_command_completes_when_a_section_ends, setup_intel),
		CASE(test_command_completes_when_a_hold_is_released, setup_intel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
