/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/driver.h"

#include <linux/pci_regs.h>

#include "vmm/layout/layout.h"
#include "vmm/util/bus.h"

enum { ENTRY_SIZE = 16, NOTIFY_WAYS = 3 };

void driver_init(struct driver *driver, struct machine *machine)
{
	*driver = (struct driver){.machine = machine};
}

static uint64_t ring_first(const struct device *device, unsigned queue)
{
	return RINGS_FIRST + (uint64_t)(device->first_ring + queue) * BAR_QUEUE_BYTES;
}

struct vring driver_vring(const struct driver *driver, const struct device *device, unsigned queue)
{
	uint8_t *at = driver->machine->ram.base + ring_first(device, queue);

	return (struct vring){.num = BAR_QUEUE_SIZE,
			      .desc = (void *)at,
			      .avail = (void *)(at + BAR_AVAIL_AT),
			      .used = (void *)(at + BAR_USED_AT)};
}

struct driver_ring *driver_ring(struct driver *driver, const struct device *device, unsigned queue)
{
	return &driver->rings[device->first_ring + queue];
}

void driver_forget(struct driver *driver, const struct device *device)
{
	for (unsigned i = 0; i < device->dev->queue_count; i++)
		driver_ring(driver, device, i)->tidy = false;
	driver->untouched[device->kind] = false;
	if (device->kind == KIND_IOMMU)
		driver->iommu_known = false;
}

void driver_forget_memory(struct driver *driver, uint64_t at, uint64_t len)
{
	for (unsigned i = 0; i < RINGS; i++) {
		const uint64_t first = RINGS_FIRST + (uint64_t)i * BAR_QUEUE_BYTES;

		if (at < first + BAR_QUEUE_BYTES && first < at + len)
			driver->rings[i].tidy = false;
	}
	/* Requests in buffers may be others now. */
	driver->iommu_known = false;
}

static uint64_t reg(const struct device *device, uint64_t offset, unsigned size)
{
	return bar_get(device->pci, VIRTIO_COMMON + offset, size);
}

