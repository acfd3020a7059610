/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An edu device that no driver and no domain holds, told by bare register writes to do DMA to guest-physical memory.
 * The device is removed from the kernel first, so that what the kernel's IOMMU driver attached it to is gone.
 * Status: 0 memory was not reached, 1 it was, 2 it could not be tried.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu.h"
#include "page.h"

#define SIZE 2048u

enum { OK = 0, BROKEN = 1, UNTRIED = 2 };

static int open_attribute(const char *device, const char *attribute, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", device, attribute);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		perror(path);
	return fd;
}

static int bar0_address(const char *device, uint64_t *first)
{
	unsigned long long start = 0;
	char line[64] = "";
	int fd = open_attribute(device, "resource", O_RDONLY);

	if (fd < 0)
		return -1;
	if (read(fd, line, sizeof(line) - 1) < 0 || sscanf(line, "%llx", &start) != 1)
		start = 0;
	close(fd);
	*first = start;
	return start ? 0 : -1;
}

/* The command register outlives the removal. */
static int enable(const char *device)
{
	uint16_t command = 0;
	int fd = open_attribute(device, "config", O_RDWR), err = -1;

	if (fd < 0)
		return -1;
	if (pread(fd, &command, sizeof(command), PCI_COMMAND) == sizeof(command)) {
		command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
		if (pwrite(fd, &command, sizeof(command), PCI_COMMAND) == sizeof(command))
			err = 0;
	}
	close(fd);
	return err;
}

static int remove_from_kernel(const char *device)
{
	int fd = open_attribute(device, "remove", O_WRONLY), err;

	if (fd < 0)
		return -1;
	err = write(fd, "1", 1) == 1 ? 0 : -1;
	close(fd);
	return err;
}

static int map_bar(uint64_t address, struct edu *edu)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	void *bar;

	if (fd < 0)
		return -1;
	bar = mmap(NULL, EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)address);
	close(fd);
	if (bar == MAP_FAILED)
		return -1;
	edu->bar = bar;
	return edu_check(edu);
}

static int say(int status, const char *what)
{
	static const char *const words[] = {"ok", "BROKEN", "untried"};

	printf("edu-devmem: %s: %s\n", words[status], what);
	return status;
}

/* The device's buffer does not hold the page's pattern, so a write that gets through shows. */
static int attack(const struct edu *edu)
{
	uint8_t *page = page_alloc();
	uint64_t physical;

	if (!page || page_physical(page, &physical))
		return say(UNTRIED, "no page, or its physical address is not known");
	page_fill(page, 11);
	if (edu_dma(edu, physical, SIZE, 1))
		return say(BROKEN, "DMA did not finish");
	if (!page_is(page, 11, PAGE_BYTES))
		return say(BROKEN, "DMA finished, memory changed");
	/* What the device may have read now, it would give to whoever gets it next. */
	if (edu_dma(edu, physical, SIZE, 0))
		return say(BROKEN, "DMA did not finish");
	return say(OK, "DMA finished, memory unchanged");
}

int main(int argc, char **argv)
{
	struct edu edu = {0};
	uint64_t bar;

	if (argc != 2) {
		fprintf(stderr, "usage: edu-devmem 0000:BB:DD.F\n");
		return UNTRIED;
	}
	if (bar0_address(argv[1], &bar) || enable(argv[1]) || remove_from_kernel(argv[1]))
		return say(UNTRIED, "cannot enable and remove the device");
	if (map_bar(bar, &edu))
		return say(UNTRIED, "cannot map its BAR 0");
	return attack(&edu);
}
