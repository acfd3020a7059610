/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices made from their configuration, and taken away again; and what the IOMMU model is told of the host's. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "lib/core/internal.h"
#include "lib/spec/virtio_iommu.h"
#include "tests/support/board.h"
#include "tests/support/files.h"
#include "tests/support/kvm_record.h"
#include "tests/support/test.h"
#include "vmm/devices.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"
#include "vmm/pci/bus.h"
#include "vmm/registry/registry.h"
#include "vmm/vhost/vhost.h"
#include "vmm/wiring/iommu.h"
#include "vmm/wiring/progress.h"

enum { SLOT = 5, RAM_SIZE = 1 << 20, SIZES_FROM_64K = 1 << 16, RANGES = 2, DISK = 1 << 20 };

static struct ram ram;
static struct loop *loop;
static struct progress *progress;
static struct board board;
static struct pci_root *root;
static struct registry *registry;
static struct iommu_wiring *wiring;
static struct device_factory factory;

static int create(const struct iommu_config *config, const struct pci_limits *limits)
{
	assert_int_equal(ram_init(&ram, RAM_SIZE), 0);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(progress_create(loop, IOMMU_DEADLINE_MS, &progress), 0);
	board_create(&board);
	assert_int_equal(registry_create(&registry), 0);
	const struct pci_root_config pci = {.mmio = board.mmio, .pio = board.pio, .irqchip = board.chip};
	const struct iommu_machine machine = {.ram = &ram,
					      .loop = loop,
					      .mmio = board.mmio,
					      .irqchip = board.chip,
					      .registry = registry,
					      .progress = progress,
					      .limits = *limits,
					      .most_ranges = limits->count};

	assert_int_equal(pci_root_create(&pci, &root), 0);
	assert_int_equal(iommu_wiring_create(config, &machine, &wiring), 0);
	factory = (struct device_factory){.env = {.loop = loop},
					  .iommu = config->kind,
					  .wiring = wiring,
					  .registry = registry,
					  .bus = pci_root_bus(root)};
	assert_int_equal(iommu_wiring_add_unit(wiring, &factory.env, factory.bus), 0);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	return create(&(struct iommu_config){.kind = IOMMU_NONE}, &(struct pci_limits){0});
}

static int set_up_virtio(void **state)
{
	const struct pci_limits limits = {.page_sizes = SIZES_FROM_64K | 1 << 21, .count = RANGES};

	(void)state;
	return create(&(struct iommu_config){.kind = IOMMU_VIRTIO}, &limits);
}

static int set_up_intel(void **state)
{
	(void)state;
	return create(&(struct iommu_config){.kind = IOMMU_INTEL}, &(struct pci_limits){0});
}

static int tear_down(void **state)
{
	(void)state;
	pci_root_destroy(root);
	iommu_wiring_destroy(wiring);
	progress_destroy(progress);
	registry_destroy(registry);
	board_destroy(&board);
	loop_destroy(loop);
	ram_fini(&ram);
	return 0;
}

static uint16_t vendor(unsigned slot)
{
	return (uint16_t)pci_root_config_read(root, 0, slot << 3, PCI_VENDOR_ID, 2);
}

/* Again and again, with nothing left behind. */
static void test_a_device_comes_and_goes(void **state)
{
	static char edu[] = "edu";
	struct device_config config[] = {{.kind = DEVICE_EDU, .name = edu, .slot = SLOT},
					 {.kind = DEVICE_RNG, .slot = SLOT}};
	const unsigned before = files_open();

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(device_add(&factory, &config[i % 2]), 0);
		assert_int_equal(registry_count(registry), 1);
		struct registered *entry = registry_find(registry, SLOT << 3);

		assert_non_null(entry);
		assert_ptr_equal(entry->config, &config[i % 2]);
		assert_string_equal(entry->dev->name, "0000:00:05.0");
		assert_int_equal(vendor(SLOT), i % 2 ? 0x1af4 : 0x1234);
		assert_non_null(viommu_endpoint_find(iommu_wiring_context(wiring), SLOT << 3));

		assert_int_equal(device_remove(&factory, entry), 0);
		assert_int_equal(registry_count(registry), 0);
		assert_int_equal(vendor(SLOT), 0xffff);
		assert_null(viommu_endpoint_find(iommu_wiring_context(wiring), SLOT << 3));
	}
	assert_int_equal(files_open(), before);
}

