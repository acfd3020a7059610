/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests to a virtio disk, a sector each. */
#ifndef PAYLOAD_DISK_H
#define PAYLOAD_DISK_H

#include "virtio.h"

enum {
	DISK_READ = 0,
	DISK_WRITE = 1,
	DISK_OK = 0,
	DISK_IOERR = 1,
	DISK_NONE = 0xff,
	DISK_SECTOR = 512,
	DISK_REQUESTS = 2
};

struct disk {
	struct virtio dev;
	struct queue queue;
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header[DISK_REQUESTS];
	volatile uint8_t status[DISK_REQUESTS];
	uint32_t sector; /* of the requests that begin now */
};

/* The device at this slot, its queue in this page of the rings. */
bool disk_start(struct disk *disk, unsigned slot, unsigned page);

/* Begin a request with its own descriptors; `number` is below DISK_REQUESTS. `data` is where the device finds it. */
void disk_begin(struct disk *disk, unsigned number, uint32_t type, uint32_t data);

/* Is it over? And wait until it is: its status, or DISK_NONE. */
bool disk_done(struct disk *disk, unsigned number);
uint8_t disk_end(struct disk *disk, unsigned number);

/* Begin and wait, as request 0. */
uint8_t disk_do(struct disk *disk, uint32_t type, uint32_t data);

#endif
