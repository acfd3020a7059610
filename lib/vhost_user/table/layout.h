/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies in the two shared files (docs/SHARED-TABLE.md), in the byte order of the machine.
 *
 * The table, which only the front end writes: a header of a page, then nodes of a page each. A node is named by its
 * offset in the file. It has 512 entries; an entry of level n stands for 512^n pages of I/O address space, and is
 * nothing, a node, or a leaf. The epochs, which the back end writes: a word for each slot, alone in its pair of cache
 * lines.
 */
#ifndef LIB_VHOST_USER_TABLE_LAYOUT_H
#define LIB_VHOST_USER_TABLE_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <viommu/types.h>

enum {
	SHARED_VERSION = 1,
	SHARED_PAGE_SHIFT = 12,
	SHARED_NODE = 1 << SHARED_PAGE_SHIFT, /* bytes of the header, and of a node */
	SHARED_BITS = 9,
	SHARED_ENTRIES = 1 << SHARED_BITS,
	SHARED_LEVELS = 6,
	SHARED_EPOCH = 128, /* bytes of an epoch */
	SHARED_EPOCHS_MAX = 1024,
	SHARED_TABLE_MIN = 256 << 10,
	SHARED_TABLE_MAX = 1 << 30,
};

/* "viommuST" as it lies in memory, on a machine whose lowest byte comes first */
static const uint64_t shared_magic = 0x5453756d6d6f6976;

/*
 * A word of a node. Without LEAF: 0, or the offset of the node below. The root's has that node's level in its low bits.
 */
enum {
	SHARED_READ = 1 << 0,
	SHARED_WRITE = 1 << 1,
	SHARED_ACCESS = SHARED_READ | SHARED_WRITE,
	SHARED_LEAF = 1 << 2, /* bits 63:12 are those of the guest-physical address of the first page */
	SHARED_FLAGS = SHARED_NODE - 1,
	SHARED_ROOT_LEVEL = 7,
};

struct shared_header {
	uint64_t magic;
	uint32_t version, node_bytes;
	uint64_t table_bytes, epochs_bytes;
	uint32_t epochs, epoch_bytes, page_shift, bits;
	_Alignas(128) _Atomic uint64_t root;
	_Alignas(128) _Atomic uint64_t generation; /* starts with 1 */
};

struct shared_node {
	_Atomic uint64_t entry[SHARED_ENTRIES];
};

struct shared_epoch {
	_Alignas(
		SHARED_EPOCH) _Atomic uint64_t inside; /* 0: outside; else the generation that was read on the way in */
};

static_assert(offsetof(struct shared_header, table_bytes) == 16, "header");
static_assert(offsetof(struct shared_header, epochs) == 32, "header");
static_assert(offsetof(struct shared_header, root) == 128, "header");
static_assert(offsetof(struct shared_header, generation) == 256, "header");
static_assert(sizeof(struct shared_header) <= SHARED_NODE, "header");
static_assert(sizeof(struct shared_node) == SHARED_NODE, "node");
static_assert(sizeof(struct shared_epoch) == SHARED_EPOCH, "epoch");
static_assert(SHARED_READ == (int)VIOMMU_READ && SHARED_WRITE == (int)VIOMMU_WRITE, "rights");

/* How many pages an entry of this level stands for. */
static inline uint64_t shared_pages(unsigned level)
{
	return 1ull << (SHARED_BITS * level);
}

/* Which entry of its node at this level is a page's. */
static inline unsigned shared_index(uint64_t page, unsigned level)
{
	return (page >> (SHARED_BITS * level)) & (SHARED_ENTRIES - 1);
}

#endif
