/* SPDX-License-Identifier: BSD-2-Clause */
#include "iommu.h"

enum { ATTACH = 1, MAP = 3, UNMAP = 4, MAP_READ_WRITE = 3, TAIL = 4 };

bool iommu_start(struct iommu *iommu, unsigned page)
{
	if (!virtio_open(&iommu->dev, IOMMU_SLOT) || !virtio_begin(&iommu->dev, 0))
		return false;
	queue_prepare(&iommu->queue, &iommu->dev, 0, QUEUE_SIZE, page);
	queue_enable(&iommu->queue);
	virtio_run(&iommu->dev);
	return true;
}

static void begin(struct iommu *iommu, unsigned number, unsigned words)
{
	const uint16_t head = (uint16_t)(2 * number);

	iommu->tail[number][0] = IOMMU_NONE;
	queue_desc(&iommu->queue, head, (uint32_t)iommu->request[number], words * 4, DESC_NEXT, (uint16_t)(head + 1));
	queue_desc(&iommu->queue, head + 1u, (uint32_t)iommu->tail[number], TAIL, DESC_WRITE, 0);
	queue_offer(&iommu->queue, head);
}

void iommu_attach(struct iommu *iommu, unsigned number, uint32_t domain, unsigned slot)
{
	uint32_t *words = iommu->request[number];

	words[0] = ATTACH;
	words[1] = domain;
	words[2] = slot << 3;
	words[3] = words[4] = 0;
	begin(iommu, number, 5);
}

void iommu_map(struct iommu *iommu, unsigned number, uint32_t domain, uint32_t first, uint32_t last, uint32_t physical)
{
	uint32_t *words = iommu->request[number];

	words[0] = MAP;
	words[1] = domain;
	words[2] = first;
	words[4] = last;
	words[6] = physical;
	words[3] = words[5] = words[7] = 0;
	words[8] = MAP_READ_WRITE;
	begin(iommu, number, 9);
}

void iommu_unmap(struct iommu *iommu, unsigned number, uint32_t domain, uint32_t first, uint32_t last)
{
	uint32_t *words = iommu->request[number];

	words[0] = UNMAP;
	words[1] = domain;
	words[2] = first;
	words[4] = last;
	words[3] = words[5] = words[6] = 0;
	begin(iommu, number, 7);
}

bool iommu_done(struct iommu *iommu, unsigned number)
{
	return queue_back(&iommu->queue, (uint16_t)(2 * number));
}

uint8_t iommu_end(struct iommu *iommu, unsigned number)
{
	return queue_await(&iommu->queue, (uint16_t)(2 * number)) ? iommu->tail[number][0] : IOMMU_NONE;
}
