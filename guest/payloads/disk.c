/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk.h"

enum { DESCS = 3 };

bool disk_start(struct disk *disk, unsigned slot, unsigned page)
{
	if (!virtio_open(&disk->dev, slot) || !virtio_begin(&disk->dev, 0))
		return false;
	queue_prepare(&disk->queue, &disk->dev, 0, QUEUE_SIZE, page);
	queue_enable(&disk->queue);
	virtio_run(&disk->dev);
	return true;
}

void disk_begin(struct disk *disk, unsigned number, uint32_t type, uint32_t data)
{
	const uint16_t head = (uint16_t)(number * DESCS);

	disk->header[number].type = type;
	disk->header[number].sector = disk->sector;
	disk->status[number] = DISK_NONE;
	queue_desc(&disk->queue, head, (uint32_t)&disk->header[number], sizeof(disk->header[number]), DESC_NEXT,
		   (uint16_t)(head + 1));
	queue_desc(&disk->queue, head + 1u, data, DISK_SECTOR, type == DISK_READ ? DESC_NEXT | DESC_WRITE : DESC_NEXT,
		   (uint16_t)(head + 2));
	queue_desc(&disk->queue, head + 2u, (uint32_t)&disk->status[number], 1, DESC_WRITE, 0);
	queue_offer(&disk->queue, head);
}

bool disk_done(struct disk *disk, unsigned number)
{
	return queue_back(&disk->queue, (uint16_t)(number * DESCS));
}

uint8_t disk_end(struct disk *disk, unsigned number)
{
	return queue_await(&disk->queue, (uint16_t)(number * DESCS)) ? disk->status[number] : DISK_NONE;
}

uint8_t disk_do(struct disk *disk, uint32_t type, uint32_t data)
{
	disk_begin(disk, 0, type, data);
	return disk_end(disk, 0);
}
