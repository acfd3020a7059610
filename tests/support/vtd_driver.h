/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver for the VT-d unit without a guest: lays out tables in an array that is the guest's memory, programs the
 * registers and the invalidation queue in the way that Linux does, and lets two devices do DMA.
 */
#ifndef TESTS_SUPPORT_VTD_DRIVER_H
#define TESTS_SUPPORT_VTD_DRIVER_H

#include <viommu/viommu.h>
#include <viommu/vtd.h>

#include "lib/spec/vtd.h"
#include "lib/spec/vtd_fault.h"
#include "lib/spec/vtd_pt.h"
#include "lib/spec/vtd_tables.h"
#include "tests/support/test.h"

enum {
	VTD_PAGE_SIZE = 4096,
	VTD_RAM = 8 << 20,
	VTD_DATA = 4 << 20, /* from here on each word holds its own address */
	VTD_A = 0x0118,     /* 01:03.0 */
	VTD_B = 0x0119,     /* 01:03.1 */
	VTD_C = 0x01a0,     /* 01:14.0, in the upper half of its bus */
	VTD_DEVICES = 3,
	VTD_HOLE = 0x40000000, /* nothing lies here */
	VTD_MESSAGES = 16,
};

struct vtd_driver {
	struct viommu *v;
	struct viommu_vtd *unit;
	struct viommu_vtd_config config;
	struct viommu_endpoint *devices[VTD_DEVICES];
	uint8_t *ram;
	uint64_t next_page;
	uint64_t root, queue, status;
	uint32_t tail, commands;
	void (*ring)(void *opaque, uint32_t tail); /* or NULL: how IQT is written, where registers may hold garbage */
	void *ring_opaque;
	_Atomic unsigned pending;    /* how often the unit asked to be polled */
	_Atomic unsigned interrupts; /* and interrupted: by these messages, the last VTD_MESSAGES of them */
	struct viommu_irq_message messages[VTD_MESSAGES];
	uint64_t sum; /* of all of them, the same in any order */
};

/* A unit with three devices, as after power-on; patient: with another deadline than the default. */
struct vtd_driver *vtd_driver_create(const struct viommu_vtd_config *config);
struct vtd_driver *vtd_driver_create_patient(const struct viommu_vtd_config *config, unsigned deadline_ms);
void vtd_driver_destroy(struct vtd_driver *d);

/* Guest memory: a fresh page of zeroes; a word. */
uint64_t vtd_page(struct vtd_driver *d);
_Atomic uint64_t *vtd_word(struct vtd_driver *d, uint64_t gpa);
void vtd_set(struct vtd_driver *d, uint64_t gpa, uint64_t value);

/* Registers. vtd_command sets a switch or a one-shot of GCMD and waits for GSTS; vtd_clear switches off. */
uint64_t vtd_get_register(struct vtd_driver *d, unsigned offset);
void vtd_command_set(struct vtd_driver *d, uint64_t bit);
void vtd_command_clear(struct vtd_driver *d, uint64_t bit);

/* Root table from d->root with `ttm`, the queue, and translation on. */
void vtd_start(struct vtd_driver *d, unsigned ttm);

/* Put a descriptor into the queue; tell the unit; put a wait and be back when its status is written. */
void vtd_queue_put(struct vtd_driver *d, uint64_t low, uint64_t high);
void vtd_queue_put_wait(struct vtd_driver *d, uint32_t value);
void vtd_queue_ring(struct vtd_driver *d);
void vtd_queue_sync(struct vtd_driver *d);
uint32_t vtd_queue_status(struct vtd_driver *d);

/* One descriptor and a sync. */
void vtd_flush_context(struct vtd_driver *d, unsigned granularity, uint16_t did, uint16_t source, unsigned fm);
void vtd_flush_iotlb(struct vtd_driver *d, unsigned granularity, uint16_t did, uint64_t address, unsigned am);
void vtd_flush_pasid_cache(struct vtd_driver *d, unsigned granularity, uint16_t did, uint32_t pasid);
void vtd_flush_pasid_iotlb(struct vtd_driver *d, bool page, uint16_t did, uint32_t pasid, uint64_t address,
			   unsigned am);

/* Where the legacy context entry of a source lies; its table is made on demand. */
uint64_t vtd_context_at(struct vtd_driver *d, uint16_t source);
void vtd_set_context(struct vtd_driver *d, uint16_t source, uint64_t low, uint64_t high);

/* Where the scalable context entry, the PASID directory's entry and the PASID's entry lie; made on demand. */
uint64_t vtd_s_context_at(struct vtd_driver *d, uint16_t source);
uint64_t vtd_pasid_at(struct vtd_driver *d, uint16_t source, uint32_t pasid);
void vtd_set_pasid(struct vtd_driver *d, uint16_t source, uint32_t pasid, const uint64_t words[3]);

/* Paging entries: `link` is what entries on the way have besides the address. */
struct vtd_tables {
	uint64_t top;
	unsigned levels;
	uint64_t link;
};
struct vtd_tables vtd_second_stage(struct vtd_driver *d, unsigned levels);
struct vtd_tables vtd_first_stage(struct vtd_driver *d, unsigned levels);
/* Where the entry of this level lies; tables above it are made on demand. */
uint64_t vtd_entry_at(struct vtd_driver *d, const struct vtd_tables *t, uint64_t iova, unsigned level);
void vtd_map(struct vtd_driver *d, const struct vtd_tables *t, uint64_t iova, uint64_t entry);

struct viommu_endpoint *vtd_device(struct vtd_driver *d, uint16_t source);

/* What a device reads at an address: in VTD_DATA, where it lies. Or a negative error. */
int64_t vtd_peek(struct vtd_driver *d, uint16_t source, uint64_t iova);
/* Write a word that leaves what is there. */
int vtd_poke(struct vtd_driver *d, uint16_t source, uint64_t iova);

struct vtd_seen {
	unsigned reason; /* 0: no fault is recorded */
	uint16_t source;
	bool read;
	uint64_t info;
};
/* Take the oldest recorded fault, in the way of Linux's handler. */
struct vtd_seen vtd_take_fault(struct vtd_driver *d);

/* A read, or a write, must fail with this reason and be recorded so; with 0, not be recorded. */
void vtd_expect_fault(struct vtd_driver *d, uint16_t source, uint64_t iova, unsigned access, unsigned reason);

#endif
