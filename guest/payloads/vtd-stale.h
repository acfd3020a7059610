/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Invalidations, each in the same way: something in the tables changes so that writes to STALE_IOVA should land at
 * another place. The old one is used on (which the specification allows, and this unit does), until an invalidation
 * names it.
 */
#ifndef PAYLOAD_VTD_STALE_H
#define PAYLOAD_VTD_STALE_H

#include <stdbool.h>
#include <stdint.h>

/* The device's domain and PASID, and others. */
enum { STALE_DID = 5, OTHER_DID = 6, STALE_PASID = 70, OTHER_PASID = 71 };

/* The third page of sixteen KiB, and how its neighbours and its block are named, with AM in the low bits. */
enum {
	STALE_BLOCK = 0x40000000,
	STALE_IOVA = STALE_BLOCK + 0x2000,
	STALE_BESIDE = STALE_BLOCK + 0x3000,
	STALE_NEXT_BLOCK = STALE_BLOCK + 0x4000,
	AM_4 = 2,
	LEAF_ONLY = 1 << 6,
};

enum stale_kind { BY_CONTEXT, BY_IOTLB, BY_PASID_IOTLB, BY_PASID_CACHE };

struct stale {
	const char *name;
	enum stale_kind kind;
	bool hits;
	uint8_t granularity, function_mask;
	uint16_t did, source;
	uint32_t pasid;
	uint64_t address; /* and AM and IH */
};

/* A word of the tables with which writes land at the first or at the second place. */
struct change {
	uint64_t *word, before, after;
	volatile uint64_t *first, *second;
};

/* By the queue if it is on, else by registers. */
void stale_check(const char *where, const struct stale *cases, unsigned count, const struct change *change);

#endif
