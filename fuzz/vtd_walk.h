/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where VT-d tables in memory lead an access to, at the most: a plain walk (Intel Virtualization Technology for
 * Directed I/O, revision 3.3, chapters 3 and 9) that looks at presence, rights and addresses and at no reserved bit.
 * What it does not reach must not translate.
 */
#ifndef FUZZ_VTD_WALK_H
#define FUZZ_VTD_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct vtd_walk {
	const uint8_t *ram;
	uint64_t size;
	uint64_t root; /* RTADDR as latched */
	uint16_t source;
	bool write;
};

/* What root, context and PASID entries say of a device. */
struct vtd_found {
	bool passes, first_stage;
	uint64_t table;
	unsigned levels, did;
	uint32_t pasid;
};

/* False: nothing, or what does not translate. */
bool vtd_walk_context(const struct vtd_walk *walk, struct vtd_found *found);
/* False: to nowhere. *last: where the last entry lies that was read, or 0. */
bool vtd_walk_pages(const struct vtd_walk *walk, const struct vtd_found *found, uint64_t iova, uint64_t *gpa,
		    uint64_t *last);

#endif