/* Section 4.1.4.3: what a driver reads after a reset. */
static void check_fresh_queue(const struct device *device, unsigned queue)
{
	bar_set(device->pci, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	CHECK(reg(device, VIRTIO_PCI_COMMON_Q_SIZE, 2) == device->dev->ops->queue_size, "size");
	CHECK(!reg(device, VIRTIO_PCI_COMMON_Q_ENABLE, 2) && !reg(device, VIRTIO_PCI_COMMON_Q_RESET, 2),
	      "queue %u is not as after a reset", queue);
	CHECK(!reg(device, VIRTIO_PCI_COMMON_Q_DESCLO, 8) && !reg(device, VIRTIO_PCI_COMMON_Q_AVAILLO, 8) &&
		      !reg(device, VIRTIO_PCI_COMMON_Q_USEDLO, 8),
	      "queue %u has addresses", queue);
	CHECK(reg(device, VIRTIO_PCI_COMMON_Q_MSIX, 2) == VIRTIO_MSI_NO_VECTOR, "queue %u has a vector", queue);
	CHECK(reg(device, VIRTIO_PCI_COMMON_Q_NOFF, 2) == queue, "notification");
}

static void check_fresh(const struct device *device)
{
	CHECK(!reg(device, VIRTIO_PCI_COMMON_STATUS, 1), "the reset is not complete");
	CHECK(reg(device, VIRTIO_PCI_COMMON_NUMQ, 2) == device->dev->queue_count, "queues");
	CHECK(reg(device, VIRTIO_PCI_COMMON_MSIX, 2) == VIRTIO_MSI_NO_VECTOR, "a vector");
	CHECK(!bar_get(device->pci, VIRTIO_ISR, 1), "an interrupt");
	for (unsigned i = 0; i < device->dev->queue_count; i++)
		check_fresh_queue(device, i);
	bar_set(device->pci, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0xffff);
	CHECK(!reg(device, VIRTIO_PCI_COMMON_Q_SIZE, 2), "more queues than there are");
	for (unsigned i = 0; i < 2; i++) {
		bar_set(device->pci, VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		CHECK(!reg(device, VIRTIO_PCI_COMMON_GF, 4), "features");
	}
}

void driver_reset(struct driver *driver, const struct device *device)
{
	for (unsigned i = 0; i < device->dev->queue_count; i++)
		virtio_queue_take_back(device->dev, i);
	driver_forget(driver, device);
	bar_set(device->pci, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	machine_settle(driver->machine);
	/* With a page that the played device holds the model is not ready (machine.c). */
	if (!device->dev->resetting)
		check_fresh(device);
	driver_settle(driver);
}

static void clear_ring(struct driver *driver, const struct device *device, unsigned queue)
{
	memset(driver->machine->ram.base + ring_first(device, queue), 0, BAR_QUEUE_BYTES);
	*driver_ring(driver, device, queue) = (struct driver_ring){.tidy = true};
}

/* Configuration space as firmware leaves it, and messages on or off. */
static void set_up_function(struct driver *driver, const struct device *device, bool messages)
{
	struct pci_dev *pci = device->pci;

	pci_config_write(pci, PCI_BASE_ADDRESS_0, LAYOUT_PCI32 + device->kind * VIRTIO_BAR_SIZE, 4);
	pci_config_write(pci, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	pci_config_write(pci, pci->msix.capability + PCI_MSIX_FLAGS, messages ? PCI_MSIX_FLAGS_ENABLE : 0, 2);
	for (unsigned i = 0; i < pci->msix.count && messages; i++) {
		const uint64_t at = VIRTIO_MSIX_TABLE + i * ENTRY_SIZE;

		bar_set(pci, at + PCI_MSIX_ENTRY_LOWER_ADDR, 8, LAYOUT_LAPIC);
		bar_set(pci, at + PCI_MSIX_ENTRY_DATA, 4, device->kind * 8u + i);
		bar_set(pci, at + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	}
	driver->messages[device->kind] = messages;
	driver->untouched[device->kind] = true;
}

void driver_begin(struct driver *driver, const struct device *device, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	const uint64_t needed = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM;
	const uint64_t unwanted = kind & 1 ? tape_u64(tape) : 0;

	driver_reset(driver, device);
	if (device->dev->resetting)
		return;
	set_up_function(driver, device, kind & 2);
	CHECK(bar_accept(device->pci, bar_offered(device->pci) & (~unwanted | needed)), "features are not accepted");
	bar_set(device->pci, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	for (unsigned i = 0; i < device->dev->queue_count; i++) {
		clear_ring(driver, device, i);
		bar_set_queue(device->pci, i, ring_first(device, i));
		bar_set(device->pci, VIRTIO_PCI_COMMON_Q_MSIX, 2, i + 1);
		CHECK(reg(device, VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 1, "queue %u is not enabled", i);
	}
	bar_set(device->pci, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_DRIVER_OK);
	if (device->kind == KIND_IOMMU) {
		driver->iommu_known = true;
		driver->attached = false;
		driver->mapped = 0;
	}
	if (!(kind & 4))
		driver_settle(driver);
}

void driver_reset_queue(struct driver *driver, const struct device *device, unsigned queue, bool again)
{
	const bool settled = driver->rings[device->first_ring + queue].tidy;

	if (!settled || !virtio_negotiated(device->dev, VIRTIO_F_RING_RESET) || device->dev->queues[queue].handed_over)
		return;
	bar_set(device->pci, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	bar_set(device->pci, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	driver_settle(driver);
	if (device->kind == KIND_IOMMU)
		driver->iommu_known = false;
	bar_set(device->pci, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	if (device->dev->queues[queue].regs.resetting) {
		driver_ring(driver, device, queue)->tidy = false;
		return;
	}
	check_fresh_queue(device, queue);
	clear_ring(driver, device, queue);
	if (!again)
		return;
	bar_set_queue(device->pci, queue, ring_first(device, queue));
	bar_set(device->pci, VIRTIO_PCI_COMMON_Q_MSIX, 2, queue + 1);
	CHECK(reg(device, VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 1, "queue %u is not enabled", queue);
	driver_settle(driver);
}

/* True: all that was offered has to be back by now. */
static bool must_be_empty(const struct driver *driver, const struct device *device, unsigned queue)
{
	const struct virtio_dev *dev = device->dev;

	if (!dev->running || !dev->queues[queue].vq.enabled || dev->queues[queue].handed_over ||
	    !pci_bus_master(device->pci))
		return false;
	if (device->kind == KIND_IOMMU)
		return queue == VIOMMU_VIRTIO_REQUESTQ && !driver->machine->holds;
	return device->kind != KIND_ISOLATED;
}

static void collect(struct driver *driver, const struct device *device, unsigned queue)
{
	struct driver_ring *ring = driver_ring(driver, device, queue);
	const struct vring vring = driver_vring(driver, device, queue);

	while (ring->seen != vring.used->idx) {
		const struct vring_used_elem elem = vring.used->ring[ring->seen % BAR_QUEUE_SIZE];
		const unsigned head = elem.id / CHAIN_DESCS;

		CHECK(ring->offered, "queue %u gives back more than was offered", queue);
		CHECK(head < HEADS && !(elem.id % CHAIN_DESCS) && ring->out[head], "queue %u gives back %u", queue,
		      elem.id);
		CHECK(elem.len <= ring->room[head], "%u bytes of %llu are written", elem.len,
		      (unsigned long long)ring->room[head]);
		ring->out[head] = false;
		ring->offered--;
		ring->newest = elem;
		ring->seen++;
		ring->came++;
	}
	vring_used_event(&vring) = ring->seen;
	CHECK(!ring->offered || !must_be_empty(driver, device, queue), "%u chains of queue %u do not come back",
	      ring->offered, queue);
}

void driver_settle(struct driver *driver)
{
	machine_settle(driver->machine);
	for (unsigned kind = 0; kind < KINDS; kind++) {
		const struct device *device = &driver->machine->devices[kind];

		for (unsigned i = 0; device->pci && i < device->dev->queue_count; i++)
			if (driver_ring(driver, device, i)->tidy)
				collect(driver, device, i);
	}
}

/* As a vCPU does: by an exit, by an exit where the BAR is decoded, or through the window in configuration space. */
void driver_notify(const struct device *device, unsigned queue, unsigned how)
{
	const uint64_t at = VIRTIO_NOTIFY + queue * VIRTIO_NOTIFY_MULTIPLIER;
	const unsigned window = device->dev->cfg_capability;

	switch (how % NOTIFY_WAYS) {
	case 0:
		bar_set(device->pci, at, 2, queue);
		break;
	case 1:
		if (device->pci->bars[VIRTIO_BAR].mapped)
			bus_write(device->machine->board.mmio, device->pci->bars[VIRTIO_BAR].range.first + at, queue,
				  2);
		else
			bar_set(device->pci, at, 2, queue);
		break;
	default:
		pci_config_write(device->pci, window + VIRTIO_PCI_CAP_BAR, VIRTIO_BAR, 1);
		pci_config_write(device->pci, window + VIRTIO_PCI_CAP_OFFSET, at, 4);
		pci_config_write(device->pci, window + VIRTIO_PCI_CAP_LENGTH, 2, 4);
		pci_config_write(device->pci, window + sizeof(struct virtio_pci_cap), queue, 2);
	}
}
