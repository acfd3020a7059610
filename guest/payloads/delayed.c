/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk that does not answer, at slot 2; the disk at slot 3 is its gate: 'h' at its start holds the other one's reads.
 * Both are behind the IOMMU. "mode=release": the unmap of the buffer of a held read waits for it, and all else goes on.
 * "mode=never": it fails at its deadline, and all else goes on. "mode=hang end=exit|reset|wait": the machine ends in
 * the middle of it.
 */
#include "disk.h"
#include "iommu.h"
#include "payload.h"

enum {
	RESET_VALUE = 1,
	SLOT = 2,
	GATE_SLOT = 3,
	DOMAIN = 1,
	GATE_DOMAIN = 2, /* pages of the rings, too */
	PAGE = 4096,
	HELD_SECTOR = 1536 /* far from what was read ahead */
};

/* All of the payload; buffers have an address of their own, for the devices alone. */
#define PAYLOAD_FIRST 0x100000u
#define PAYLOAD_LAST 0x1fffffu
#define BUFFER 0x40000000u
#define OTHER 0x50000000u

static struct iommu iommu;
static struct disk disk, gate;
static uint8_t buffer[PAGE] __attribute__((aligned(PAGE))), other[PAGE] __attribute__((aligned(PAGE)));

static bool starts_with(const volatile uint8_t *bytes, const char *text)
{
	while (*text && *bytes == (uint8_t)*text) {
		bytes++;
		text++;
	}
	return !*text;
}

static void set_gate(char letter)
{
	*(volatile uint8_t *)other = (uint8_t)letter;
	check_equal(letter == 'h' ? "reads are held" : "reads are let go", disk_do(&gate, DISK_WRITE, (uint32_t)other),
		    DISK_OK);
}

static uint8_t map(uint32_t domain, uint32_t address, const void *page)
{
	iommu_map(&iommu, 0, domain, address, address + PAGE - 1, (uint32_t)page);
	return iommu_end(&iommu, 0);
}

static uint8_t unmap(uint32_t domain, uint32_t address)
{
	iommu_unmap(&iommu, 0, domain, address, address + PAGE - 1);
	return iommu_end(&iommu, 0);
}

static bool set_up_disk(struct disk *d, unsigned slot, uint32_t domain)
{
	iommu_attach(&iommu, 0, domain, slot);
	if (iommu_end(&iommu, 0) != IOMMU_OK)
		return false;
	iommu_map(&iommu, 0, domain, PAYLOAD_FIRST, PAYLOAD_LAST, PAYLOAD_FIRST);
	return iommu_end(&iommu, 0) == IOMMU_OK && disk_start(d, slot, domain);
}

static void set_up(void)
{
	bool good = iommu_start(&iommu, 0) && set_up_disk(&disk, SLOT, DOMAIN) &&
		    set_up_disk(&gate, GATE_SLOT, GATE_DOMAIN);

	if (!check("IOMMU and disks", good))
		quit(1);
	check_equal("map the buffer", map(DOMAIN, BUFFER, buffer), IOMMU_OK);
	check_equal("read into it", disk_do(&disk, DISK_READ, BUFFER), DISK_OK);
	check("the disk's content", starts_with(buffer, "delayed"));
	buffer[0] = 0;
}

/* A read that does not end. When the gate's disk has answered after it, it is in the kernel's hands. */
static void begin_held_read(void)
{
	set_gate('h');
	disk.sector = HELD_SECTOR;
	disk_begin(&disk, 1, DISK_READ, BUFFER);
	check_equal("the other disk answers", disk_do(&gate, DISK_READ, (uint32_t)other), DISK_OK);
	check("the read is held", !disk_done(&disk, 1));
}

/* What must go on whatever one disk and one unmap wait for: the other endpoint, and other ranges of the same. */
static void check_others(void)
{
	check_equal("other domain: map", map(GATE_DOMAIN, OTHER, other), IOMMU_OK);
	check_equal("other domain: read", disk_do(&gate, DISK_READ, OTHER), DISK_OK);
	check_equal("other domain: unmap", unmap(GATE_DOMAIN, OTHER), IOMMU_OK);
	check_equal("other domain: what is unmapped is", disk_do(&gate, DISK_READ, OTHER), DISK_IOERR);
}

static void check_other_range(void)
{
	check_equal("same domain, other range: map", map(DOMAIN, OTHER, other), IOMMU_OK);
	check_equal("same domain, other range: unmap", unmap(DOMAIN, OTHER), IOMMU_OK);
}

static void release(void)
{
	begin_held_read();
	/* It comes to the device together with the next request, which does not wait with it. */
	iommu.queue.quiet = true;
	iommu_unmap(&iommu, 1, DOMAIN, BUFFER, BUFFER + PAGE - 1);
	iommu.queue.quiet = false;
	check_others();
	check_other_range();
	check_equal("same disk: a write goes on", disk_do(&disk, DISK_WRITE, (uint32_t)"delayed, and written"),
		    DISK_OK);
	check("the unmap waits", !iommu_done(&iommu, 1) && !disk_done(&disk, 1));
	set_gate('-');
	check_equal("the unmap is complete", iommu_end(&iommu, 1), IOMMU_OK);
	check("by then the read has written", starts_with(buffer, "delayed"));
	check_equal("the read is over", disk_end(&disk, 1), DISK_OK);
	check_equal("a read into what is unmapped", disk_do(&disk, DISK_READ, BUFFER), DISK_IOERR);
}

static void never(void)
{
	begin_held_read();
	iommu_unmap(&iommu, 1, DOMAIN, BUFFER, BUFFER + PAGE - 1);
	check_others();
	check_equal("the unmap fails at its deadline", iommu_end(&iommu, 1), IOMMU_DEVERR);
	check("the disk has failed", virtio_status(&disk.dev) & STATUS_NEEDS_RESET);
	check("its reset waits for the read", !virtio_reset(&disk.dev));
	check_others();
	set_gate('-');
	check("then it is complete", virtio_reset(&disk.dev));
	check_equal("attach it again", (iommu_attach(&iommu, 0, DOMAIN, SLOT), iommu_end(&iommu, 0)), IOMMU_OK);
	check("and start it again", disk_start(&disk, SLOT, DOMAIN));
	check_equal("it works as before", disk_do(&disk, DISK_READ, (uint32_t)other), DISK_OK);
}

static void hang(void)
{
	begin_held_read();
	if (has_parameter("end", "reset"))
		outb(PORT_RESET, RESET_VALUE);
	while (has_parameter("end", "wait"))
		breathe(1);
}

void payload(void)
{
	set_up();
	if (has_parameter("mode", "release"))
		release();
	else if (has_parameter("mode", "never"))
		never();
	else
		hang();
}
