/* SPDX-License-Identifier: BSD-2-Clause */
/* The teaching device. Registers are as QEMU documents them (docs/specs/edu.rst). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/dma.h>

#include "vmm/device/device.h"
#include "vmm/pci/pci.h"
#include "vmm/util/loop.h"

enum { EDU_BAR_SIZE = 0x100000, EDU_BUFFER = 0x40000, EDU_BUFFER_SIZE = 4096 };

enum {
	EDU_ID = 0x00,
	EDU_LIVENESS = 0x04,
	EDU_FACTORIAL = 0x08,
	EDU_STATUS = 0x20,
	EDU_INTERRUPTS = 0x24, /* the reasons that wait for their acknowledgement */
	EDU_RAISE = 0x60,
	EDU_ACKNOWLEDGE = 0x64,
	EDU_WIDE = 0x80, /* registers from here on take accesses of 8 bytes, too */
	EDU_DMA_SOURCE = 0x80,
	EDU_DMA_TARGET = 0x88,
	EDU_DMA_COUNT = 0x90,
	EDU_DMA_COMMAND = 0x98,
};

enum { EDU_ID_VALUE = 0x010000ed, EDU_STATUS_INTERRUPT = 0x80 };
enum { EDU_REASON_FACTORIAL = 0x1, EDU_REASON_DMA = 0x100 };
enum { EDU_DMA_RUN = 1 << 0, EDU_DMA_TO_MEMORY = 1 << 1, EDU_DMA_INTERRUPT = 1 << 2 };

struct edu_dma {
	uint64_t source, target, count, command;
};

struct edu {
	struct pci_dev pci;
	struct loop *loop;
	struct loop_work dma_work;
	/* Guarded by pci.lock. */
	uint32_t liveness, factorial, status, interrupts;
	struct edu_dma dma;
	/* I/O thread only. */
	uint8_t buffer[EDU_BUFFER_SIZE];
};

static struct edu *edu_of(struct pci_dev *pci)
{
	return (struct edu *)((char *)pci - offsetof(struct edu, pci));
}

/* From 34 on the factorial is a multiple of 2^32. */
static uint32_t factorial(uint32_t n)
{
	uint32_t result = 1;

	if (n >= 34)
		return 0;
	for (; n > 1; n--)
		result *= n;
	return result;
}

static bool size_allowed(uint64_t offset, unsigned size)
{
	return size == 4 || (size == 8 && offset >= EDU_WIDE);
}

static uint64_t edu_read(struct pci_dev *pci, unsigned bar, uint64_t offset, unsigned size)
{
	struct edu *edu = edu_of(pci);

	(void)bar;
	if (!size_allowed(offset, size))
		return UINT64_MAX;
	switch (offset) {
	case EDU_ID:
		return EDU_ID_VALUE;
	case EDU_LIVENESS:
		return edu->liveness;
	case EDU_FACTORIAL:
		return edu->factorial;
	case EDU_STATUS:
		return edu->status;
	case EDU_INTERRUPTS:
		return edu->interrupts;
	case EDU_DMA_SOURCE:
		return edu->dma.source;
	case EDU_DMA_TARGET:
		return edu->dma.target;
	case EDU_DMA_COUNT:
		return edu->dma.count;
	case EDU_DMA_COMMAND:
		return edu->dma.command;
	default:
		return UINT64_MAX;
	}
}

/* A message for each new reason; the pin for as long as there is one. */
static void raise_interrupt(struct edu *edu, uint32_t reasons)
{
	edu->interrupts |= reasons;
	if (!edu->interrupts)
		return;
	pci_msi_raise_locked(&edu->pci);
	pci_intx_set_locked(&edu->pci, true);
}

/* While a transfer runs its registers keep their values. */
static void write_dma(struct edu *edu, uint64_t offset, uint64_t value)
{
	if (edu->dma.command & EDU_DMA_RUN)
		return;
	switch (offset) {
	case EDU_DMA_SOURCE:
		edu->dma.source = value;
		break;
	case EDU_DMA_TARGET:
		edu->dma.target = value;
		break;
	case EDU_DMA_COUNT:
		edu->dma.count = value;
		break;
	case EDU_DMA_COMMAND:
		edu->dma.command = value & (EDU_DMA_RUN | EDU_DMA_TO_MEMORY | EDU_DMA_INTERRUPT);
		if (edu->dma.command & EDU_DMA_RUN)
			loop_post(edu->loop, &edu->dma_work);
		break;
	}
}

