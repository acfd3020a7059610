/* SPDX-License-Identifier: BSD-2-Clause */
/* A driver for VT-d units: one unit, one device behind it that is looked at (slot 2), tables for it. */
#ifndef PAYLOAD_VTD_H
#define PAYLOAD_VTD_H

#include <stdbool.h>
#include <stdint.h>

#include "vtd-regs.h"

enum { VTD_SLOT = 2, VTD_SOURCE = VTD_SLOT << 3, VTD_IOAPIC_SOURCE = 0xf0f8 };

/* An address where no memory is, within all widths. */
#define NOWHERE 0x4000000000ull

/* Find the unit of a requester id by the DMAR table, and use it from now on. */
bool vtd_find(uint16_t source);
extern uint64_t vtd_cap, vtd_ecap;

/* Widest page tables that the unit takes, in levels; levels - 2 is what entries call AW. */
unsigned vtd_levels(void);

/* Registers; those of 64 bits by halves, the lower one first. */
uint32_t vtd_get(unsigned reg);
uint64_t vtd_get64(unsigned reg);
void vtd_put(unsigned reg, uint32_t value);
void vtd_put64(unsigned reg, uint64_t value);

/* Wait, within reason, until the bits of a register are just these. */
bool vtd_wait(unsigned reg, uint32_t bits, uint32_t wanted);

/* GCMD: a switch on or off; a one-shot. False: GSTS does not follow. */
bool vtd_switch(uint32_t bit, bool on);
bool vtd_latch(uint32_t bit);

/* A page of zeros; they are not given back. */
uint64_t *vtd_page(void);

/* Root and context tables of bus 0, and in scalable mode a PASID directory and PASIDs 64 to 127. */
extern uint64_t *vtd_root, *vtd_contexts, *vtd_directory, *vtd_pasids;
void vtd_make_tables(void);
/* RTADDR and SRTP, also for a table elsewhere. */
bool vtd_set_root(uint64_t rtaddr);

/* Word 0 of the entries of a source. */
uint64_t *vtd_context(uint16_t source);
uint64_t *vtd_scalable_context(uint16_t source);
uint64_t *vtd_pasid(uint32_t pasid);

/* An address space; `link` are the bits of entries that point to tables. */
struct space {
	uint64_t *top;
	unsigned levels;
	uint64_t link;
};

struct space second_stage(unsigned levels);
struct space first_stage(unsigned levels);

/* The entry of an address in a table of this level (1: of 4 KiB pages); tables on the way are made. */
uint64_t *space_entry(const struct space *space, uint64_t iova, unsigned level);

/* Invalidations by registers: 0 or the granularity that the unit says it has performed. */
unsigned vtd_register_context(unsigned granularity, uint16_t did, uint16_t source, unsigned function_mask);
unsigned vtd_register_iotlb(unsigned granularity, uint16_t did, uint64_t address_and_mask);

/* The queue of the unit in use, of one page; descriptors have 256 bits where the unit has the scalable mode. */
bool queue_start(void);
void queue_put(uint64_t low, uint64_t high);
/* Let the unit see what was put. */
void queue_kick(void);
/* Put a wait descriptor and wait for its status; false: it does not come. */
bool queue_finish(void);
/* Byte offset of the next descriptor, and the one at an offset. */
uint32_t queue_next(void);
uint64_t *queue_at(uint32_t offset);
uint64_t context_desc(unsigned granularity, uint16_t did, uint16_t source, unsigned function_mask);
uint64_t iotlb_desc(unsigned granularity, uint16_t did);
uint64_t pasid_desc(unsigned type, unsigned granularity, uint16_t did, uint32_t pasid);
/* Everything that may be cached for DMA. */
bool queue_flush_all(void);

/* A fault record. */
struct fault {
	uint64_t info; /* bits 63:12 */
	uint32_t pasid;
	uint16_t source;
	uint8_t reason; /* 0: there was none */
	bool read, has_pasid;
};

/* A record of the ring, and its removal. Where software has to begin: FRI. */
struct fault fault_at(unsigned index);
void fault_clear(unsigned index);
unsigned fault_first(void);
unsigned fault_records(void);

/* Take the first record, if there is any. */
struct fault fault_take(void);

/* "ok WHERE: NAME" or "not ok ..." */
bool check_in(const char *where, const char *name, bool good);

#endif
