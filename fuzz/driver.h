/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver of the devices of machine.h that mostly keeps to the rules. Of a ring that it alone has written it knows
 * what must come back: each chain once, not before it was offered, with no more bytes than it has room for, and as soon
 * as the device can serve it. What it asks of the disk and of the entropy device it compares with what these are to do.
 */
#ifndef FUZZ_DRIVER_H
#define FUZZ_DRIVER_H

#include "fuzz/machine.h"

enum { RINGS = 4 + DISK_QUEUES, CHAIN_DESCS = 4, HEADS = BAR_QUEUE_SIZE / CHAIN_DESCS, NOT_ANSWERED = 255 };

struct driver_ring {
	bool tidy; /* nobody but this driver has written it, nor the registers that it depends on */
	uint16_t seen;
	unsigned offered;              /* chains that have not come back */
	bool out[HEADS];               /* by head / CHAIN_DESCS */
	uint64_t room[HEADS];          /* bytes that the device may write to it */
	struct vring_used_elem newest; /* the one that came back last */
	unsigned came;                 /* since the last request was offered */
};

struct driver {
	struct machine *machine;
	struct driver_ring rings[RINGS];
	bool messages[KINDS];  /* MSI-X is on, and nobody but this driver has changed that */
	bool untouched[KINDS]; /* nobody else has written the device's configuration space or BAR since */
	/* What the played device reaches by requests of ours; not known where others came in between. */
	bool iommu_known, attached;
	uint32_t mapped;
};

void driver_init(struct driver *driver, struct machine *machine);

struct vring driver_vring(const struct driver *driver, const struct device *device, unsigned queue);
struct driver_ring *driver_ring(struct driver *driver, const struct device *device, unsigned queue);

/* Somebody writes to the device's registers, or to this memory: what depends on them is not known any more. */
void driver_forget(struct driver *driver, const struct device *device);
void driver_forget_memory(struct driver *driver, uint64_t at, uint64_t len);

/* Reset the device, and start it anew, with features and interrupts that the tape chooses. */
void driver_begin(struct driver *driver, const struct device *device, struct tape *tape);
void driver_reset(struct driver *driver, const struct device *device);
void driver_reset_queue(struct driver *driver, const struct device *device, unsigned queue, bool again);

/* Settle, and take what has come back. */
void driver_settle(struct driver *driver);

/* A request that the device's kind makes sense of; the tape says which, and whether to wait for it. */
void driver_request(struct driver *driver, const struct device *device, struct tape *tape);

void driver_notify(const struct device *device, unsigned queue, unsigned how);

/* The back end of the isolated device serves what there is, as it should. */
void back_end_serve(struct driver *driver);
/* Or it does anything. */
void back_end_scribble(struct driver *driver, struct tape *tape);
/* Another one takes over. */
void back_end_lost(struct driver *driver);

#endif