static void test_what_is_polled(void **state)
{
	char path[] = "/tmp/viommu-devices-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(ftruncate(fd, DISK), 0);
	for (enum polling_mode mode = POLLING_OFF; mode <= POLLING_ALWAYS; mode++) {
		struct device_config config = {
			.kind = DEVICE_DISK, .name = path, .queues = 1, .slot = SLOT, .poll = mode};

		assert_int_equal(device_add(&factory, &config), 0);
		struct registered *entry = registry_find(registry, SLOT << 3);
		const struct virtio_dev *dev =
			(const void *)((const char *)entry->dev - offsetof(struct virtio_dev, pci));

		assert_int_equal(dev->polling.mode, mode);
		assert_int_equal(device_remove(&factory, entry), 0);
	}
	close(fd);
	unlink(path);
}

static void test_what_the_kernel_polls(void **state)
{
	(void)state;
	for (unsigned behind = 0; behind < 2; behind++) {
		assert_false(vhost_net_polls(POLLING_OFF, behind));
		assert_int_equal(vhost_net_polls(POLLING_AUTO, behind), !behind);
		assert_true(vhost_net_polls(POLLING_ALWAYS, behind));
	}
}

/* The model gives the endpoint back. */
static void test_a_device_behind_the_iommu_goes(void **state)
{
	struct device_config config = {.kind = DEVICE_RNG, .slot = SLOT, .iommu = true};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(device_add(&factory, &config), 0);
		struct registered *entry = registry_find(registry, SLOT << 3);

		assert_true(entry->behind);
		assert_int_equal(device_remove(&factory, entry), 0);
		assert_null(viommu_endpoint_find(iommu_wiring_context(wiring), SLOT << 3));
	}
}

static void test_a_place_is_taken_once(void **state)
{
	struct device_config config = {.kind = DEVICE_RNG, .slot = SLOT};
	const unsigned before = files_open();

	(void)state;
	assert_int_equal(device_add(&factory, &config), 0);
	const unsigned with_one = files_open();

	assert_int_equal(device_add(&factory, &config), -EEXIST);
	assert_int_equal(files_open(), with_one);
	assert_int_equal(registry_count(registry), 1);
	assert_int_equal(device_remove(&factory, registry_find(registry, SLOT << 3)), 0);
	assert_int_equal(files_open(), before);
}

/* Bytes of the device's own configuration, through the capability that says where they are. */
static uint64_t device_config(struct pci_dev *dev, unsigned offset)
{
	unsigned at = dev->config[PCI_CAPABILITY_LIST];

	while (dev->config[at] != PCI_CAP_ID_VNDR || dev->config[at + 3] != VIRTIO_PCI_CAP_DEVICE_CFG)
		at = dev->config[at + 1];
	const uint64_t base = pci_config_read(dev, at + VIRTIO_PCI_CAP_OFFSET, 4);

	mutex_take(&dev->lock);
	const uint64_t value = pci_bar_read(dev, dev->config[at + VIRTIO_PCI_CAP_BAR], base + offset, 4);

	mutex_drop(&dev->lock);
	return value;
}

static void test_the_model_offers_pages_that_the_host_can_map(void **state)
{
	const struct registered *unit = registry_find(registry, IOMMU_SLOT << 3);

	(void)state;
	assert_non_null(unit);
	assert_int_equal(device_config(unit->dev, 0), -(uint32_t)SIZES_FROM_64K);
}

static void narrow_two(struct pci_dev *dev, struct pci_limits *limits)
{
	(void)dev;
	limits->page_sizes = SIZES_FROM_64K;
	limits->range[limits->count].first = 0x100000;
	limits->range[limits->count++].last = 0x1fffff;
	limits->range[limits->count].first = 1ull << 39;
	limits->range[limits->count++].last = UINT64_MAX;
}

/* More than there is room for. */
static void narrow_much(struct pci_dev *dev, struct pci_limits *limits)
{
	(void)dev;
	for (limits->count = 0; limits->count < RANGES + 2; limits->count++) {
		limits->range[limits->count].first = limits->count * 0x20000ull;
		limits->range[limits->count].last = limits->count * 0x20000ull + 0xffff;
	}
}

