/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bus mastering goes off while DMA is under way: once Transactions Pending reads 0 (PCI Express base 5.0, section
 * 7.5.3.5) memory does not change any more. An edu device at slot 2, and every disk.
 */
#include "edu.h"
#include "payload.h"
#include "pci.h"
#include "request.h"

enum { EDU_SLOT = 2, PAGE = 4096, ROUNDS = 24, PATIENCE = 20000, PAGES = 4, SECTOR = 512 };
enum { CAP_EXPRESS = 0x10, DEVICE_STATUS = 10, PENDING = 1 << 5, UNTOUCHED = 0xa5 };

static uint8_t memory[PAGES][PAGE] __attribute__((aligned(4096)));
static uint32_t header[4] __attribute__((aligned(16)));

static uint32_t device_status(unsigned slot)
{
	return ecam(slot) + pci_find_capability(slot, CAP_EXPRESS) + DEVICE_STATUS;
}

/* Bus mastering off, and wait for what was under way. */
static bool stop(unsigned slot)
{
	const uint32_t status = device_status(slot);

	write16(ecam(slot) + PCI_COMMAND, PCI_COMMAND_MEMORY);
	for (unsigned i = 0; i < PATIENCE && read16(status) & PENDING; i++)
		breathe(1);
	return !(read16(status) & PENDING);
}

static void fill(void)
{
	volatile uint32_t *words = (volatile uint32_t *)memory;

	for (unsigned i = 0; i < sizeof(memory) / 4; i++)
		words[i] = UNTOUCHED * 0x01010101u;
}

/* How many words the device has changed. */
static unsigned changed(void)
{
	const volatile uint32_t *words = (const volatile uint32_t *)memory;
	unsigned count = 0;

	for (unsigned i = 0; i < sizeof(memory) / 4; i++)
		count += words[i] != UNTOUCHED * 0x01010101u;
	return count;
}

static bool stays(void)
{
	const unsigned before = changed();

	breathe(50);
	return changed() == before;
}

static void check_register(void)
{
	const uint32_t status = device_status(EDU_SLOT);

	pci_enable(EDU_SLOT);
	check_equal("nothing is pending at first", read16(status) & PENDING, 0);
	write16(status, UINT16_MAX);
	check_equal("software cannot set it", read16(status) & PENDING, 0);
	check("an idle device is idle at once", stop(EDU_SLOT));
	write8(ecam(EDU_SLOT) + PCI_COMMAND, 0);
	check_equal("nothing to wait for where it was off", read16(status) & PENDING, 0);
}

static void check_edu(void)
{
	unsigned idle = 0, good = 0, whole = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		const uint32_t bar = pci_enable(EDU_SLOT);

		fill();
		write32(bar + EDU_DMA_SOURCE, EDU_BUFFER);
		write32(bar + EDU_DMA_TARGET, (uint32_t)memory);
		write32(bar + EDU_DMA_COUNT, PAGE);
		write32(bar + EDU_DMA_COMMAND, EDU_DMA_RUN | EDU_DMA_TO_RAM);
		/* Sometimes before it begins, sometimes when it is over. */
		breathe(i % 3 * 10);
		idle += stop(EDU_SLOT);
		good += stays();
		whole += changed() == PAGE / 4;
		for (unsigned k = 0; k < PATIENCE && read32(bar + EDU_DMA_COMMAND) & EDU_DMA_RUN; k++)
			breathe(1);
	}
	check_equal("edu: becomes idle", idle, ROUNDS);
	check_equal("edu: memory stays as it is then", good, ROUNDS);
	check("edu: some transfers came through", whole > 0);
}

/* A read of all the memory; the status goes behind the header. */
static void read_all(struct queue *queue)
{
	for (unsigned i = 0; i < 4; i++)
		header[i] = 0;
	queue_desc(queue, 0, (uint32_t)header, sizeof(header), DESC_NEXT, 1);
	queue_desc(queue, 1, (uint32_t)memory, sizeof(memory) - SECTOR, DESC_NEXT | DESC_WRITE, 2);
	queue_desc(queue, 2, (uint32_t)memory + sizeof(memory) - SECTOR, 1, DESC_WRITE, 0);
	queue_offer(queue, 0);
}

static bool begin(struct virtio *dev, struct queue *queue)
{
	pci_enable(dev->slot);
	if (!virtio_begin(dev, 0))
		return false;
	queue_prepare(queue, dev, 0, QUEUE_SIZE, 0);
	queue_enable(queue);
	virtio_run(dev);
	return true;
}

static void check_disk(struct virtio *dev)
{
	unsigned idle = 0, good = 0;
	struct queue queue;

	for (unsigned i = 0; i < ROUNDS && begin(dev, &queue); i++) {
		fill();
		read_all(&queue);
		breathe(i % 3 * 5);
		idle += stop(dev->slot);
		good += stays();
	}
	check_equal("disk: becomes idle", idle, ROUNDS);
	check_equal("disk: memory stays as it is then", good, ROUNDS);
	check("disk: works again", begin(dev, &queue) && request_works(&queue, false));
}

void payload(void)
{
	unsigned disks = 0;

	check_register();
	check_edu();
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct virtio dev;

		if (!virtio_open(&dev, slot) || dev.id != VIRTIO_DISK)
			continue;
		disks++;
		check_disk(&dev);
	}
	check_equal("disks", disks, 2);
}
