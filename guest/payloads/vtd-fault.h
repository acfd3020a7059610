/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults, each in the same way: one word of the tables is wrong, an access meets it, and a record says so. */
#ifndef PAYLOAD_VTD_FAULT_H
#define PAYLOAD_VTD_FAULT_H

#include <stdbool.h>
#include <stdint.h>

struct fault_case {
	const char *name;
	uint64_t *word, value; /* what is wrong; no word: the access itself */
	uint64_t iova;
	uint8_t reason;
	bool write;     /* else read */
	uint8_t silent; /* so many of the entries with FPD suppress the record: 0, or those that are read on the way */
};

/* Word 0 of entries that have FPD, in the order in which they are read. */
enum { SILENT_MAX = 3 };

struct silencers {
	uint64_t *entry[SILENT_MAX];
	unsigned count;
};

/* The record's content, and which FPD suppresses it. The queue is on, and everything else is in order. */
void fault_check(const char *where, const struct fault_case *cases, unsigned count, const struct silencers *silencers);

/* The same with another root table address. */
void fault_check_root(const char *where, const char *name, uint64_t rtaddr, uint64_t good, uint8_t reason);

#endif