static void edu_write(struct pci_dev *pci, unsigned bar, uint64_t offset, uint64_t value, unsigned size)
{
	struct edu *edu = edu_of(pci);

	(void)bar;
	if (!size_allowed(offset, size))
		return;
	switch (offset) {
	case EDU_LIVENESS:
		edu->liveness = ~(uint32_t)value;
		break;
	case EDU_FACTORIAL:
		edu->factorial = factorial((uint32_t)value);
		if (edu->status & EDU_STATUS_INTERRUPT)
			raise_interrupt(edu, EDU_REASON_FACTORIAL);
		break;
	case EDU_STATUS:
		edu->status = (uint32_t)value & EDU_STATUS_INTERRUPT;
		break;
	case EDU_RAISE:
		raise_interrupt(edu, (uint32_t)value);
		break;
	case EDU_ACKNOWLEDGE:
		edu->interrupts &= ~(uint32_t)value;
		pci_intx_set_locked(&edu->pci, edu->interrupts != 0);
		break;
	default:
		write_dma(edu, offset, value);
	}
}

/* A failed access is reported by the library; the device has no way to say so, and stops there. */
static void edu_copy(struct viommu_section *section, uint8_t *buffer, uint64_t address, uint64_t len, bool to_memory)
{
	struct viommu_span span;

	for (uint64_t done = 0; done < len; done += span.len) {
		if (viommu_dma_translate(section, (struct viommu_iova){address + done}, len - done,
					 to_memory ? VIOMMU_WRITE : VIOMMU_READ, &span))
			return;
		if (to_memory)
			memcpy(span.host, buffer + done, span.len);
		else
			memcpy(buffer + done, span.host, span.len);
	}
}

static void edu_perform(struct edu *edu, const struct edu_dma *dma)
{
	bool to_memory = dma->command & EDU_DMA_TO_MEMORY;
	/* Below the buffer this wraps, and is too large. */
	uint64_t at = (to_memory ? dma->source : dma->target) - EDU_BUFFER;
	struct viommu_section section;

	if (!dma->count || at > EDU_BUFFER_SIZE || dma->count > EDU_BUFFER_SIZE - at ||
	    viommu_dma_begin(edu->pci.endpoint, &section))
		return;
	edu_copy(&section, edu->buffer + at, to_memory ? dma->target : dma->source, dma->count, to_memory);
	viommu_dma_end(&section);
}

static void run_dma(void *opaque)
{
	struct edu *edu = opaque;
	struct edu_dma dma;

	mutex_take(&edu->pci.lock);
	dma = edu->dma;
	mutex_drop(&edu->pci.lock);
	edu_perform(edu, &dma);
	mutex_take(&edu->pci.lock);
	edu->dma.command &= ~(uint64_t)EDU_DMA_RUN;
	if (edu->dma.command & EDU_DMA_INTERRUPT)
		raise_interrupt(edu, EDU_REASON_DMA);
	mutex_drop(&edu->pci.lock);
}

static void edu_destroy(struct pci_dev *pci)
{
	struct edu *edu = edu_of(pci);

	loop_cancel(edu->loop, &edu->dma_work);
	pci_dev_fini(pci);
	free(edu);
}

static const struct pci_ops edu_ops = {
	.bar_read = edu_read,
	.bar_write = edu_write,
	.destroy = edu_destroy,
};

static const struct pci_ids edu_ids = {
	.vendor = 0x1234,
	.device = 0x11e8,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.revision = 0x10,
	.class_code = 0x00ff00,
};

int edu_create(struct loop *loop, struct pci_dev **out)
{
	struct edu *edu = calloc(1, sizeof(*edu));
	int ret;

	if (!edu)
		return -ENOMEM;
	edu->loop = loop;
	edu->dma_work = (struct loop_work){.run = run_dma, .opaque = edu};
	ret = pci_dev_init(&edu->pci, &edu_ops, &edu_ids);
	if (ret) {
		free(edu);
		return ret;
	}
	pci_add_intx(&edu->pci);
	pci_add_msi(&edu->pci);
	pci_add_bar(&edu->pci, 0, EDU_BAR_SIZE, false, false);
	*out = &edu->pci;
	return 0;
}
