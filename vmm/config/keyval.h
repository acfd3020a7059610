/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Option arguments of the form "key=value,key=value": each command describes its keys in a table. The first key may be
 * a bare word ("edu,iommu=on") where the table says so. A wrong argument gives one line and -EINVAL.
 */
#ifndef VMM_KEYVAL_H
#define VMM_KEYVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_kind {
	KEY_STRING, /* char *: freed by the owner */
	KEY_SWITCH, /* bool: on or off */
	KEY_SIZE,   /* uint64_t: bytes with K, M, G or T behind; not 0 */
	KEY_NUMBER, /* unsigned: decimal, min..max */
	KEY_MAC,    /* uint8_t[6]: aa:bb:cc:dd:ee:ff, neither multicast nor all zero */
	KEY_WORD,   /* uint64_t: decimal or 0x; not 0 */
	KEY_RANGES, /* struct key_ranges: FIRST-LAST, closed, decimal or 0x; may be given several times */
	KEY_POLL,   /* enum polling_mode: off, auto or always */
};

enum { KEY_RANGES_MAX = 64 };

struct key_ranges {
	unsigned count;
	struct key_range {
		uint64_t first, last;
	} range[KEY_RANGES_MAX];
};

struct key {
	const char *name; /* NULL: the bare word in front */
	enum key_kind kind;
	size_t offset;     /* where the value goes in the target structure */
	unsigned min, max; /* KEY_NUMBER: what it may be; KEY_RANGES: max is how many there may be */
	bool required;
};

/* Parse `text`, given to `option` (for the error line), into `target`. */
int keyval_parse(const char *option, const char *text, const struct key *keys, size_t count, void *target);

#endif