/* Place a device whose operations are these. */
static int place(struct pci_ops *ops, void (*narrow)(struct pci_dev *dev, struct pci_limits *limits), unsigned slot)
{
	static struct device_config config[2];
	struct pci_dev *dev;

	config[slot - SLOT] = (struct device_config){.kind = DEVICE_RNG, .slot = slot, .iommu = true};
	assert_int_equal(device_open(&factory, &config[slot - SLOT], &dev), 0);
	*ops = *dev->ops;
	ops->narrow = narrow;
	dev->ops = ops;
	return device_place(&factory, &config[slot - SLOT], dev);
}

static const struct viommu_reserved *reserved(unsigned slot, size_t *count)
{
	return viommu__endpoint_reserved(viommu_endpoint_find(iommu_wiring_context(wiring), slot << 3), count);
}

/* Each endpoint has the limits of its own device, and PROBE has room for them. */
static void test_limits_are_those_of_each_device(void **state)
{
	static struct pci_ops limited, free_of_limits, too_limited;
	const struct registered *unit = registry_find(registry, IOMMU_SLOT << 3);
	size_t count;

	(void)state;
	assert_int_equal(device_config(unit->dev, VIO_CONFIG_PROBE_SIZE), (1 + RANGES + 1) * VIO_RESV_SIZE);
	assert_int_equal(place(&limited, narrow_two, SLOT), 0);
	assert_int_equal(place(&free_of_limits, NULL, SLOT + 1), 0);
	const struct viommu_reserved *regions = reserved(SLOT, &count);

	assert_int_equal(count, RANGES);
	assert_int_equal(regions[0].first.value, 0x100000);
	assert_int_equal(regions[0].last.value, 0x1fffff);
	assert_int_equal(regions[1].first.value, 1ull << 39);
	assert_int_equal(regions[1].last.value, UINT64_MAX);
	reserved(SLOT + 1, &count);
	assert_int_equal(count, 0);
	assert_int_equal(device_remove(&factory, registry_find(registry, (SLOT + 1) << 3)), 0);
	assert_int_equal(place(&too_limited, narrow_much, SLOT + 1), -ENOSPC);
	assert_int_equal(registry_count(registry), 2);
}

/* A note reaches the device that it is about, and nobody else. */
static void test_notes_go_by_requester(void **state)
{
	struct device_config config[] = {{.kind = DEVICE_RNG, .slot = SLOT}, {.kind = DEVICE_RNG, .slot = SLOT + 1}};

	(void)state;
	assert_int_equal(device_add(&factory, &config[0]), 0);
	assert_int_equal(device_add(&factory, &config[1]), 0);
	struct registered *first = registry_next(registry, NULL), *second = registry_next(registry, first);

	assert_null(registry_next(registry, second));
	assert_true(registry_note(registry, (SLOT + 1) << 3, REGISTRY_FAILED));
	assert_false(registry_note(registry, (SLOT + 2) << 3, REGISTRY_FAILED));
	assert_false(registry_note(registry, 1 << 16 | SLOT << 3, REGISTRY_FAILED));
	assert_false(registry_take_note(first, REGISTRY_FAILED));
	assert_false(registry_take_note(second, REGISTRY_MASTER_OFF));
	assert_true(registry_take_note(second, REGISTRY_FAILED));
	assert_false(registry_take_note(second, REGISTRY_FAILED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_device_comes_and_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_polled, set_up, tear_down),
		cmocka_unit_test(test_what_the_kernel_polls),
		cmocka_unit_test_setup_teardown(test_a_device_behind_the_iommu_goes, set_up_virtio, tear_down),
		cmocka_unit_test_setup_teardown(test_a_device_behind_the_iommu_goes, set_up_intel, tear_down),
		cmocka_unit_test_setup_teardown(test_a_place_is_taken_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_model_offers_pages_that_the_host_can_map, set_up_virtio,
						tear_down),
		cmocka_unit_test_setup_teardown(test_limits_are_those_of_each_device, set_up_virtio, tear_down),
		cmocka_unit_test_setup_teardown(test_notes_go_by_requester, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
