/* SPDX-License-Identifier: BSD-2-Clause */
#include "dma.h"

#include "edu.h"
#include "payload.h"
#include "pci.h"

enum { LEN = 8, BUFFER_READ = EDU_BUFFER + 64, PATIENCE = 20000 };

static uint32_t bar;
static volatile uint64_t token = 0x1122334455667788;

/* One access of 8 bytes without registers for it: what was there is read, and expected the second time. */
static void write64(uint32_t address, uint64_t value)
{
	uint32_t low = 0, high = 0;

	__asm__ volatile("1: cmpxchg8b (%2)\n\tjnz 1b"
			 : "+a"(low), "+d"(high)
			 : "r"(address), "b"((uint32_t)value), "c"((uint32_t)(value >> 32))
			 : "memory", "cc");
}

static void run(uint64_t source, uint64_t target, uint32_t command)
{
	write64(bar + EDU_DMA_SOURCE, source);
	write64(bar + EDU_DMA_TARGET, target);
	write32(bar + EDU_DMA_COUNT, LEN);
	write32(bar + EDU_DMA_COMMAND, EDU_DMA_RUN | command);
	for (unsigned i = 0; i < PATIENCE && read32(bar + EDU_DMA_COMMAND) & EDU_DMA_RUN; i++)
		breathe(1);
}

bool dma_open(unsigned slot)
{
	if (read32(ecam(slot)) != EDU_ID)
		return false;
	bar = pci_enable(slot);
	run((uint32_t)&token, EDU_BUFFER, 0);
	return true;
}

void dma_write(uint64_t iova)
{
	run(EDU_BUFFER, iova, EDU_DMA_TO_RAM);
}

void dma_read(uint64_t iova)
{
	run(iova, BUFFER_READ, 0);
}

bool dma_lands(uint64_t iova, volatile uint64_t *target)
{
	*target = 0;
	dma_write(iova);
	return *target == token;
}

bool dma_fetches(uint64_t iova, volatile uint64_t *source, uint64_t way, volatile uint64_t *through)
{
	static uint32_t count;
	const uint64_t wanted = 0xabcd000000000000 | ++count;

	*source = wanted;
	dma_read(iova);
	*through = 0;
	run(BUFFER_READ, way, EDU_DMA_TO_RAM);
	return *through == wanted;
}
