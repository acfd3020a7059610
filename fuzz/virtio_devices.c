/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Real virtio devices and a hostile driver: a disk, an entropy device, a device with an isolated back end, and the
 * virtio-iommu's transport. The driver starts them as it should, asks for something and compares what comes; in
 * between it writes anything into configuration space, BARs, rings and buffers, and resets devices and queues at any
 * time. Memory that a device may not reach stays as it is, the disk's file changes only by what was written to it, a
 * device that has failed says so, and every reset ends.
 */
#include <linux/pci_regs.h>
#include <unistd.h>

#include <viommu/event.h>

#include "fuzz/driver.h"
#include "vmm/util/bus.h"
#include "vmm/wiring/iommu.h"

enum { STEPS = 120 };

static struct machine *machine;
static struct driver driver;

static const struct device *draw_device(struct tape *tape)
{
	const struct device *device = &machine->devices[tape_below(tape, KINDS)];

	return device->pci ? device : &machine->devices[KIND_IOMMU];
}

static unsigned draw_queue(const struct device *device, struct tape *tape)
{
	return tape_below(tape, device->dev->queue_count);
}

/* Where the structures begin, or anywhere. */
static uint64_t draw_offset(struct tape *tape, uint8_t kind)
{
	static const uint16_t areas[] = {VIRTIO_COMMON, VIRTIO_COMMON, VIRTIO_COMMON,     VIRTIO_ISR,
					 VIRTIO_DEVICE, VIRTIO_NOTIFY, VIRTIO_MSIX_TABLE, VIRTIO_MSIX_PBA};

	return kind & 8 ? tape_u16(tape) % VIRTIO_BAR_SIZE : areas[kind & 7] + tape_below(tape, 0x48);
}

/* A register of a device, by the BAR where it is on the bus: any offset, any width. */
static void access_bar(const struct device *device, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	const uint64_t offset = draw_offset(tape, kind);
	const unsigned size = 1u << (kind >> 4 & 3);
	const struct pci_bar *bar = &device->pci->bars[VIRTIO_BAR];

	if (bar->mapped)
		bus_read(machine->board.mmio, bar->range.first + offset, size);
	if (kind & 0x40)
		return;
	const uint64_t value = kind & 0x80 ? tape_u64(tape) : tape_u8(tape);

	driver_forget(&driver, device);
	if (bar->mapped)
		bus_write(machine->board.mmio, bar->range.first + offset, value, size);
	else if (offset % size == 0)
		bar_set(device->pci, offset, size, value);
}

static void access_config(const struct device *device, struct tape *tape)
{
	static const uint16_t places[] = {PCI_COMMAND, PCI_BASE_ADDRESS_0};
	const uint8_t kind = tape_u8(tape);
	const unsigned window = device->dev->cfg_capability, msix = device->pci->msix.capability;
	const unsigned offset = kind & 8   ? tape_u16(tape) % (PCI_CONFIG_SIZE + 8)
				: kind & 4 ? (kind & 1 ? window : msix) + tape_below(tape, 24)
					   : places[kind & 1] + (kind >> 1 & 1);
	const unsigned size = 1u << (kind >> 4 & 3);

	pci_root_config_read(machine->root, 0, device->pci->devfn, offset, size);
	/* Reading may reach a register, too (section 4.1.4.9). */
	driver_forget(&driver, device);
	if (!(kind & 0x40))
		pci_root_config_write(machine->root, 0, device->pci->devfn, offset,
				      kind & 0x80 ? tape_u64(tape) : tape_u8(tape), size);
}

/* Bytes of the driver's memory: rings, buffers. */
static void write_memory(struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	const uint32_t span = kind & 1 ? READ_ONLY_FIRST - BUFFERS_FIRST : BUFFERS_FIRST - RINGS_FIRST;
	const uint32_t at = (kind & 1 ? BUFFERS_FIRST : RINGS_FIRST) + tape_u32(tape) % (span - 16);

	driver_forget_memory(&driver, at, 16);
	tape_copy(tape, machine->ram.base + at, kind & 2 ? 16 : 2);
}

/* A descriptor with nearly anything, made available or not. */
static void write_desc(const struct device *device, struct tape *tape)
{
	const unsigned queue = draw_queue(device, tape), index = tape_below(tape, BAR_QUEUE_SIZE);
	const struct vring vring = driver_vring(&driver, device, queue);
	const uint8_t kind = tape_u8(tape);

	driver_ring(&driver, device, queue)->tidy = false;
	if (device->kind == KIND_IOMMU)
		driver.iommu_known = false;
	vring.desc[index] = (struct vring_desc){kind & 0x80 ? tape_u64(tape) : BUFFERS_FIRST + tape_u16(tape) * 4ull,
						kind & 0x40 ? tape_u32(tape) : tape_u8(tape) + 1u, kind & 7,
						(uint16_t)tape_below(tape, BAR_QUEUE_SIZE + 1)};
	if (kind & 8)
		return;
	vring.avail->ring[vring.avail->idx % BAR_QUEUE_SIZE] = (uint16_t)index;
	vring.avail->idx++;
	driver_notify(device, queue, kind >> 4);
}

