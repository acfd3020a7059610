/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The teaching device `edu` (1234:11e8, QEMU docs/specs/edu.rst) as a program sees it that has mapped BAR 0, or reads
 * and writes it through a file. DMA is between RAM and a buffer inside the device; the program cannot see that buffer
 * except by DMA.
 */
#ifndef GUEST_EDU_H
#define GUEST_EDU_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define EDU_BAR_SIZE 0x100000u
#define EDU_REG_ID 0x00u       /* 0xRRrr00ed: major and minor revision */
#define EDU_REG_LIVENESS 0x04u /* reads back inverted */
#define EDU_REG_DMA_SOURCE 0x80u
#define EDU_REG_DMA_TARGET 0x88u
#define EDU_REG_DMA_COUNT 0x90u
#define EDU_REG_DMA_COMMAND 0x98u
#define EDU_DMA_START 1u  /* reads as 1 while the DMA runs */
#define EDU_DMA_TO_RAM 2u /* else from RAM */
#define EDU_BUFFER 0x40000u
#define EDU_BUFFER_SIZE 4096u

#define EDU_DMA_SECONDS 30 /* the slowest host finishes one in far less */

struct edu {
	volatile unsigned char *bar; /* NULL: BAR 0 is in `file`, from `offset` on */
	int file;
	uint64_t offset;
};

/* All ones where the file cannot be read, as on a bus where nothing answers. */
static inline uint32_t edu_read32(const struct edu *edu, uint32_t reg)
{
	uint32_t value;

	if (edu->bar)
		return *(volatile uint32_t *)(edu->bar + reg);
	return pread(edu->file, &value, sizeof(value), (off_t)(edu->offset + reg)) == sizeof(value) ? value : ~0u;
}

static inline void edu_write32(const struct edu *edu, uint32_t reg, uint32_t value)
{
	if (edu->bar)
		*(volatile uint32_t *)(edu->bar + reg) = value;
	else if (pwrite(edu->file, &value, sizeof(value), (off_t)(edu->offset + reg)) != sizeof(value))
		perror("edu: write");
}

static inline void edu_write64(const struct edu *edu, uint32_t reg, uint64_t value)
{
	if (edu->bar)
		*(volatile uint64_t *)(edu->bar + reg) = value;
	else if (pwrite(edu->file, &value, sizeof(value), (off_t)(edu->offset + reg)) != sizeof(value))
		perror("edu: write");
}

/* -ENODEV when BAR 0 is not that of an edu device which answers. */
static inline int edu_check(const struct edu *edu)
{
	if ((edu_read32(edu, EDU_REG_ID) & 0xffffu) != 0xedu)
		return -ENODEV;
	edu_write32(edu, EDU_REG_LIVENESS, 0x12345678u);
	return edu_read32(edu, EDU_REG_LIVENESS) == ~0x12345678u ? 0 : -ENODEV;
}

/* Waits for the DMA that runs; -ETIMEDOUT when it does not end. */
static inline int edu_dma_wait(const struct edu *edu)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const time_t deadline = time(NULL) + EDU_DMA_SECONDS;

	while (edu_read32(edu, EDU_REG_DMA_COMMAND) & EDU_DMA_START) {
		if (time(NULL) > deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/*
 * Copies size bytes from the device's buffer to RAM or the other way round and waits for the end. size is less than
 * EDU_BUFFER_SIZE: some versions of the device count the byte after the last one. That it ended does not say that it
 * was allowed: the device has no error status.
 */
static inline int edu_dma(const struct edu *edu, uint64_t ram, uint32_t size, int to_ram)
{
	edu_write64(edu, EDU_REG_DMA_SOURCE, to_ram ? EDU_BUFFER : ram);
	edu_write64(edu, EDU_REG_DMA_TARGET, to_ram ? ram : EDU_BUFFER);
	edu_write64(edu, EDU_REG_DMA_COUNT, size);
	edu_write64(edu, EDU_REG_DMA_COMMAND, EDU_DMA_START | (to_ram ? EDU_DMA_TO_RAM : 0));
	return edu_dma_wait(edu);
}

#endif
