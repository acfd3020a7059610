/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a driver has asked of its IOMMU, and waits for because a device is in the way, completes as soon as that device
 * lets go, on whatever thread: nothing else wakes the event loop here, as the deadline is far away. With the monitor's
 * wiring, without a guest.
 */
#include <linux/virtio_pci.h>

#include "lib/spec/virtio_iommu.h"
#include "lib/spec/vtd.h"
#include "tests/support/wired.h"
#include "vmm/layout/layout.h"
#include "vmm/virtio/internal.h"

enum { ROOT = 0x10000 };

static int setup_virtio(void **state)
{
	*state = wired_create_virtio(POLLING_OFF, ~0ull);
	return 0;
}

static int setup_intel(void **state)
{
	*state = wired_create(&(struct iommu_config){.kind = IOMMU_INTEL, .intel = {.aw_bits = 48}});
	return 0;
}

static int teardown(void **state)
{
	wired_destroy(*state);
	return 0;
}

/* Its answer is in the ring when wired_answered() says so. */
static void ask(struct wired *f, const uint8_t *request, uint32_t size)
{
	net_add_command(&f->net, VIOMMU_VIRTIO_REQUESTQ, request, size, VIO_TAIL_SIZE);
	net_kick_queue(&f->net, VIOMMU_VIRTIO_REQUESTQ);
}

static void attach_and_map(struct wired *f)
{
	uint8_t request[VIO_MAP_SIZE];

	ask(f, request, wired_attach(request));
	wired_expect_answer(f);
	ask(f, request, wired_map(request, 0));
	wired_expect_answer(f);
}

static void unmap(struct wired *f)
{
	uint8_t request[VIO_UNMAP_SIZE];

	ask(f, request, wired_unmap(request, 0));
}

static void virtio_completes(struct wired *f, bool held)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	attach_and_map(f);
	wired_use_page(f, &section, &span, held ? &hold : NULL);
	unmap(f);
	wired_begin_loop(f);
	wired_nap(20);
	assert_false(wired_answered(f));
	if (held)
		viommu_dma_release(&hold);
	else
		viommu_dma_end(&section);
	assert_true(wired_comes_about(f, wired_answered));
	wired_end_loop(f);
	wired_expect_answer(f);
}

static void test_request_completes_when_a_section_ends(void **state)
{
	virtio_completes(*state, false);
}

static void test_request_completes_when_a_hold_is_released(void **state)
{
	virtio_completes(*state, true);
}

static bool status_is_zero(struct wired *f)
{
	return !net_status(&f->net);
}

static void test_reset_completes_when_a_hold_is_released(void **state)
{
	struct wired *f = *state;
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	attach_and_map(f);
	wired_use_page(f, &section, &span, &hold);
	wired_begin_loop(f);
	mutex_take(&f->net.pci->lock);
	pci_bar_write(f->net.pci, VIRTIO_BAR, VIRTIO_COMMON + VIRTIO_PCI_COMMON_STATUS, 0, 1);
	mutex_drop(&f->net.pci->lock);
	wired_nap(20);
	assert_false(status_is_zero(f));
	viommu_dma_release(&hold);
	assert_true(wired_comes_about(f, status_is_zero));
	wired_end_loop(f);
}

static void vtd_set(struct wired *f, unsigned offset, uint64_t value, unsigned size)
{
	bus_write(f->board.mmio, LAYOUT_VTD + offset, value, size);
}

static bool translates(struct wired *f)
{
	return bus_read(f->board.mmio, LAYOUT_VTD + VTD_GSTS, 4) & VTD_GCMD_TE;
}

/* Translation goes on when the device has nothing in use any more that it reached without. */
static void vtd_completes(struct wired *f, bool held)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold;

	vtd_set(f, VTD_RTADDR, ROOT, 8);
	vtd_set(f, VTD_GCMD, VTD_GCMD_SRTP, 4);
	wired_begin_loop(f);
	wired_use_page(f, &section, &span, held ? &hold : NULL);
	vtd_set(f, VTD_GCMD, VTD_GCMD_TE, 4);
	wired_nap(20);
	assert_false(translates(f));
	if (held)
		viommu_dma_release(&hold);
	else
		viommu_dma_end(&section);
	assert_true(wired_comes_about(f, translates));
	wired_end_loop(f);
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
