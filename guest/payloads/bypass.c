/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio-iommu's older feature BYPASS (virtio 1.2, section 5.13.3), seen from the edu device behind it: its DMA is
 * blocked before the driver accepts the feature, goes through afterwards, and is blocked where it is not accepted, and
 * after a reset.
 */
#include "edu.h"
#include "payload.h"
#include "pci.h"

enum {
	IOMMU_SLOT = 1,
	EDU_SLOT = 2,
	COUNT = 64,
	PCI_CAP_VENDOR = 9,
	CAP_COMMON = 1,
	CAP_KIND = 3,
	CAP_BAR = 4,
	CAP_OFFSET = 8
};

/* The common configuration, section 4.1.4.3: offsets, and bits of the status. */
enum {
	DEVICE_SELECT = 0x00,
	DEVICE_FEATURES = 0x04,
	DRIVER_SELECT = 0x08,
	DRIVER_FEATURES = 0x0c,
	STATUS = 0x14,
	ACKNOWLEDGE = 1,
	DRIVER = 2,
	DRIVER_OK = 4,
	FEATURES_OK = 8,
	NEEDS_RESET = 64,
};

/* VERSION_1 and ACCESS_PLATFORM in the upper half of the features; feature bits of the device. */
enum { PLATFORM_FEATURES = 1 << 0 | 1 << 1, MAP_UNMAP = 1 << 2, BYPASS = 1 << 3, BYPASS_CONFIG = 1 << 6 };

static uint32_t common, edu;
static uint8_t from[COUNT], to[COUNT];

/* Section 4.1.4: the vendor capability that says where the common configuration lies. */
static uint32_t find_common(void)
{
	const uint32_t config = ecam(IOMMU_SLOT);

	pci_enable(IOMMU_SLOT);
	for (unsigned at = read8(config + PCI_CAPABILITIES); at; at = read8(config + at + 1)) {
		const uint32_t bar = PCI_BAR0 + 4 * read8(config + at + CAP_BAR);

		if (read8(config + at) == PCI_CAP_VENDOR && read8(config + at + CAP_KIND) == CAP_COMMON)
			return (read32(config + bar) & ~0xfu) + read32(config + at + CAP_OFFSET);
	}
	return 0;
}

static uint32_t offered(void)
{
	write32(common + DEVICE_SELECT, 0);
	return read32(common + DEVICE_FEATURES);
}

static bool start(uint32_t features)
{
	const uint32_t upper = PLATFORM_FEATURES;

	write8(common + STATUS, ACKNOWLEDGE | DRIVER);
	write32(common + DRIVER_SELECT, 0);
	write32(common + DRIVER_FEATURES, features);
	write32(common + DRIVER_SELECT, 1);
	write32(common + DRIVER_FEATURES, upper);
	write8(common + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	if (!(read8(common + STATUS) & FEATURES_OK))
		return false;
	write8(common + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	breathe(200);
	return true;
}

static void reset(void)
{
	write8(common + STATUS, 0);
	for (unsigned i = 0; i < 20000 && read8(common + STATUS); i++)
		breathe(1);
}

static void dma(uint32_t source, uint32_t target, uint32_t command)
{
	write32(edu + EDU_DMA_SOURCE, source);
	write32(edu + EDU_DMA_TARGET, target);
	write32(edu + EDU_DMA_COUNT, COUNT);
	write32(edu + EDU_DMA_COMMAND, EDU_DMA_RUN | command);
	for (unsigned i = 0; i < 20000 && read32(edu + EDU_DMA_COMMAND) & EDU_DMA_RUN; i++)
		breathe(1);
}

/* Through the device's buffer, there and back: how many bytes came? */
static unsigned reached(void)
{
	const volatile uint8_t *a = from, *b = to;
	static uint8_t round;
	unsigned count = 0;

	round++;
	for (unsigned i = 0; i < COUNT; i++) {
		from[i] = (uint8_t)(i + round * 16u);
		to[i] = (uint8_t)~from[i];
	}
	dma((uint32_t)from, EDU_BUFFER, 0);
	dma(EDU_BUFFER, (uint32_t)to, EDU_DMA_TO_RAM);
	for (unsigned i = 0; i < COUNT; i++)
		count += a[i] == b[i];
	return count;
}

void payload(void)
{
	if (!check_equal("edu is at its slot", pci_find(EDU_ID, 0), EDU_SLOT))
		return;
	edu = pci_enable(EDU_SLOT);
	common = find_common();
	if (!check("the virtio-iommu's registers", common != 0))
		return;
	check_equal("BYPASS is offered, BYPASS_CONFIG is not", offered() & (BYPASS | BYPASS_CONFIG), BYPASS);
	check_equal("before a driver: blocked", reached(), 0);
	check("BYPASS_CONFIG cannot be accepted", !start(MAP_UNMAP | BYPASS_CONFIG));
	reset();
	check("a driver without BYPASS", start(MAP_UNMAP));
	check_equal("not accepted: blocked", reached(), 0);
	reset();
	check("a driver with BYPASS", start(MAP_UNMAP | BYPASS));
	check_equal("accepted: unattached endpoints bypass", reached(), COUNT);
	reset();
	check_equal("after the reset: blocked", reached(), 0);
	check_equal("the device is well", read8(common + STATUS) & NEEDS_RESET, 0);
}
