/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer's side of the table: a radix tree in a file that others read without a lock, in the other process. The
 * file has a fixed size, so a put can fail; what is put is only a copy. Nodes that are cleared out of the tree are used
 * again when the readers that may still walk them are gone.
 *
 * The caller serialises everything here. Page numbers have 52 bits; ranges are closed.
 */
#ifndef LIB_VHOST_USER_TABLE_TREE_H
#define LIB_VHOST_USER_TABLE_TREE_H

#include "lib/util/range.h"
#include "lib/vhost_user/table/layout.h"

/* What the writer knows of a node. Private, so that it need not be checked. */
struct tree_node {
	uint16_t used; /* entries that are not empty */
	bool dirty;    /* out of the tree: its entries were not cleared */
	uint32_t next; /* in the list of free nodes, or of retired ones; 0 ends it */
	uint64_t since;
};

struct tree {
	struct shared_header *table;
	struct tree_node *nodes;
	uint32_t count;        /* nodes there are, and the header, which is number 0 */
	uint32_t fresh;        /* from here on none was ever used */
	uint32_t free, spared; /* list of free ones, and how many of all can be taken */
	uint32_t retired_first, retired_last;
};

/* @table: zeroed, `bytes` long, stays mapped. -ENOMEM. */
int tree_init(struct tree *tree, struct shared_header *table, uint64_t bytes);
void tree_fini(struct tree *tree);

/*
 * Let a range of pages lead to guest memory, whatever it led to before. -ENOSPC: the file is full, part of the range
 * may have been put. @gpa: of the first page; @access: SHARED_ACCESS bits
 */
int tree_put(struct tree *tree, struct range pages, uint64_t gpa, unsigned access);

/*
 * Take a range of pages out. What is left of a large leaf stays, in pieces, where there are nodes for them; else it
 * goes too. @generation: a reader that comes in with it, or later, does not see what is taken out
 */
void tree_clear(struct tree *tree, struct range pages, uint64_t generation);

/*
 * All readers that are inside came in with this generation or later: nodes that were taken out up to it can be used
 * again.
 */
void tree_recycle(struct tree *tree, uint64_t oldest);

#endif