/* The target as the kernel, or another process, that serves a queue. */
static void hand_over(const struct device *device, struct tape *tape)
{
	const unsigned queue = draw_queue(device, tape);
	struct virtio_queue *q = &device->dev->queues[queue];

	if (device->kind != KIND_RNG || !device->dev->running)
		return;
	if (q->handed_over) {
		virtio_queue_miss_is_fault(device->dev, queue, (struct viommu_iova){tape_u32(tape)}, VIOMMU_READ);
		virtio_queue_take_back(device->dev, queue);
		virtio_queue_signal(device->dev, queue);
		driver_settle(&driver);
		return;
	}
	virtio_queue_hand_over(device->dev, queue);
	const int call = virtio_queue_call_fd(device->dev, queue);

	CHECK(call >= 0 || pci_msix_enabled(device->pci), "no descriptor: %d", call);
	bar_get(device->pci, VIRTIO_ISR, 1);
	if (call < 0 || viommu_event_signal(call))
		return;
	driver_settle(&driver);
	if (device->dev->running && !pci_msix_enabled(device->pci))
		CHECK(bar_get(device->pci, VIRTIO_ISR, 1) & 1, "no interrupt");
}

/* The library has found that the device did not let go of memory in time. */
static void fail_device(const struct device *device)
{
	const bool ran = device->dev->running;

	device->pci->ops->failed(device->pci);
	CHECK(!ran || device->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET, "a failed device does not say so");
	driver_settle(&driver);
}

static void set_master(const struct device *device, bool on)
{
	pci_config_write(device->pci, PCI_COMMAND, PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0), 2);
}

/* Bus mastering goes off, or comes on, or comes on again; what waited for that is served. */
static void switch_master(const struct device *device, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);

	set_master(device, kind & 1);
	if (kind & 2) {
		driver_request(&driver, device, tape);
		machine_turn(machine);
		set_master(device, true);
	}
	if (kind & 3)
		driver_settle(&driver);
}

static void look(const struct device *device)
{
	struct request_stats stats = {0};
	struct pci_iotlb_stats iotlb;

	CHECK(iommu_wiring_requests(machine->wiring, &stats) && stats.batches <= stats.requests, "statistics");
	CHECK(!device->pci->ops->iotlb_stats(device->pci, &iotlb), "none has an IOTLB elsewhere");
	CHECK((device->pci->ops->drain_fd(device->pci) >= 0) == (device->kind == KIND_DISK), "drain");
	virtio_iommu_taken(machine->devices[KIND_IOMMU].pci);
}

static void back_end(struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);

	if (!machine->isolation)
		return;
	if (choice < 120)
		back_end_serve(&driver);
	else if (choice < 190)
		back_end_scribble(&driver, tape);
	else
		back_end_lost(&driver);
}

static void use_page(struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);

	if (choice & 8)
		machine_release(machine);
	else
		machine_hold(machine, choice & 7);
}

static void pass_time(struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);

	/* A deadline may pass. */
	driver.iommu_known &= !machine->holds;
	machine_pass_time(machine, choice & 1 ? choice * 50u : choice);
}

static void reset_queue(const struct device *device, struct tape *tape)
{
	const unsigned queue = draw_queue(device, tape);

	driver_reset_queue(&driver, device, queue, tape_u8(tape) & 1);
}

static void step(struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);
	const struct device *device = draw_device(tape);

	if (choice < 30)
		driver_begin(&driver, device, tape);
	else if (choice < 110)
		driver_request(&driver, device, tape);
	else if (choice < 125)
		write_desc(device, tape);
	else if (choice < 135)
		write_memory(tape);
	else if (choice < 160)
		access_bar(device, tape);
	else if (choice < 175)
		access_config(device, tape);
	else if (choice < 185)
		back_end(tape);
	else if (choice < 195)
		use_page(tape);
	else if (choice < 202)
		pass_time(tape);
	else if (choice < 209)
		reset_queue(device, tape);
	else if (choice < 214)
		driver_reset(&driver, device);
	else if (choice < 220)
		hand_over(device, tape);
	else if (choice < 223)
		fail_device(device);
	else if (choice < 225)
		look(device);
	else if (choice < 231)
		switch_master(device, tape);
	else if (choice < 233)
		machine_shrink_image(machine);
	else if (choice < 240)
		machine_turn(machine);
	else
		driver_settle(&driver);
}

static void check_secret(void)
{
	static uint8_t image[IMAGE_SIZE];

	if (machine->managed)
		return;
	if (machine->disk) {
		CHECK(pread(machine->image, image, IMAGE_SIZE, 0) >= IMAGE_SIZE / 2, "not read");
		CHECK(!memmem(image, IMAGE_SIZE, machine->secret, SECRET_SIZE), "hidden memory is on the disk");
	}
	if (machine->isolation) {
		const struct viommu_vhu_region region = isolation_region(machine->isolation);

		CHECK(!memmem(region.host, region.size, machine->secret, SECRET_SIZE),
		      "the back end has hidden memory");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};

	machine = machine_create(&tape);
	driver_init(&driver, machine);
	for (unsigned i = 0; tape.left && i < STEPS; i++)
		step(&tape);
	machine_release(machine);
	for (unsigned i = 0; i < KINDS; i++)
		if (machine->devices[i].pci)
			driver_reset(&driver, &machine->devices[i]);
	check_secret();
	machine_destroy(machine);
	return 0;
}
