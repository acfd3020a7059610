/* SPDX-License-Identifier: BSD-2-Clause */
/* What table_owner.c maps at first, and test_shared_reader.c is to find. */
#ifndef TESTS_VHOST_USER_TABLE_OWNER_H
#define TESTS_VHOST_USER_TABLE_OWNER_H

enum {
	OWNER_MEMORY = 16 << 20,
	OWNER_PAGE = 4096,
	OWNER_FIRST = 0x10000, /* a page to read and write */
	OWNER_FIRST_GPA = 0x5000,
	OWNER_READABLE = 0x400000, /* a piece to read, larger than a leaf */
	OWNER_READABLE_GPA = 0x200000,
	OWNER_READABLE_BYTES = 3 << 20,
	OWNER_UNMAPPED = 0x20000, /* not mapped until it is asked for */
	OWNER_UNMAPPED_GPA = 0x7000,
};

#endif
