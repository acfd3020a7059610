/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSI and MSI-X of a PCI function: who sends, when a message is resolved, what masks hold back; and the ATS capability.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <unistd.h>

#include "tests/support/board.h"
#include "tests/support/kvm_record.h"
#include "tests/support/test.h"
#include "vmm/irqchip/route.h"
#include "vmm/kvm/kvm.h"
#include "vmm/layout/layout.h"
#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/util/loop.h"

enum { SLOT = 7, VECTORS = 3, TABLE = 0, PBA = 0x800, COMMAND = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER };

static struct board board;
static struct pci_root *root;
static struct pci_dev dev;
static struct loop *loop;
static unsigned remaps, reports, ats_calls;
static bool blocked, ats;

static int remap(void *opaque, uint16_t requester, const struct msi_message *in, struct msi_message *out,
		 uint32_t *index, bool report)
{
	(void)opaque;
	assert_int_equal(requester, SLOT << 3);
	remaps++;
	reports += report && blocked;
	*index = in->data;
	*out = (struct msi_message){in->address, in->data + 0x1000};
	return blocked ? -EACCES : 0;
}

static const struct irq_remapper_ops remapper_ops = {.remap = remap};

static void note_ats(struct pci_dev *pci, bool enabled)
{
	assert_ptr_equal(pci, &dev);
	ats_calls++;
	ats = enabled;
}

static uint64_t bar_read(struct pci_dev *pci, unsigned bar, uint64_t offset, unsigned size)
{
	(void)pci;
	(void)bar;
	(void)offset;
	(void)size;
	return 0;
}

static void bar_write(struct pci_dev *pci, unsigned bar, uint64_t offset, uint64_t value, unsigned size)
{
	(void)pci;
	(void)bar;
	(void)offset;
	(void)value;
	(void)size;
}

static const struct pci_ops ops = {
	.bar_read = bar_read, .bar_write = bar_write, .ats_enabled = note_ats, .destroy = pci_dev_fini};
static const struct pci_ids ids = {.vendor = 0x1234, .device = 1};

static int set_up(void **state)
{
	const struct irq_remapper remapper = {&remapper_ops, NULL, 0xf0f8};

	(void)state;
	remaps = reports = ats_calls = 0;
	blocked = ats = false;
	assert_int_equal(loop_create(&loop), 0);
	board_create(&board);
	irqchip_set_remapper(board.chip, &remapper);
	const struct pci_root_config config = {board.mmio, board.pio, board.chip, 1ull << 40};

	assert_int_equal(pci_root_create(&config, &root), 0);
	dev = (struct pci_dev){0};
	assert_int_equal(pci_dev_init(&dev, &ops, &ids), 0);
	pci_add_bar(&dev, 0, 4096, false, false);
	pci_add_msi(&dev);
	assert_int_equal(pci_add_msix(&dev, 0, TABLE, PBA, VECTORS), 0);
	pci_add_extended_capability(&dev, 0xb, 1, (const uint8_t[12]){0}, 12);
	pci_add_ats(&dev);
	assert_int_equal(pci_bus_add(pci_root_bus(root), &dev, SLOT << 3), 0);
	pci_config_write(&dev, PCI_COMMAND, COMMAND, 2);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pci_root_destroy(root);
	board_destroy(&board);
	loop_destroy(loop);
	return 0;
}

static uint64_t bar(void)
{
	return pci_config_read(&dev, PCI_BASE_ADDRESS_0, 4) & ~0xfull;
}

static void write_vector(unsigned vector, uint32_t data, bool masked)
{
	bus_write(board.mmio, bar() + TABLE + vector * 16, 0xfee00010, 8);
	bus_write(board.mmio, bar() + TABLE + vector * 16 + 8, data | (uint64_t)masked << 32, 8);
}

static void mask(unsigned vector, bool masked)
{
	bus_write(board.mmio, bar() + TABLE + vector * 16 + 12, masked, 4);
}

static void write_msix(uint16_t flags)
{
	pci_config_write(&dev, dev.msix.capability + PCI_MSIX_FLAGS, flags, 2);
}

static uint32_t pending(void)
{
	return (uint32_t)bus_read(board.mmio, bar() + PBA, 4);
}

