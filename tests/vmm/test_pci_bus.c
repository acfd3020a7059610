/* SPDX-License-Identifier: BSD-2-Clause */
/* A second bus, behind a port: its device is found by both ways into configuration space, has memory, and a name. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "tests/support/board.h"
#include "tests/support/kvm_record.h"
#include "tests/support/test.h"
#include "vmm/irqchip/route.h"
#include "vmm/kvm/kvm.h"
#include "vmm/layout/layout.h"
#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/util/bus.h"

enum {
	PORT_SLOT = 3,
	SECOND = 1,
	OTHER = 5,
	VENDOR = 0x1234,
	MIB = 1 << 20,
	ANSWER = 0x5a,
	BUS_SIZE = 1 << 20, /* in ECAM */
};

#define NOTHING UINT32_MAX

static struct board board;
static struct pci_root *root;
static struct pci_dev *port;
static struct pci_dev device;
static struct viommu *v;
static struct viommu_inval *inval;
static struct viommu_endpoint *endpoint;
static unsigned masters_off;
static int heard; /* what a DMA gave when the device heard of its command register, or of the port's */
static uint16_t requester;

static int remap(void *opaque, uint16_t source, const struct msi_message *in, struct msi_message *out, uint32_t *index,
		 bool report)
{
	(void)opaque;
	(void)report;
	requester = source;
	*out = *in;
	*index = IRQ_NO_INDEX;
	return 0;
}

static const struct irq_remapper_ops remapper_ops = {.remap = remap};

static uint64_t bar_read(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)bar;
	(void)offset;
	(void)size;
	return ANSWER;
}

static void master_off(void *opaque, struct pci_dev *dev)
{
	(void)opaque;
	assert_ptr_equal(dev, &device);
	masters_off++;
}

static int dma(void)
{
	uint8_t byte;

	return viommu_dma_read(endpoint, (struct viommu_iova){0}, &byte, 1);
}

static void command_written(struct pci_dev *dev, unsigned offset, unsigned size, bool write)
{
	(void)dev;
	(void)size;
	if (write && offset == PCI_COMMAND)
		heard = dma();
}

static const struct pci_ops ops = {.bar_read = bar_read, .config_access = command_written, .destroy = pci_dev_fini};
static const struct pci_ids ids = {.vendor = VENDOR, .device = 1};

static void add_port(void)
{
	const struct pci_port_config config = {.number = SECOND, .last = SECOND, .memory = MIB, .prefetchable = MIB};

	assert_int_equal(pci_port_create(root, &config, &port), 0);
	assert_int_equal(pci_bus_add(pci_root_bus(root), port, PORT_SLOT << 3), 0);
}

static void init_device(struct pci_dev *dev)
{
	*dev = (struct pci_dev){0};
	assert_int_equal(pci_dev_init(dev, &ops, &ids), 0);
	pci_add_bar(dev, 0, 4096, false, false);
	pci_add_bar(dev, 2, 4096, true, true);
	pci_add_intx(dev);
	pci_add_msi(dev);
}

static uint8_t memory[4096] __attribute__((aligned(4096)));

static void create_endpoint(void)
{
	assert_int_equal(viommu_create(NULL, &v), 0);
	assert_int_equal(viommu_mem_add(v, (struct viommu_gpa){0}, sizeof(memory), memory, -1, 0), 0);
	assert_int_equal(viommu_inval_create(v, &inval), 0);
	assert_int_equal(viommu_endpoint_add(v, SECOND << 8, "0000:01:00.0", &endpoint), 0);
	assert_int_equal(viommu_bypass(endpoint, inval), 0);
}

