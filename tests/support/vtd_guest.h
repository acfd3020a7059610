/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's side of a VT-d unit, without a guest: memory, registers, an invalidation queue, and what comes out of the
 * unit.
 */
#ifndef TESTS_SUPPORT_VTD_GUEST_H
#define TESTS_SUPPORT_VTD_GUEST_H

#include <viommu/viommu.h>

#include "lib/model/vtd/unit.h"
#include "tests/support/test.h"

/* Where things lie in memory. */
enum {
	GUEST_RAM = 8 << 20,
	GUEST_QUEUE = 0x10000,
	GUEST_STATUS = 0x1000,
	GUEST_ROOT = 0x20000,
	GUEST_CONTEXT = 0x21000,
	GUEST_IRTES = 0x30000,
	GUEST_TABLES = 0x100000, /* page tables: taken from here up */
	GUEST_DATA = 0x400000,
};
enum { GUEST_DEVICE = 0x18, GUEST_OTHER_DEVICE = 0x20 };
enum { GUEST_EVENTS = 16 };

struct guest {
	struct viommu *v;
	struct viommu_vtd *unit;
	struct viommu_endpoint *device, *other;
	uint8_t *ram;
	uint32_t tail, queue_size, descriptor_size;
	unsigned interrupts, invalidations, commits, pending;
	struct viommu_irq_message messages[GUEST_EVENTS];
	uint32_t first, last;                    /* of the last irq_invalidate() */
	void (*committing)(struct guest *guest); /* called by irq_commit(), where the unit is busy; may be NULL */
};

/*
 * With everything that the unit can have but the caching mode, unless a configuration is given (callbacks are added).
 */
struct guest *guest_create(const struct viommu_vtd_config *config);
void guest_destroy(struct guest *guest);
int guest_setup(void **state);
int guest_teardown(void **state);

uint64_t guest_get(struct guest *guest, unsigned offset, unsigned size);
void guest_set(struct guest *guest, unsigned offset, uint64_t value, unsigned size);
void guest_put(struct guest *guest, uint64_t gpa, uint64_t value); /* eight bytes of memory */
uint32_t guest_load32(struct guest *guest, uint64_t gpa);

/* Switches of GSTS stay as they are. */
void guest_command(struct guest *guest, uint64_t bits);
void guest_uncommand(struct guest *guest, uint64_t bits);

/* 256 entries of 128 bits, as Linux does without scalable mode; or of 256 bits. */
void guest_queue_on(struct guest *guest, bool wide);
/* Put a descriptor at the tail; guest_kick() tells the unit. */
void guest_push(struct guest *guest, uint64_t low, uint64_t high);
void guest_kick(struct guest *guest);
/* A wait that writes this value to GUEST_STATUS. */
void guest_push_wait(struct guest *guest, uint32_t value);
/* The status that the last wait left there. */
uint32_t guest_status(struct guest *guest);

#endif