static void test_msix_is_resolved_when_it_may_be_sent(void **state)
{
	(void)state;
	write_vector(1, 0x41, false);
	assert_int_equal(remaps, 0);
	write_msix(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(remaps, 1);
	for (unsigned i = 0; i < 10; i++)
		pci_msix_raise(&dev, 1);
	assert_int_equal(kvm.sent, 10);
	assert_int_equal(kvm.last.data, 0x1041);
	assert_int_equal(remaps, 1);
	assert_int_equal(kvm.tables, 0);
	/* Another message. */
	mask(1, true);
	write_vector(1, 0x42, true);
	assert_int_equal(remaps, 1);
	mask(1, false);
	assert_int_equal(remaps, 2);
	pci_msix_raise(&dev, 1);
	assert_int_equal(kvm.last.data, 0x1042);
}

static void test_msix_masked_in_any_way_is_pending(void **state)
{
	(void)state;
	write_vector(0, 0x40, false);
	write_msix(PCI_MSIX_FLAGS_ENABLE);
	mask(0, true);
	pci_msix_raise(&dev, 0);
	assert_int_equal(kvm.sent, 0);
	assert_int_equal(pending(), 1);
	mask(0, false);
	assert_int_equal(kvm.sent, 1);
	assert_int_equal(pending(), 0);
	write_msix(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_msix_raise(&dev, 0);
	assert_int_equal(pending(), 1);
	write_msix(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(kvm.sent, 2);
	pci_config_write(&dev, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	pci_msix_raise(&dev, 0);
	assert_int_equal(pending(), 1);
	pci_config_write(&dev, PCI_COMMAND, COMMAND, 2);
	assert_int_equal(kvm.sent, 3);
}

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void test_an_eventfd_of_a_vector_obeys_the_masks(void **state)
{
	(void)state;
	const int fd = pci_msix_fd(&dev, 2, loop);

	assert_true(fd >= 0);
	assert_int_equal(pci_msix_fd(&dev, VECTORS, loop), -EINVAL);
	assert_false(kvm_record_bound());
	write_vector(2, 0x43, false);
	write_msix(PCI_MSIX_FLAGS_ENABLE);
	assert_true(kvm_record_bound());
	assert_int_equal(kvm.message[LAYOUT_IOAPIC_PINS].data, 0x1043);
	mask(2, true);
	assert_false(kvm_record_bound());
	signal_fd(fd);
	assert_int_equal(pending(), 1 << 2);
	mask(2, false);
	assert_true(kvm_record_bound());
	assert_int_equal(kvm.tables, 1);
	pci_config_write(&dev, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_false(kvm_record_bound());
}

static void test_msi_is_resolved_when_it_is_enabled(void **state)
{
	(void)state;
	pci_config_write(&dev, dev.msi + PCI_MSI_ADDRESS_LO, 0xfee00010, 4);
	pci_config_write(&dev, dev.msi + PCI_MSI_DATA_64, 0x44, 2);
	assert_int_equal(remaps, 0);
	pci_config_write(&dev, dev.msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	assert_int_equal(remaps, 1);
	pci_msi_raise_locked(&dev);
	assert_int_equal(kvm.last.data, 0x1044);
	pci_config_write(&dev, dev.msi + PCI_MSI_DATA_64, 0x45, 2);
	pci_msi_raise_locked(&dev);
	assert_int_equal(kvm.last.data, 0x1045);
	pci_config_write(&dev, dev.msi + PCI_MSI_FLAGS, 0, 2);
	pci_msi_raise_locked(&dev);
	assert_int_equal(kvm.sent, 2);
	assert_int_equal(remaps, 2);
}

static void test_a_blocked_message_is_reported_when_sent(void **state)
{
	(void)state;
	blocked = true;
	write_vector(0, 0x40, false);
	write_msix(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(reports, 0);
	pci_msix_raise(&dev, 0);
	assert_int_equal(reports, 1);
	assert_int_equal(kvm.sent, 0);
	assert_int_equal(pending(), 0);
}

static void test_ats_is_found_and_switched(void **state)
{
	unsigned at = 0x100;

	(void)state;
	assert_int_equal(pci_config_read(&dev, at, 2), 0xb);
	at = (unsigned)pci_config_read(&dev, at, 4) >> 20;
	assert_int_equal(pci_config_read(&dev, at, 4), PCI_EXT_CAP_ID_ATS | 1 << 16);
	assert_int_equal(pci_config_read(&dev, at + PCI_ATS_CAP, 2), PCI_ATS_CAP_PAGE_ALIGNED);
	assert_false(pci_ats_enabled(&dev));
	pci_config_write(&dev, at + PCI_ATS_CTRL, 0x7fff, 2);
	assert_int_equal(ats_calls, 0);
	assert_int_equal(pci_config_read(&dev, at + PCI_ATS_CTRL, 2), 0x1f);
	pci_config_write(&dev, at + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE, 2);
	assert_true(ats && pci_ats_enabled(&dev));
	pci_config_write(&dev, at + PCI_ATS_CAP, 0x80000000, 4);
	assert_int_equal(ats_calls, 1);
	pci_config_write(&dev, at + PCI_ATS_CTRL, 0, 2);
	assert_true(!ats && ats_calls == 2 && !pci_ats_enabled(&dev));
	/* All of it is read-only otherwise. */
	pci_config_write(&dev, at, UINT32_MAX, 4);
	assert_int_equal(pci_config_read(&dev, at, 4), PCI_EXT_CAP_ID_ATS | 1 << 16);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_msix_is_resolved_when_it_may_be_sent),    TEST(test_msix_masked_in_any_way_is_pending),
		TEST(test_an_eventfd_of_a_vector_obeys_the_masks),  TEST(test_msi_is_resolved_when_it_is_enabled),
		TEST(test_a_blocked_message_is_reported_when_sent), TEST(test_ats_is_found_and_switched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