static void destroy_endpoint(void)
{
	assert_int_equal(viommu_detach(endpoint, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
	assert_int_equal(viommu_endpoint_remove(endpoint), 0);
	viommu_inval_destroy(inval);
	viommu_destroy(v);
}

static int set_up(void **state)
{
	const struct irq_remapper remapper = {&remapper_ops, NULL, 0xf0f8};

	(void)state;
	masters_off = 0;
	requester = 0;
	board_create(&board);
	irqchip_set_remapper(board.chip, &remapper);
	const struct pci_root_config config = {.mmio = board.mmio,
					       .pio = board.pio,
					       .irqchip = board.chip,
					       .master_off = master_off,
					       .last_bus = SECOND};

	assert_int_equal(pci_root_create(&config, &root), 0);
	add_port();
	init_device(&device);
	create_endpoint();
	device.endpoint = endpoint;
	assert_int_equal(pci_bus_add(pci_secondary_bus(port), &device, 0), 0);
	assert_int_equal(pci_firmware_setup(root), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pci_root_destroy(root);
	destroy_endpoint();
	board_destroy(&board);
	return 0;
}

static uint32_t by_ecam(unsigned bus, unsigned devfn, unsigned reg)
{
	return (uint32_t)bus_read(board.mmio, LAYOUT_ECAM + (uint64_t)bus * BUS_SIZE + (devfn << 12) + reg, 4);
}

static uint32_t by_ports(unsigned bus, unsigned devfn, unsigned reg)
{
	bus_write(board.pio, LAYOUT_PORT_PCI, 1u << 31 | bus << 16 | devfn << 8 | reg, 4);
	return (uint32_t)bus_read(board.pio, LAYOUT_PORT_PCI + 4, 4);
}

static void write_port(unsigned reg, uint32_t value, unsigned size)
{
	pci_root_config_write(root, 0, PORT_SLOT << 3, reg, value, size);
}

static uint64_t bar_address(unsigned bar)
{
	return by_ecam(SECOND, 0, PCI_BASE_ADDRESS_0 + 4 * bar) & PCI_BASE_ADDRESS_MEM_MASK & UINT32_MAX;
}

static void test_device_is_found_by_ecam_and_by_ports(void **state)
{
	(void)state;
	assert_int_equal(by_ecam(SECOND, 0, PCI_VENDOR_ID) & 0xffff, VENDOR);
	assert_int_equal(by_ports(SECOND, 0, PCI_VENDOR_ID) & 0xffff, VENDOR);
	for (unsigned devfn = 1; devfn < 256; devfn++) {
		assert_int_equal(by_ecam(SECOND, devfn, PCI_VENDOR_ID), NOTHING);
		assert_int_equal(by_ports(SECOND, devfn, PCI_VENDOR_ID), NOTHING);
	}
	for (unsigned bus = SECOND + 1; bus < 256; bus++)
		assert_int_equal(by_ports(bus, 0, PCI_VENDOR_ID), NOTHING);
	/* The root bus has what it had: the port, and not what is behind it. */
	assert_int_equal(by_ecam(0, PORT_SLOT << 3, PCI_CLASS_REVISION) >> 16, 0x0604);
	assert_int_equal(by_ports(0, PORT_SLOT << 3, PCI_PRIMARY_BUS) & 0xffffff, SECOND << 16 | SECOND << 8);
}

static void test_writes_reach_it(void **state)
{
	(void)state;
	bus_write(board.mmio, LAYOUT_ECAM + SECOND * BUS_SIZE + PCI_CACHE_LINE_SIZE, 0x21, 1);
	assert_int_equal(by_ports(SECOND, 0, PCI_CACHE_LINE_SIZE) & 0xff, 0x21);
	by_ports(SECOND, 0, PCI_CACHE_LINE_SIZE);
	bus_write(board.pio, LAYOUT_PORT_PCI + 4, 0x43, 1);
	assert_int_equal(by_ecam(SECOND, 0, PCI_CACHE_LINE_SIZE) & 0xff, 0x43);
}

static void test_it_has_the_requester_id_of_its_bus(void **state)
{
	(void)state;
	assert_int_equal(pci_requester_id(device.bus, device.devfn), SECOND << 8);
	assert_string_equal(device.name, "0000:01:00.0");
	write_port(PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	pci_config_write(&device, device.msi + PCI_MSI_ADDRESS_LO, LAYOUT_LAPIC, 4);
	pci_config_write(&device, device.msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	pci_config_write(&device, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	mutex_take(&device.lock);
	pci_msi_raise_locked(&device);
	mutex_drop(&device.lock);
	assert_int_equal(kvm.sent, 1);
	assert_int_equal(requester, SECOND << 8);
}

/* A guest that gives out the numbers itself. */
static void test_bridge_numbers_say_where_it_is(void **state)
{
	(void)state;
	write_port(PCI_SECONDARY_BUS, OTHER | OTHER << 8, 2);
	assert_int_equal(by_ports(OTHER, 0, PCI_VENDOR_ID) & 0xffff, VENDOR);
	assert_int_equal(by_ports(SECOND, 0, PCI_VENDOR_ID), NOTHING);
	assert_int_equal(by_ecam(SECOND, 0, PCI_VENDOR_ID), NOTHING);
	/* Nothing is passed on: the secondary number is above the subordinate one, or that of the root. */
	write_port(PCI_SECONDARY_BUS, OTHER | SECOND << 8, 2);
	assert_int_equal(by_ports(OTHER, 0, PCI_VENDOR_ID), NOTHING);
	write_port(PCI_SECONDARY_BUS, 0, 2);
	assert_int_equal(by_ports(0, 0, PCI_VENDOR_ID) & 0xffff, 0x1b36);
}

static void test_memory_reaches_it_through_the_windows(void **state)
{
	const uint64_t first = bar_address(0), second = bar_address(2);

	(void)state;
	assert_int_equal(bus_read(board.mmio, first, 1), ANSWER);
	assert_int_equal(bus_read(board.mmio, second, 1), ANSWER);
	assert_true(first / MIB != second / MIB);

	write_port(PCI_COMMAND, 0, 2);
	assert_int_equal(bus_read(board.mmio, first, 1), 0xff);
	write_port(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(bus_read(board.mmio, first, 1), ANSWER);

	/* A window that begins above its end. */
	write_port(PCI_MEMORY_BASE, 0xfff0, 2);
	assert_int_equal(bus_read(board.mmio, first, 1), 0xff);
	assert_int_equal(bus_read(board.mmio, second, 1), ANSWER);
	write_port(PCI_MEMORY_BASE, (uint32_t)(first >> 16 & 0xfff0), 2);
	assert_int_equal(bus_read(board.mmio, first, 1), ANSWER);

	/* Beside all windows. */
	pci_config_write(&device, PCI_BASE_ADDRESS_0, LAYOUT_PCI32 + 64 * MIB, 4);
	assert_int_equal(bus_read(board.mmio, LAYOUT_PCI32 + 64 * MIB, 1), 0xff);
}

static void test_a_window_has_an_end(void **state)
{
	static struct pci_dev large;

	(void)state;
	pci_bus_remove(&device);
	large = (struct pci_dev){0};
	assert_int_equal(pci_dev_init(&large, &ops, &ids), 0);
	pci_add_bar(&large, 0, 2 * MIB, false, false);
	assert_int_equal(pci_bus_add(pci_secondary_bus(port), &large, 0), -ENOSPC);
	pci_dev_fini(&large);
	pci_dev_fini(&device);
}

static void test_a_link_has_one_device(void **state)
{
	static struct pci_dev more;

	(void)state;
	init_device(&more);
	assert_int_equal(pci_bus_add(pci_secondary_bus(port), &more, 1 << 3), -EINVAL);
	assert_int_equal(pci_bus_add(pci_secondary_bus(port), &more, 0), -EEXIST);
	assert_int_equal(pci_bus_add(pci_secondary_bus(port), &more, 1), 0);
	assert_int_equal(by_ports(SECOND, 1, PCI_VENDOR_ID) & 0xffff, VENDOR);
	assert_string_equal(more.name, "0000:01:00.1");
}

static void test_the_port_passes_dma_on(void **state)
{
	(void)state;
	assert_int_equal(dma(), -ECANCELED);
	pci_config_write(&device, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	assert_false(pci_bus_master(&device));
	assert_int_equal(dma(), -ECANCELED);
	write_port(PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	assert_true(pci_bus_master(&device));
	assert_int_equal(dma(), 0);
	assert_int_equal(heard, 0);
	assert_int_equal(masters_off, 0);
	/* And ends it: the device's DMA is waited for. */
	write_port(PCI_COMMAND, 0, 2);
	assert_false(pci_bus_master(&device));
	assert_int_equal(dma(), -ECANCELED);
	assert_int_equal(heard, -ECANCELED);
	assert_int_equal(masters_off, 1);
	/* Once: what the function's own bit says by now makes no difference. */
	pci_config_write(&device, PCI_COMMAND, 0, 2);
	write_port(PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	assert_int_equal(dma(), -ECANCELED);
	assert_int_equal(masters_off, 1);
	assert_true(by_ecam(SECOND, 0, device.express + PCI_EXP_DEVCTL) >> 16 & PCI_EXP_DEVSTA_TRPND);
}

static void test_its_pin_is_the_ports(void **state)
{
	(void)state;
	assert_int_equal(by_ecam(SECOND, 0, PCI_INTERRUPT_LINE) & 0xff, LAYOUT_INTX_GSI(PORT_SLOT, 0));
}

static void test_removed_it_is_nowhere(void **state)
{
	const uint64_t bar = bar_address(0);

	(void)state;
	pci_bus_remove(&device);
	assert_int_equal(by_ecam(SECOND, 0, PCI_VENDOR_ID), NOTHING);
	assert_int_equal(by_ports(SECOND, 0, PCI_VENDOR_ID), NOTHING);
	assert_int_equal(bus_read(board.mmio, bar, 1), 0xff);
	pci_dev_fini(&device);
	/* Its place is free. */
	init_device(&device);
	assert_int_equal(pci_bus_add(pci_secondary_bus(port), &device, 0), 0);
	assert_int_equal(bar_address(0), bar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_device_is_found_by_ecam_and_by_ports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_writes_reach_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_it_has_the_requester_id_of_its_bus, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bridge_numbers_say_where_it_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_memory_reaches_it_through_the_windows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_window_has_an_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_link_has_one_device, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_port_passes_dma_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_its_pin_is_the_ports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removed_it_is_nowhere, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
