/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VT-d unit with little memory and two devices, for the fuzz targets: what a driver has in hand, and the way to a
 * known state.
 */
#ifndef FUZZ_VTD_WORLD_H
#define FUZZ_VTD_WORLD_H

#include <viommu/viommu.h>

#include "fuzz/fuzz.h"

enum {
	WORLD_RAM = 256 << 10,
	WORLD_TABLES = 16, /* pages of tables from page 1 on */
	WORLD_QUEUE = 0x20000,
	WORLD_STATUS = 0x24000,
	WORLD_DEVICES = 2,
};

struct vtd_world {
	struct viommu *v;
	struct viommu_vtd *unit;
	struct viommu_endpoint *devices[WORLD_DEVICES];
	bool scalable;
	struct viommu_section section;
	bool inside;
	bool threads; /* others may be inside: what is pending may take its time */
	bool open;    /* the register page */
	uint64_t ver, cap, ecap;
};

extern const uint16_t world_sources[WORLD_DEVICES];
extern uint8_t world_ram[WORLD_RAM];

void world_create(struct vtd_world *w, bool scalable);
void world_destroy(struct vtd_world *w);

/* Registers (vtd_page.c). After a write somebody has looked at the page, if it is open; unseen: nobody has. */
uint64_t world_read(struct vtd_world *w, unsigned offset, unsigned size);
void world_write(struct vtd_world *w, unsigned offset, uint64_t value, unsigned size);
void world_write_unseen(struct vtd_world *w, unsigned offset, uint64_t value, unsigned size);
/* Open the register page, where that can be; look until nothing is there, or it has to be closed; close it. */
void world_open(struct vtd_world *w);
void world_look(struct vtd_world *w);
void world_close(struct vtd_world *w);

/* Close the section, if one is open. */
void world_leave(struct vtd_world *w);

void world_put(uint64_t gpa, uint64_t word);

/*
 * From whatever state to one where the queue works and the unit has forgotten everything: errors cleared, queue made
 * anew, root latched, all caches invalidated, and the guest told so.
 */
void world_flush(struct vtd_world *w);

/* Put these descriptors into the queue that world_flush() has left, and a wait; all of it must be performed. */
void world_queue(struct vtd_world *w, const uint64_t (*descriptors)[2], unsigned count);

/* What can be read is what the specification has there. */
void world_check_registers(struct vtd_world *w);

/* Fault records: reasons that there are. Takes them. */
void world_take_faults(struct vtd_world *w);

#endif
