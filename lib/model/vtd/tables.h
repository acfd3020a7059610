/* SPDX-License-Identifier: BSD-2-Clause */
/* What the readers of root, context and PASID tables share. */
#ifndef LIB_MODEL_VTD_TABLES_H
#define LIB_MODEL_VTD_TABLES_H

#include <endian.h>

#include "lib/model/vtd/model.h"
#include "lib/spec/vtd.h"
#include "lib/spec/vtd_fault.h"
#include "lib/spec/vtd_tables.h"

/*
 * Load a word of the guest's tables, once. False: no memory there. Acquire: partner of the guest's store of the word
 * that says "present", before which it wrote the others. Regions begin and end at pages, so a word lies in one.
 */
static inline bool vtd_load(const struct memory *memory, uint64_t gpa, uint64_t *word)
{
	const struct memory_region *region = memory_find(memory, gpa);

	if (!region)
		return false;
	const void *host = region->host + (gpa - region->gpa.first);

	*word = le64toh(__atomic_load_n((const uint64_t *)host, __ATOMIC_ACQUIRE));
	return true;
}

/* The bits of a table's address that the guest's memory has no room for: reserved. */
static inline uint64_t vtd_beyond_host(const struct vtd_caps *caps)
{
	return VTD_ENTRY_ADDRESS & ~((1ull << caps->host_bits) - 1);
}

/* True when page tables may have this AW. */
static inline bool vtd_aw_supported(const struct vtd_caps *caps, unsigned aw)
{
	return caps->cap >> VTD_CAP_SAGAW_SHIFT >> aw & 1 && aw < 4;
}

/* walk.c; opaque: the struct vtd_endpoint; told: in caching mode */
extern const struct walk_ops vtd_walk_ops, vtd_walk_told_ops;

#endif
